"""Replace the normalisation layers of any network."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd, prod
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from robustbench_act.activations.facts import NATIVE
from robustbench_act.activations.layers import role_of
from robustbench_act.errors import InputError, first_line, unknown_name
from robustbench_act.normalizations.facts import NORMALIZATIONS
from robustbench_act.normalizations.layers import BATCH, INSTANCE, functional, kind_of
from robustbench_act.user_code import find_factory, is_factory, source_digest

Factory = Callable[[int], nn.Module]
Axis = Literal["first", "last"]

GROUPS = 32
"""Groups of channels, if they can be had (Wu & He 2018, arXiv 1803.08494)."""


def replace_normalization(model: nn.Module, to: str | Factory, /) -> nn.Module:
    """Replace every normalisation layer of a network by one for as many channels; return the network.

    Of inputs (N, C, ...), with a scale and a shift for each channel unless the replaced layer has none:

    - "batch": over the batch and all positions, channel by channel (Ioffe & Szegedy 2015);
    - "layer": over all elements (C, ...) of each sample (Ba et al. 2016): GroupNorm with one group. The
      direction is that of LayerAct, which has no scale and shift (arXiv 2306.04940);
    - "group": over `groups_for(C)` groups of channels (Wu & He 2018);
    - "instance": each channel of each sample (Ulyanov et al. 2016);
    - "none": the layer becomes the identity.

    A layer that is already of the wanted kind stays as it is: a LayerNorm over the channels of each position
    (ConvNeXt, transformers) is layer normalisation as its network means it. One over the last axis can become
    "batch" or "none", but not "group" or "instance". Scale and shift are taken over, eps is 1e-5.

    With "none", a convolution without bias has no shift left (torchvision's and timm's ResNets have none, the
    CIFAR ResNets of this package have biases).

    The network itself is changed; training mode, device and dtype stay as they are. After an error it is
    unchanged. A module at several places is replaced by one module at all of them.

    Parameters
    ----------
    model : nn.Module
        Any network whose normalisations are modules: those of torch.nn and subclasses that do the same, or
        the same with an activation behind it (timm's BatchNormAct2d).
    to : str or callable
        One of the above; or your module class or function, called with the number of channels, which also
        replaces layers that are already of its kind. "package.module:Class" names one.

    Raises
    ------
    InputError
        On an unknown name; if the network has no normalisation layer, calls F.batch_norm or the like as
        functions (the class, file and line are named), or has a layer that cannot be replaced (named, with
        the reason); if your class fails or changes the shape.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    >>> replace_normalization(network, "layer")[1].num_groups
    1
    """
    name, factory = _wanted(to)
    _check_modules_only(model)
    places = list(_places(model))
    if not places and name != "none":
        raise InputError(f"Expected a network with normalisation layers: {type(model).__name__} has none.")
    made: dict[nn.Module, nn.Module] = {}
    for place in places:
        if place.module not in made and kind_of(place.module) != name:
            made[place.module] = _new(place, name, factory)
    for place in places:
        if place.module in made and place.parent is not None:
            place.parent.add_module(place.name, made[place.module])
            if isinstance(place.parent, nn.TransformerEncoderLayer):
                place.parent.activation_relu_or_gelu = 0  # its fused evaluation path would skip the module
    return made.get(model, model)


def _check_modules_only(model: nn.Module) -> None:
    for _, path, module, code, node in functional(model):
        where = f"{type(module).__name__}{f' ({path})' if path else ''}"
        raise InputError(
            f"Expected normalisations that are modules, but {where} uses {ast.unparse(node)} as a function: "
            f"{code.file}, line {node.lineno}. Make it a module, for example self.norm = nn.BatchNorm2d(8)."
        )


def check_normalization(to: str) -> None:
    """Raise InputError if a text is neither "native" nor what `replace_normalization` takes."""
    if to != NATIVE:
        _wanted(to)


def normalization_code(name: str) -> str:
    """Return the SHA-256 of the source of a normalisation of the user's own; "" for others.

    >>> normalization_code("layer")
    ''
    """
    return source_digest(find_factory(name, what="Normalization")) if is_factory(name) else ""


def groups_for(channels: int) -> int:
    """Return the number of groups of channels: 32, or the largest power of two below that divides them.

    Half of it if each channel were a group of its own, which is instance normalisation.

    >>> [groups_for(channels) for channels in (256, 64, 96, 40, 32, 16, 7)]
    [32, 32, 32, 8, 16, 8, 1]
    """
    groups = gcd(GROUPS, channels)
    return groups // 2 if groups == channels and channels > 1 else groups


class BatchNorm(BATCH):  # type: ignore[misc]
    """Batch normalisation of inputs (N, C, ...) or, with axis "last", (..., C), with any number of axes.

    Equal to nn.BatchNorm1d, 2d and 3d on what these take.
    """

    def __init__(self, channels: int, *, affine: bool = True, axis: Axis = "first") -> None:
        super().__init__(channels, affine=affine)
        self.axis = axis

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise InputError(f"Expected inputs (N, C, ...), got the shape {tuple(x.shape)}.")

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, (N, C, ...) or (..., C)."""
        if self.axis == "first":
            return cast(Tensor, super().forward(x))
        return cast(Tensor, super().forward(x.movedim(-1, 1))).movedim(1, -1)

    def extra_repr(self) -> str:
        """Return the settings."""
        own = "" if self.axis == "first" else ", axis=last"
        return f"{super().extra_repr()}{own}"


class InstanceNorm(INSTANCE):  # type: ignore[misc]
    """Instance normalisation of inputs (N, C, ...) with any number of positions above one."""

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__(channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, (N, C, ...)."""
        if prod(x.shape[2:]) == 1:
            raise InputError(
                "Expected several positions in each channel for instance normalisation, got the shape "
                f"{tuple(x.shape)}, of which nothing would be left: take larger images, or layer or group."
            )
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class NormAct(nn.Module):
    """A normalisation with dropout and an activation behind it, as timm's BatchNormAct2d holds them."""

    def __init__(self, norm: nn.Module, drop: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.norm, self.drop, self.act = norm, drop, act

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and activate x."""
        return cast(Tensor, self.act(self.drop(self.norm(x))))


@dataclass(frozen=True)
class _Place:
    """A place that holds a normalisation layer, `parent.<name>`, at `path`; a network has no parent."""

    parent: nn.Module | None
    name: str
    path: str
    module: nn.Module

    def __str__(self) -> str:
        return f"{type(self.module).__name__}{f' ({self.path})' if self.path else ''}"


def _places(model: nn.Module) -> Iterator[_Place]:
    """Yield each place of a normalisation layer, in module order; a module at two places comes twice."""
    seen: set[nn.Module] = set()

    def walk(parent: nn.Module, path: str) -> Iterator[_Place]:
        if parent in seen:
            return
        seen.add(parent)
        for name, child in parent._modules.items():
            if child is None or role_of(child) != "other":
                continue
            inner = f"{path}.{name}" if path else name
            if kind_of(child) is not None:
                yield _Place(parent, name, inner, child)
            else:
                yield from walk(child, inner)

    if kind_of(model) is not None:
        yield _Place(None, "", "", model)
    else:
        yield from walk(model, "")


def _wanted(to: str | Factory) -> tuple[str, Factory | None]:
    """Return the name of a normalisation, or "" and the user's function."""
    if not isinstance(to, str):
        if not callable(to):
            raise InputError(
                f"Expected a normalisation's name, a module class or a function, got {to!r:.60}."
            )
        return "", to
    if to in NORMALIZATIONS:
        return to, None
    if not is_factory(to):
        raise unknown_name("normalization", to, NORMALIZATIONS)
    return "", find_factory(to, what="Normalization")


def _new(place: _Place, name: str, factory: Factory | None) -> nn.Module:
    """Return the layer for a place, in the mode of the old one, on its device and in its dtype."""
    old = place.module
    channels, axis = _layout(place)
    affine = getattr(old, "weight", None) is not None
    new = _own(place, factory, channels, axis) if factory else _ours(place, name, channels, axis, affine)
    tensors = (tensor for tensor in (*old.parameters(), *old.buffers()) if tensor.is_floating_point())
    if (nearest := next(tensors, None)) is not None:
        new = new.to(device=nearest.device, dtype=nearest.dtype)
    if factory is None:
        _take_over(old, new)
    children = dict(old.named_children())
    new = NormAct(new, children["drop"], children["act"]) if children else new
    new.train(old.training)
    return new


def _ours(place: _Place, name: str, channels: int, axis: Axis, affine: bool) -> nn.Module:
    if axis == "last" and name in ("group", "instance"):
        raise InputError(
            f"{place} normalises the last axis, for which {NORMALIZATIONS[name]} has no usual meaning: "
            "expected batch, layer, none or a class of your own."
        )
    if name == "none":
        return nn.Identity()
    if name == "batch":
        return BatchNorm(channels, affine=affine, axis=axis)
    if axis == "last":
        return nn.LayerNorm(channels, elementwise_affine=affine)
    if name == "instance":
        return InstanceNorm(channels, affine=affine)
    return nn.GroupNorm(1 if name == "layer" else groups_for(channels), channels, affine=affine)


def _own(place: _Place, factory: Factory, channels: int, axis: Axis) -> nn.Module:
    """Return what the user's function makes, tried on a small input."""
    what = f"Normalization {getattr(factory, '__name__', factory)!s:.60} for {place}"
    try:
        made: Any = factory(channels)
    except Exception as error:  # it is the user's code
        raise InputError(
            f"{what}: the call with ({channels}) raised {type(error).__name__}: {first_line(error)}."
        ) from error
    if not isinstance(made, nn.Module):
        raise InputError(f"{what}: expected a torch.nn.Module, got {type(made).__name__}.")
    try:
        alone = copy.deepcopy(made).eval()
        x = _sample(channels, axis)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            y = alone(x)
    except Exception as error:  # it is the user's code
        raise InputError(
            f"{what}: an input of the shape {tuple(x.shape)} raised {type(error).__name__}: "
            f"{first_line(error)}."
        ) from error
    if not isinstance(y, Tensor) or y.shape != x.shape:
        found = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise InputError(
            f"{what}: expected an output of the shape {tuple(x.shape)} of its input, got {found}."
        )
    return made


def _take_over(old: nn.Module, new: nn.Module) -> None:
    """Copy scale and shift if both layers have one for each channel."""
    with torch.no_grad():
        for name in ("weight", "bias"):
            own, wanted = getattr(old, name, None), getattr(new, name, None)
            if isinstance(own, Tensor) and isinstance(wanted, Tensor) and own.shape == wanted.shape:
                wanted.copy_(own).requires_grad_(own.requires_grad)


def _layout(place: _Place) -> tuple[int, Axis]:
    """Return the number of channels of a layer, and which axis they are; an InputError if it does more."""
    module = place.module
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        channels = int(module.normalized_shape[0])
        axis: Axis = "last" if len(module.normalized_shape) == 1 else "first"
    elif isinstance(module, nn.GroupNorm):
        channels, axis = module.num_channels, "first"
    elif isinstance(module, BATCH | INSTANCE):
        channels, axis = module.num_features, "first"
    else:
        raise InputError(
            f"{place} cannot be replaced: only normalisation layers of torch.nn and their subclasses tell "
            "their number of channels."
        )
    if any(map(is_lazy, module.parameters())):
        raise InputError(f"{place} cannot be replaced before it has seen an image, which sets its channels.")
    if type(module).__module__.startswith("torch.nn."):
        return channels, axis
    for found in ("first", "last") if axis == "last" else (axis,):
        if _does_the_same(module, channels, found):
            return channels, found
    raise InputError(f"{place} cannot be replaced: it does more than the layer of torch.nn that it extends.")


def _does_the_same(module: nn.Module, channels: int, axis: Axis) -> bool:
    """Tell whether a subclass does as its layer of torch.nn, then `drop` and `act` if it has them."""
    children = dict(module.named_children())
    if children and set(children) != {"drop", "act"}:
        return False
    alone = copy.deepcopy(module).cpu().float().eval()
    x = _sample(channels, axis)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            y = alone(x.clone())
            wanted = _plain(alone, x, axis)
            for name in ("drop", "act") if children else ():
                wanted = alone.get_submodule(name)(wanted)
            return isinstance(y, Tensor) and y.shape == x.shape and torch.allclose(y, wanted, atol=1e-4)
    except Exception:  # it is the user's code
        return False


def _sample(channels: int, axis: Axis) -> Tensor:
    """Return a small input: (2, C, H, W), no side of which is C, or (2, 3, C)."""
    sides = [side for side in (3, 5, 7) if side != channels][:2]
    shape = (2, channels, *sides) if axis == "first" else (2, 3, channels)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _plain(module: Any, x: Tensor, axis: Axis) -> Tensor:
    """Return what the layer of torch.nn that a module extends does in evaluation mode."""
    weight, bias = module.weight, getattr(module, "bias", None)
    if isinstance(module, BATCH):
        mean, var = module.running_mean, module.running_var
        return F.batch_norm(x, mean, var, weight, bias, training=mean is None, eps=module.eps)
    if isinstance(module, INSTANCE):
        return F.instance_norm(x, module.running_mean, module.running_var, weight, bias,
                               module.running_mean is None, eps=module.eps)  # fmt: skip
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(x, module.num_groups, weight, bias, module.eps)
    last = x.movedim(1, -1) if axis == "first" and len(module.normalized_shape) == 1 else x
    if isinstance(module, nn.RMSNorm):
        return F.rms_norm(x, list(module.normalized_shape), weight, module.eps)
    y = F.layer_norm(last, module.normalized_shape, weight, bias, module.eps)
    return y if last is x else y.movedim(-1, 1)
