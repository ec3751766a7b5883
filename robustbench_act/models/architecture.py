"""Architecture strings: `source:name?key=value&key=value`, parsed and built.

cifar:resnet8?width=8      CIFAR ResNets of this package (the source may be left out)
small:mlp?depth=2&width=64 a multilayer perceptron of this package (the source may be left out)
torchvision:resnet18       any classifier of torchvision, with fresh weights
timm:resnet18.a1_in1k      any classifier of timm (an extra), with fresh weights; options go to create_model
package.module:factory     your own function or class: called with your options, and with those of classes,
                           channels, input_size and side that it takes; returns an nn.Module

Values of options are read as whole numbers, numbers, true or false, if they are written so, else as text.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

from torch import nn

from robustbench_act.activations import get_activation, replace_activations
from robustbench_act.activations.facts import NATIVE
from robustbench_act.activations.registry import Factory, sizes_of
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.models.cifar_resnet import CifarResNet
from robustbench_act.models.mlp import MLP
from robustbench_act.models.own_names import OWN, OWN_NETWORKS, source_of
from robustbench_act.normalizations import replace_normalization
from robustbench_act.paths import SOURCES
from robustbench_act.user_code import call_factory, find_factory

OptionValue: TypeAlias = int | float | bool | str
"""A value that follows `?key=` in an architecture string."""

_PROGRAMS = {  # modules of classes that hold a network as a program
    "torch.jit": ("a TorchScript program", "return the network that it was made from"),
    "torch.export": ("a program of torch.export", "return the network that it was made from"),
    "torch._dynamo": ("a compiled network", "return it as it is before torch.compile, and pass --compile"),
}
_WHOLE = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.?\d+)(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Architecture:
    """A parsed architecture string; `str()` gives the canonical form back.

    >>> str(Architecture.parse("resnet8?width=8"))
    'cifar:resnet8?width=8'
    >>> dict(Architecture.parse("mine.nets:cnn?act=gated&slope=0.1&bias=false&depth=3").options)
    {'act': 'gated', 'slope': 0.1, 'bias': False, 'depth': 3}
    """

    source: str
    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    @property
    def is_factory(self) -> bool:
        """Whether it is a user's function: building it runs code that is neither ours nor a library's."""
        return self.source not in (*OWN, "torchvision", "timm", *SOURCES)

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """Parse `text`; an InputError suggests the nearest name if it is unknown."""
        head, _, query = text.partition("?")
        source, colon, name = head.partition(":")
        if not colon:
            source, name = source_of(source) or "torchvision", source
        options = {key: _option(value) for key, value in parse_qsl(query, keep_blank_values=True)}
        known = _torchvision_names() if source == "torchvision" else OWN.get(source, [name])
        if not name or not source or name not in known:
            raise _unknown(text)
        return cls(source, name, options)

    def __str__(self) -> str:
        query = urlencode({key: self.options[key] for key in sorted(self.options)}, safe=":/,()")
        return f"{self.source}:{self.name}" + (f"?{query}" if query else "")


def _unknown(text: str) -> InputError:
    """Return the error for an unknown architecture, with the nearest one or the possible forms."""
    short = [*chain(*OWN.values()), *_torchvision_names()]
    nearest = get_close_matches(text, [*list_architectures(), *short], n=1)
    forms = "cifar:resnet20, small:mlp, torchvision:NAME, timm:NAME or your function, package.module:factory"
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Expected {forms}."
    return InputError(f"Unknown architecture {text!r}. {hint}")


def _option(text: str) -> OptionValue:
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _torchvision_names() -> list[str]:
    models = import_torchvision_models()
    return list(models.list_models(module=models))


def list_architectures() -> list[str]:
    """Return every known architecture string, sorted.

    >>> "cifar:resnet20" in list_architectures()
    True
    """
    return sorted([*OWN_NETWORKS, *(f"torchvision:{name}" for name in _torchvision_names())])


def build_model(
    architecture: str | Architecture,
    *,
    activation: str | Factory = NATIVE,
    activation_parameters: Mapping[str, Any] | None = None,
    normalization: str | Callable[[int], nn.Module] = NATIVE,
    classes: int = 10,
    channels: int = 3,
    input_size: tuple[int, int, int] | None = None,
) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    architecture
        An architecture string; the head of this module lists the forms.
    activation, activation_parameters
        An activation as `get_activation` takes it, and its parameters. "native" keeps the network's own
        activations (ReLU in the networks of this package).
    normalization
        As `replace_normalization` takes it. "native" keeps the network's own (batch in the CIFAR ResNets).
    classes, channels
        Number of logits and of input channels.
    input_size
        (C, H, W) of the images, for networks that are built for one size (small:mlp, torchvision's ViT) and
        activations that take sizes of their layers; C replaces `channels`.

    Examples
    --------
    >>> network = build_model("cifar:resnet8?width=4", activation="la_silu", channels=1)
    >>> type(network.act1).__name__
    'LASiLU'
    """
    spec = Architecture.parse(architecture) if isinstance(architecture, str) else architecture
    parameters = dict(activation_parameters or {})
    side = None
    if input_size is not None:
        channels, _, side = input_size
    if spec.source in OWN:
        chosen, given = ("relu", {}) if activation == NATIVE else (activation, parameters)
        at_once = not sizes_of(chosen, given)
        fresh = partial(get_activation, chosen, **given) if at_once else nn.ReLU
        model = _own(spec, fresh, classes=classes, channels=channels, input_size=input_size)
        activation = NATIVE if at_once else activation
    elif spec.source == "torchvision":
        model = _torchvision(spec, classes=classes, channels=channels, side=side)
    elif spec.source in SOURCES:
        raise InputError(
            f"Architecture {str(spec)!r}: is read from its files; give {spec.source}:PATH as a checkpoint."
        )
    elif spec.source == "timm":
        model = _timm(spec, classes=classes, channels=channels)
    else:
        facts = {"classes": classes, "channels": channels, "side": side, "input_size": input_size}
        model = _from_factory(spec, facts)
    if normalization != NATIVE:
        model = replace_normalization(model, normalization)
    if activation == NATIVE:
        return model
    return replace_activations(model, activation, input_size=input_size, **parameters)


