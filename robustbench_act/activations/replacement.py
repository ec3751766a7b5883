"""Replace the activation layers of any network."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from torch import Tensor, nn

from robustbench_act.activations._counting import count_calls
from robustbench_act.activations._functional import check_modules_only
from robustbench_act.activations._sizes import Size, input_sizes
from robustbench_act.activations._source import code_of
from robustbench_act.activations.layers import PerCall, RestartCalls, is_activation_class, role_of
from robustbench_act.activations.registry import Factory, get_activation, sizes_of
from robustbench_act.errors import InputError


@dataclass(frozen=True)
class _Place:
    """A place that holds an activation, `parent.<name>`, at `path` from the network.

    `owner`, at `owner_path`, is the nearest module around it that has a forward pass.
    """

    parent: nn.Module
    name: str
    path: str
    owner: nn.Module
    owner_path: str

    @property
    def module(self) -> nn.Module:
        return self.parent.get_submodule(self.name)


def replace_activations(
    model: nn.Module,
    activation: str | Factory,
    /,
    *,
    input_size: tuple[int, int, int] | None = None,
    **parameters: object,
) -> nn.Module:
    """Replace every activation layer of a network with a fresh one, and return the network.

    Activation layers are those that `activation_layers` lists, with those of your own classes; gates and
    normalisers stay. A call of a function such as F.relu outside an activation layer or a gate is an error.

    The network itself is changed; training mode, device and dtype stay as they are. The new layers never work
    in place. After an error the network is unchanged.

    If the new activation learns or averages (prelu, nrelu, nswish), a module that is called several times in
    a forward pass becomes one module for each call, held together by a `PerCall`; otherwise the calls share
    one. The calls are counted in the source of the module that holds it. If the source does not name them (an
    `nn.ModuleList`, a call from outside), one call is expected, and a second one in the same pass raises.

    Parameters
    ----------
    model : nn.Module
        Any network whose activations are modules.
    activation : str or callable
        As `get_activation` takes it: a name, a class of your own, a function that returns a module.
    input_size : tuple of int, optional
        (C, H, W) of the images. Needed only if the constructor takes sizes of its layer (see
        `register_activation`) and the network does not begin with a Conv2d: they are found by a pass of an
        image of zeros through a copy. `elements` and `shape` always need it.
    **parameters
        Parameters of the activation that replace its defaults.

    Raises
    ------
    InputError
        On an unknown name or parameter; if the network has no activation layer or uses activations as
        functions (the class, file and line are named); if the new activation needs the calls of a shared
        module counted and they cannot be, or sizes that cannot be found.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True), nn.Sigmoid())
    >>> replace_activations(network, "la_silu", alpha=0.1)
    Sequential(
      (0): Linear(in_features=2, out_features=2, bias=True)
      (1): LASiLU(alpha=0.1)
      (2): Sigmoid()
    )
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    >>> replace_activations(network, nn.PReLU, num_parameters=8)[1].weight.shape
    torch.Size([8])
    """
    sizes = sizes_of(activation, parameters)
    fresh = None if sizes else get_activation(activation, **parameters)
    check_modules_only(model)
    if is_activation_class(type(model)):
        return _like(fresh or get_activation(activation, **parameters), model, [model])
    places = list(_places(model))
    if not places:
        raise InputError(f"Expected a network with activation layers, but {type(model).__name__} has none.")
    calls = _sizes_at(model, places, sizes, input_size)
    stateful = bool((fresh or get_activation(activation, **parameters, **calls[0][0])).state_dict())
    counts = [_modules_needed(place) if stateful else None for place in places]
    made = [
        [get_activation(activation, **parameters, **own) for own in _each(place, found, count)]
        for place, found, count in zip(places, calls, counts, strict=True)
    ]
    _drop_restarts(model)
    for place, count, modules in zip(places, counts, made, strict=True):
        around = [place.module, place.parent, place.owner, model]
        like = [_like(one, place.module, around) for one in modules]
        new = like[0] if count is None else PerCall(like).train(place.module.training)
        place.parent.add_module(place.name, new)
        if isinstance(place.parent, nn.TransformerEncoderLayer):
            place.parent.activation_relu_or_gelu = 0  # its fused evaluation path would skip the new module
    _add_restarts(model, [place for place, count in zip(places, counts, strict=True) if count is not None])
    return model


def _sizes_at(
    model: nn.Module, places: list[_Place], sizes: tuple[str, ...], input_size: tuple[int, int, int] | None
) -> list[list[dict[str, object]]]:
    """Return the constructor arguments of each call of each place: sizes of its input."""
    if not sizes:
        return [[{}] for _ in places]
    exact = not {"elements", "shape"}.isdisjoint(sizes)
    found = input_sizes(model, [place.path for place in places], input_size, exact=exact)
    return [[_as_arguments(sizes, size) for size in found[place.path]] for place in places]


def _as_arguments(sizes: tuple[str, ...], size: Size) -> dict[str, object]:
    _, *image = size.shape
    known = {
        "channels": size.channels,
        "num_parameters": size.channels,
        "elements": math.prod(image),
        "shape": tuple(image),
    }
    return {name: known[name] for name in sizes}


def _each(place: _Place, found: list[dict[str, object]], count: int | None) -> list[dict[str, object]]:
    """Return the arguments of each module at a place: one for all its calls, or one for each."""
    if count is not None and count == len(found):
        return found
    if any(own != found[0] for own in found):
        raise InputError(
            f"{place.path}: is called with inputs of several sizes, {found[0]} and others; give each call a "
            "module of its own."
        )
    return [found[0]] * (count or 1)


def _places(model: nn.Module) -> Iterator[_Place]:
    """Yield each place of an activation in a network, in module order; a module at two places comes twice."""
    seen: set[nn.Module] = set()

    def walk(parent: nn.Module, path: str, owner: nn.Module, owner_path: str) -> Iterator[_Place]:
        if parent in seen:
            return
        seen.add(parent)
        if _has_forward(parent):
            owner, owner_path = parent, path
        for name, child in parent._modules.items():
            inner = f"{path}.{name}" if path else name
            role = role_of(child) if child is not None else None
            if isinstance(child, PerCall) or role == "activation":
                yield _Place(parent, name, inner, owner, owner_path)
            elif child is not None and role == "other":
                yield from walk(child, inner, owner, owner_path)

    return walk(model, "", model, "")


def _has_forward(module: nn.Module) -> bool:
    """Whether a module has a forward pass; nn.ModuleList and nn.ModuleDict have none."""
    return type(module).forward is not nn.Module.forward


def _modules_needed(place: _Place) -> int | None:
    """Return how many modules a `PerCall` must hold for a stateful activation; None if it needs none."""
    owner = place.owner
    if not _has_forward(owner):
        return None
    calls = count_calls(owner, place.name) if place.parent is owner else None
    if calls is None:
        return 1
    if calls.most == 1:
        return None
    if calls.least != calls.most:
        code = code_of(owner.forward)
        where = f" ({code.file}, line {code.node.lineno})" if code else ""
        raise InputError(
            f"Expected a fixed number of calls of {place.path}, but they cannot be counted in the forward "
            f"pass of {type(owner).__name__}{where}. Give each call a module of its own."
        )
    return max(1, int(calls.most))  # if the source does not name it, one call is expected


def _like(fresh: nn.Module, old: nn.Module, around: list[nn.Module]) -> nn.Module:
    """Return `fresh` in the mode of `old`, on the device and in the dtype of the nearest tensor around."""
    tensors = chain.from_iterable(chain(module.parameters(), module.buffers()) for module in around)
    nearest: Tensor | None = next((tensor for tensor in tensors if tensor.is_floating_point()), None)
    if nearest is not None:
        fresh = fresh.to(device=nearest.device, dtype=nearest.dtype)
    fresh.train(old.training)  # a user's own train() may return nothing
    return fresh


def _add_restarts(model: nn.Module, places: list[_Place]) -> None:
    """Restart each `PerCall` with its owner, and with the whole network (an owner may never run itself)."""
    paths: dict[nn.Module, list[str]] = {}
    for place in places:
        paths.setdefault(model, []).append(place.path)
        if place.owner is not model:
            inner = place.path[len(place.owner_path) + 1 :]
            paths.setdefault(place.owner, []).append(inner)
    for module, inner_paths in paths.items():
        module.register_forward_pre_hook(RestartCalls(inner_paths))


def _drop_restarts(model: nn.Module) -> None:
    for module in model.modules():
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, RestartCalls):
                del module._forward_pre_hooks[key]
