"""The registry of activations: one entry per name, its facts beside it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal

from torch import nn

from robustbench_act.activations.anact import NReLU, NSwish
from robustbench_act.activations.layeract import LAHardSiLU, LASiLU
from robustbench_act.errors import InputError, unknown_name

Family = Literal["element-wise", "LayerAct", "ANAct"]


@dataclass(frozen=True, kw_only=True)
class ActivationFacts:
    """What is known of one registered activation.

    Attributes
    ----------
    name : str
        As in the published file names, "la_silu".
    label : str
        As in figures and tables, "LA-SiLU".
    family : str
        "element-wise", "LayerAct" or "ANAct".
    formula : str
        The function and where it comes from, in one line.
    factory : callable
        Makes the module from the parameters.
    parameters : mapping
        The accepted parameters and their defaults.
    stateful : bool
        Whether the module learns or averages something, so that two layers must not share it.
    """

    name: str
    label: str
    family: Family
    formula: str
    factory: Callable[..., nn.Module]
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    stateful: bool = False


_REGISTRY: dict[str, ActivationFacts] = {}


def _register(facts: ActivationFacts) -> None:
    if facts.name in _REGISTRY:
        raise ValueError(f"activation {facts.name!r} is registered twice")
    _REGISTRY[facts.name] = facts


_LAYERACT = "arXiv 2306.04940"
_ANACT = "arXiv 2208.13315"
_GATE_OF_ALL = "n = y normalised over all of the sample's elements"
_ANACT_DEFAULTS = {"momentum": 0.9, "bound": 0.3, "clip": (0.8, 1.2), "eps": 1e-5}

for _facts in (
    ActivationFacts(
        name="relu",
        label="ReLU",
        family="element-wise",
        formula="max(x, 0)  (Nair & Hinton 2010)",
        factory=nn.ReLU,
    ),
    ActivationFacts(
        name="relu6",
        label="ReLU6",
        family="element-wise",
        formula="min(max(x, 0), 6)  (Krizhevsky 2010)",
        factory=nn.ReLU6,
    ),
    ActivationFacts(
        name="leakyrelu",
        label="LeakyReLU",
        family="element-wise",
        formula="max(x, 0) + negative_slope min(x, 0)  (Maas et al. 2013)",
        factory=nn.LeakyReLU,
        parameters={"negative_slope": 0.01},
    ),
    ActivationFacts(
        name="prelu",
        label="PReLU",
        family="element-wise",
        formula="max(x, 0) + w min(x, 0), w learnt, init at the start  (arXiv 1502.01852)",
        factory=nn.PReLU,
        parameters={"num_parameters": 1, "init": 0.25},
        stateful=True,
    ),
    ActivationFacts(
        name="elu",
        label="ELU",
        family="element-wise",
        formula="x if x > 0 else alpha (exp(x) - 1)  (arXiv 1511.07289)",
        factory=nn.ELU,
        parameters={"alpha": 1.0},
    ),
    ActivationFacts(
        name="gelu",
        label="GELU",
        family="element-wise",
        formula="x Phi(x), Phi the normal distribution function  (arXiv 1606.08415)",
        factory=nn.GELU,
    ),
    ActivationFacts(
        name="mish",
        label="Mish",
        family="element-wise",
        formula="x tanh(log(1 + exp(x)))  (arXiv 1908.08681)",
        factory=nn.Mish,
    ),
    ActivationFacts(
        name="silu",
        label="SiLU",
        family="element-wise",
        formula="x / (1 + exp(-x)), also called Swish  (arXiv 1702.03118)",
        factory=nn.SiLU,
    ),
    ActivationFacts(
        name="hardsilu",
        label="HardSiLU",
        family="element-wise",
        formula="x clip(x/6 + 1/2, 0, 1), also called Hardswish  (arXiv 1905.02244)",
        factory=nn.Hardswish,
    ),
    ActivationFacts(
        name="la_silu",
        label="LA-SiLU",
        family="LayerAct",
        formula=f"y / (1 + exp(-n)), {_GATE_OF_ALL}  ({_LAYERACT})",
        factory=LASiLU,
        parameters={"alpha": 1e-5},
    ),
    ActivationFacts(
        name="la_hardsilu",
        label="LA-HardSiLU",
        family="LayerAct",
        formula=f"y clip(n/6 + 1/2, 0, 1), {_GATE_OF_ALL}  ({_LAYERACT})",
        factory=LAHardSiLU,
        parameters={"alpha": 1e-5},
    ),
    ActivationFacts(
        name="nrelu",
        label="NReLU",
        family="ANAct",
        formula=f"(lambda + b(a)) (ReLU(x) - mu), lambda and mu running averages  ({_ANACT})",
        factory=NReLU,
        parameters=_ANACT_DEFAULTS,
        stateful=True,
    ),
    ActivationFacts(
        name="nswish",
        label="NSwish",
        family="ANAct",
        formula=f"(lambda + b(a)) (SiLU(x) - mu), lambda and mu running averages  ({_ANACT})",
        factory=NSwish,
        parameters=_ANACT_DEFAULTS,
        stateful=True,
    ),
):
    _register(_facts)


def list_activations(pattern: str = "*") -> list[str]:
    """Return the registered names that match a wildcard pattern, sorted.

    >>> list_activations("la_*")
    ['la_hardsilu', 'la_silu']
    """
    return sorted(name for name in _REGISTRY if fnmatchcase(name, pattern))


def activation_facts(name: str) -> ActivationFacts:
    """Return what is known of an activation: label, family, formula, default parameters.

    Raises
    ------
    InputError
        On a name that is not registered.

    Examples
    --------
    >>> facts = activation_facts("la_silu")
    >>> facts.label, facts.family, dict(facts.parameters)
    ('LA-SiLU', 'LayerAct', {'alpha': 1e-05})
    """
    if name not in _REGISTRY:
        raise unknown_name("activation", name, _REGISTRY)
    return _REGISTRY[name]


def get_activation(name: str, **parameters: object) -> nn.Module:
    """Return a fresh activation module by its registered name.

    Parameters
    ----------
    name : str
        One of `list_activations()`.
    **parameters
        In place of the defaults that `activation_facts(name).parameters` lists.

    Raises
    ------
    InputError
        On an unknown name, a parameter that the activation does not take, or a value it cannot use.

    Examples
    --------
    >>> get_activation("la_silu", alpha=0.1)
    LASiLU(alpha=0.1)
    """
    facts = activation_facts(name)
    for parameter, value in parameters.items():
        if parameter not in facts.parameters:
            accepted = ", ".join(facts.parameters) or "none"
            raise InputError(f"Activation {name!r} takes no parameter {parameter!r}. It accepts: {accepted}.")
        _check_kind(f"Activation {name!r}, parameter {parameter!r}", value, facts.parameters[parameter])
    return facts.factory(**parameters)


def _check_kind(where: str, value: object, default: object) -> None:
    """Raise unless `value` is a pair of numbers, a positive integer or a number, as `default` is."""
    if isinstance(default, tuple):
        wanted = "two finite numbers"
        fits = isinstance(value, tuple | list) and len(value) == 2 and all(_is_number(part) for part in value)
    elif isinstance(default, int):
        wanted = "a positive integer"
        fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
    else:
        wanted = "a finite number"
        fits = _is_number(value)
    if not fits:
        raise InputError(f"{where}: expected {wanted}, got {value!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
