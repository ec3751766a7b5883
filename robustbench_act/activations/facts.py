"""The sheet of activations: name, label, family, formula, source and line of each, without torch."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from robustbench_act.errors import InputError, unknown_name
from robustbench_act.user_code import package_of, plugins

FAMILIES = ("LayerAct", "ANAct", "smooth", "rectifier", "other")
"""The families of this package's activations, in the order of legends; others come after them."""

NATIVE = "native"
"""Stands for an activation: the network keeps the ones it was written with."""


@dataclass(frozen=True)
class ActivationFacts:
    """What is known of an activation before its code is loaded.

    Attributes
    ----------
    name : str
        As in tables and published file names, "la_silu".
    label : str
        As its paper writes it, "LA-SiLU".
    family : str
        One of `FAMILIES`, or one of the user's.
    formula, source : str
        The function in one line, and where it was published.
    parameters : mapping
        The accepted parameters and their defaults.
    colour : str
        Colour of its line in every figure, "#d55e00"; "" lets the report choose one by the name.
    width : float
        Width of the line in points; figures bring lines above 1.5 to the front.
    dash : tuple of float
        Lengths on, off, ... in points; empty for a solid line.
    origin : str
        Where a user's own is defined, "mine.acts:GatedCube"; "" for those of this package.
    digest : str
        SHA-256 of the source of a user's own.
    """

    name: str
    label: str
    family: str
    formula: str
    source: str = ""
    _: KW_ONLY
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    colour: str = ""
    width: float = 1.1
    dash: tuple[float, ...] = ()
    origin: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(_COLOUR, self.colour):
            raise InputError(
                f"Activation {self.name!r}: expected a colour such as #d55e00, got {self.colour!r}."
            )

    def to_record(self) -> dict[str, Any]:
        """Return what specs and run.json keep of a user's own activation: {} for those of this package."""
        if not self.origin:
            return {}
        return {name: getattr(self, name) for name in _RECORDED}

    @classmethod
    def from_record(cls, name: str, record: Mapping[str, Any]) -> "ActivationFacts":
        """Return the facts that `to_record` wrote; what is missing or of another type gets its default."""
        texts = {key: record[key] for key in _RECORDED if isinstance(record.get(key), str)}
        if not re.fullmatch(_COLOUR, texts.get("colour", "")):
            texts["colour"] = ""
        return cls(**{"label": name, "family": "other", "formula": "", **texts, "name": name})


_COLOUR = r"(#[0-9a-f]{6})?"
_RECORDED = ("label", "family", "formula", "source", "colour", "origin", "digest")

_LAYERACT, _ANACT = "arXiv 2306.04940", "arXiv 2208.13315"
_GATE = "n = y normalised over all of the sample's elements"
_ANACT_DEFAULTS = {"momentum": 0.9, "bound": 0.3, "clip": (0.8, 1.2), "eps": 1e-5}