def _own(
    spec: Architecture,
    activation: Callable[[], nn.Module],
    *,
    classes: int,
    channels: int,
    input_size: tuple[int, int, int] | None,
) -> nn.Module:
    names = OWN[spec.source][spec.name]
    sizes = {name: size for name, size in spec.options.items() if type(size) is int and size >= 1}
    if sizes != spec.options or not sizes.keys() <= set(names):
        taken = " and ".join(f"{name}=N" for name in names)
        raise InputError(f"Architecture {str(spec)!r}: takes only {taken}, N a whole number from 1 up.")
    if spec.source == "cifar":
        depth = int(spec.name.removeprefix("resnet"))
        return CifarResNet(depth, activation=activation, classes=classes, channels=channels, **sizes)
    if input_size is None:
        raise InputError(f"Architecture {str(spec)!r}: is built for one size of images; give input_size.")
    return MLP(input_size, activation=activation, classes=classes, **sizes)


def _torchvision(spec: Architecture, *, classes: int, channels: int, side: int | None) -> nn.Module:
    if spec.options or channels != 3:
        raise InputError(
            f"Architecture {str(spec)!r}: takes 3 channels and no options, got {channels} channels."
        )
    extra: dict[str, Any] = {"init_weights": True} if spec.name in ("googlenet", "inception_v3") else {}
    if side is not None and spec.name.startswith("vit_"):
        extra["image_size"] = side
    model = import_torchvision_models().get_model(spec.name, weights=None, num_classes=classes, **extra)
    assert isinstance(model, nn.Module)
    return model


def _timm(spec: Architecture, *, classes: int, channels: int) -> nn.Module:
    timm = import_timm()
    if ":" in spec.name or any(key.startswith(("pretrained", "checkpoint")) for key in spec.options):
        raise InputError(f"Architecture {str(spec)!r}: nothing is downloaded; name the network alone.")
    try:
        made = timm.create_model(spec.name, num_classes=classes, in_chans=channels, **spec.options)
    except (RuntimeError, TypeError, ValueError) as error:
        if "Unknown model" in str(error):
            known = [f"timm:{name}" for name in timm.list_models()]
            raise unknown_name("architecture", str(spec), known) from error
        raise InputError(f"Architecture {str(spec)!r}: {error}.") from error
    assert isinstance(made, nn.Module)
    return made


def import_torchvision_models() -> Any:
    """Return torchvision.models; it loads torch.compile's parts, which take a second."""
    from torchvision import models  # noqa: PLC0415 - only networks of torchvision need it

    return models


def import_timm() -> Any:
    """Return the timm package; an InputError if it is not installed."""
    try:
        import timm  # noqa: PLC0415 - an extra, and seconds to load
    except ImportError as error:
        raise InputError("Networks of timm need the package: pip install 'actrobust[timm]'.") from error
    return timm


def _from_factory(spec: Architecture, facts: Mapping[str, Any]) -> nn.Module:
    what = f"Architecture {str(spec)!r}"
    factory = find_factory(f"{spec.source}:{spec.name}", what="Architecture")
    made = call_factory(factory, {**_taken(factory, facts), **spec.options}, what=what)
    if not isinstance(made, nn.Module):
        raise InputError(f"{what}: expected it to return a torch.nn.Module, got {type(made).__name__}.")
    if (program := program_in(made)) is not None:
        raise InputError(f"{what}: returned {program}.")
    return made


def _taken(factory: Callable[..., Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return those facts of a network that its factory takes by name; `**options` take classes and channels.

    >>> facts = {"classes": 10, "channels": 3, "side": 32}
    >>> _taken(lambda classes, width=8: ..., facts), _taken(lambda **options: ..., facts)
    ({'classes': 10}, {'classes': 10, 'channels': 3})
    """
    usual = {"classes", "channels"}
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # its signature is not known, as of some functions in C
        names = usual
    else:
        names = {own.name for own in parameters if own.kind in (own.POSITIONAL_OR_KEYWORD, own.KEYWORD_ONLY)}
        names |= usual if any(own.kind is own.VAR_KEYWORD for own in parameters) else set()
    return {name: value for name, value in facts.items() if name in names and value is not None}


def program_in(network: nn.Module) -> str | None:
    """Name the kind of program, with advice, if a network is one: its layers cannot be watched. Else None.

    >>> program_in(nn.ReLU()) is None
    True
    """
    for kind in type(network).__mro__:
        for module, (name, advice) in _PROGRAMS.items():
            if f"{kind.__module__}.".startswith(f"{module}."):
                return f"{name}, whose layers cannot be watched; {advice}"
    return None