# Colours are those of Okabe and Ito, distinct for colour-blind readers. Families differ in hue, weight and
# dash, so that they survive grey print: LayerAct thick, solid and warm; ANAct thick, dashed and blue;
# rectifiers thin and grey; smooth functions thin, green and purple.
ACTIVATIONS = (
    ActivationFacts("relu", "ReLU", "rectifier", "max(x, 0)", "Nair & Hinton 2010", colour="#24292f"),
    ActivationFacts(
        "relu6", "ReLU6", "rectifier", "min(max(x, 0), 6)", "Krizhevsky 2010",
        colour="#6e7781", dash=(3, 1.5),
    ),
    ActivationFacts(
        "leakyrelu", "LeakyReLU", "rectifier", "max(x, 0) + negative_slope min(x, 0)", "Maas et al. 2013",
        parameters={"negative_slope": 0.01}, colour="#8c959f",
    ),
    ActivationFacts(
        "prelu", "PReLU", "rectifier", "max(x, 0) + w min(x, 0), w learnt, init at the start",
        "arXiv 1502.01852", parameters={"num_parameters": 1, "init": 0.25},
        colour="#6e7781", dash=(1, 1.5),
    ),
    ActivationFacts(
        "elu", "ELU", "smooth", "x if x > 0 else alpha (exp(x) - 1)", "arXiv 1511.07289",
        parameters={"alpha": 1.0}, colour="#cc79a7", dash=(1, 1.5),
    ),
    ActivationFacts(
        "gelu", "GELU", "smooth", "x Phi(x), Phi the normal distribution function", "arXiv 1606.08415",
        colour="#cc79a7",
    ),
    ActivationFacts(
        "mish", "Mish", "smooth", "x tanh(log(1 + exp(x)))", "arXiv 1908.08681",
        colour="#8a4f7d", dash=(5, 1.5, 1, 1.5),
    ),
    ActivationFacts(
        "silu", "SiLU", "smooth", "x / (1 + exp(-x)), Swish with beta 1", "arXiv 1702.03118",
        colour="#009e73",
    ),
    ActivationFacts(
        "hardsilu", "HardSiLU", "smooth", "x clip(x/6 + 1/2, 0, 1), also called Hardswish",
        "arXiv 1905.02244", colour="#009e73", dash=(1, 1.5),
    ),
    ActivationFacts(
        "la_silu", "LA-SiLU", "LayerAct", f"y / (1 + exp(-n)), {_GATE}", _LAYERACT,
        parameters={"alpha": 1e-5}, colour="#d55e00", width=2.2,
    ),
    ActivationFacts(
        "la_hardsilu", "LA-HardSiLU", "LayerAct", f"y clip(n/6 + 1/2, 0, 1), {_GATE}", _LAYERACT,
        parameters={"alpha": 1e-5}, colour="#e69f00", width=2.2,
    ),
    ActivationFacts(
        "nrelu", "NReLU", "ANAct", "(lambda + b(a)) (ReLU(x) - mu), lambda and mu running averages", _ANACT,
        parameters=_ANACT_DEFAULTS, colour="#56b4e9", width=2.0, dash=(4, 1.5),
    ),
    ActivationFacts(
        "nswish", "NSwish", "ANAct", "(lambda + b(a)) (SiLU(x) - mu), lambda and mu running averages", _ANACT,
        parameters=_ANACT_DEFAULTS, colour="#0072b2", width=2.0, dash=(4, 1.5),
    ),
    ActivationFacts(
        "selu", "SELU", "smooth", "1.0507 x if x > 0 else 1.0507 * 1.6733 (exp(x) - 1)", "arXiv 1706.02515",
        colour="#cc79a7", dash=(4, 1.5),
    ),
    ActivationFacts(
        "celu", "CELU", "smooth", "max(x, 0) + min(0, alpha (exp(x / alpha) - 1))", "arXiv 1704.07483",
        parameters={"alpha": 1.0}, colour="#cc79a7", dash=(6, 2),
    ),
    ActivationFacts(
        "softplus", "Softplus", "smooth", "log(1 + exp(beta x)) / beta", "Dugas et al. 2001",
        parameters={"beta": 1.0}, colour="#8a4f7d",
    ),
    ActivationFacts(
        "tanh", "Tanh", "smooth", "tanh(x)", "LeCun et al. 1998", colour="#8a4f7d", dash=(1, 1.5),
    ),
    ActivationFacts(
        "gelu_tanh", "GELU-tanh", "smooth", "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
        "arXiv 1606.08415", colour="#cc79a7", dash=(2, 1),
    ),
    ActivationFacts(
        "rrelu", "RReLU", "rectifier",
        "max(x, 0) + w min(x, 0), w uniform from lower to upper in training, their mean in evaluation",
        "arXiv 1505.00853", parameters={"lower": 1 / 8, "upper": 1 / 3}, colour="#8c959f", dash=(3, 1.5),
    ),
    ActivationFacts(
        "swish", "Swish", "smooth", "x sigmoid(beta x), beta learnt", "arXiv 1710.05941",
        parameters={"beta": 1.0}, colour="#009e73", dash=(4, 1.5),
    ),
    ActivationFacts(
        "smu", "SMU", "smooth", "((1 + alpha) x + (1 - alpha) x erf(mu (1 - alpha) x)) / 2, mu learnt",
        "arXiv 2111.04682", parameters={"alpha": 0.25, "mu": 1e6},
        colour="#4d8f3c", dash=(1, 1.5),
    ),
    ActivationFacts(
        "serf", "Serf", "smooth", "x erf(log(1 + exp(x)))", "arXiv 2108.09598",
        colour="#8a4f7d", dash=(4, 1.5),
    ),
    ActivationFacts(
        "tanhexp", "TanhExp", "smooth", "x tanh(exp(x))", "arXiv 2003.09855", colour="#8a4f7d", dash=(6, 2),
    ),
    ActivationFacts(
        "logish", "Logish", "smooth", "x log(1 + sigmoid(x))", "doi 10.1016/j.neucom.2021.06.067",
        colour="#009e73", dash=(6, 2),
    ),
    ActivationFacts(
        "snake", "Snake", "smooth", "x + sin(a x)^2 / a, a learnt", "arXiv 2006.08195",
        parameters={"a": 0.5}, colour="#6a7f10",
    ),
    ActivationFacts(
        "acon_c", "ACON-C", "smooth",
        "(p1 - p2) x sigmoid(beta (p1 - p2) x) + p2 x, p1, p2 and beta learnt per channel",
        "arXiv 2009.04759", colour="#4d8f3c",
    ),
    ActivationFacts(
        "meta_acon", "Meta-ACON", "smooth", "ACON-C with beta = sigmoid(W2 W1 m), m the channels' means",
        "arXiv 2009.04759", parameters={"reduction": 16}, colour="#4d8f3c", dash=(4, 1.5),
    ),
    ActivationFacts(
        "frelu", "FReLU", "rectifier",
        "max(x, T(x)), T a depthwise 3 x 3 convolution with batch normalisation",
        "arXiv 2007.11824", colour="#24292f", dash=(4, 1.5),
    ),
    ActivationFacts(
        "dyt", "DyT", "smooth", "weight tanh(alpha x) + bias, alpha learnt, weight and bias per channel",
        "arXiv 2503.10622", parameters={"alpha": 0.5}, colour="#6a7f10", dash=(4, 1.5),
    ),
    ActivationFacts(
        NATIVE, "Native", "other", "what the network was written with",
        colour="#7a6a2f", width=1.4, dash=(6, 1.5, 1, 1.5),
    ),
)  # fmt: skip
"""The activations of this package, and the entry for networks that keep their own."""

SHEET = {facts.name: facts for facts in ACTIVATIONS}
"""The facts by name: those of this package, then what the user registers (`register_activation`)."""

_SEEN: dict[str, ActivationFacts] = {}
"""Facts that specs and runs record of activations whose code this process has not loaded."""


def remember(records: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Keep what specs and runs record of users' activations, by name: labels and lines come from there.

    >>> remember([("gated_cube", {"label": "Gated cube", "origin": "mine.acts:GatedCube"})])
    >>> known_facts("gated_cube").label
    'Gated cube'
    """
    for name, record in records:
        if record:
            plain = name.partition("(")[0]
            _SEEN[plain] = ActivationFacts.from_record(plain, record)


def known_facts(name: str) -> ActivationFacts | None:
    """Return the facts of an activation that is registered or that a record tells of, else None."""
    return SHEET.get(name) or _SEEN.get(name)


def list_activations(pattern: str = "*") -> list[str]:
    """Return the names of the activations that match a wildcard pattern, sorted.

    They are those of this package, of installed plugins (entry points `actrobust.activations`, not loaded
    here), and what was registered.

    >>> list_activations("la_*")
    ['la_hardsilu', 'la_silu']
    """
    names = {*SHEET, *plugins("activations")} - {NATIVE}
    return sorted(name for name in names if fnmatchcase(name, pattern))


def activation_facts(name: str) -> ActivationFacts:
    """Return the facts of an activation; an unknown name raises InputError, which suggests the nearest one.

    >>> facts = activation_facts("la_silu")
    >>> facts.label, facts.family, dict(facts.parameters)
    ('LA-SiLU', 'LayerAct', {'alpha': 1e-05})
    """
    if name in SHEET:
        return SHEET[name]
    point = plugins("activations").get(name)
    if point is None:
        raise unknown_name("activation", name, list_activations())
    return ActivationFacts(name, name, "other", "", package_of(point), origin=point.value)
