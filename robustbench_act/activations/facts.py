"""The sheet of activations: name, label, family, formula, source and line of each, without torch."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import is_parameter, split_outside_brackets
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

_OWN_LABELS: ContextVar[Mapping[str, str]] = ContextVar("labels of one's own", default=MappingProxyType({}))

SHEET = {facts.name: facts for facts in ACTIVATIONS}
"""The facts by name: those of this package, then what the user registers (`register_activation`)."""

_SEEN: dict[str, ActivationFacts] = {}
"""Facts that specs and runs record of activations whose code this process has not loaded."""


def remember(records: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Keep what specs and runs record of users' activations, by name: labels and lines come from there.

    >>> remember([("gated_cube", {"label": "Gated cube", "origin": "mine.acts:GatedCube"})])
    >>> activation_label("gated_cube(alpha=0.1)")
    'Gated cube (alpha=0.1)'
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


def activation_name(name: str, parameters: Mapping[str, object]) -> str:
    """Return an activation as tables name it: with those parameters that differ from the defaults.

    >>> activation_name("la_silu", {"alpha": 0.1}), activation_name("la_silu", {"alpha": 1e-5})
    ('la_silu(alpha=0.1)', 'la_silu')
    """
    usual = SHEET[name].parameters if name in SHEET else {}
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()}
    unusual = [f"{key}={_written(value)}" for key, value in given.items() if usual.get(key) != value]
    return name + (f"({', '.join(unusual)})" if unusual else "")


def _written(value: object) -> str:
    short = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""
    return short if short and float(short) == value else repr(value)


_NAMED = re.compile(r"(?P<name>[^()]+?)\s*(?:\((?P<arguments>.*)\))?", re.DOTALL)


def parse_activation(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters of an activation as tables and command lines write it.

    The values are Python literals; nothing is executed. An InputError quotes what is none.

    >>> parse_activation("LA-SiLU (alpha=0.1)"), parse_activation("mine.acts:GatedCube(mode='soft')")
    (('la_silu', {'alpha': 0.1}), ('mine.acts:GatedCube', {'mode': 'soft'}))
    """
    match = _NAMED.fullmatch(text.strip())
    if match is None:
        raise _no_activation(text)
    name = _by_label().get(match["name"], match["name"])
    try:
        call = ast.parse(f"f({match['arguments'] or ''})", mode="eval").body
        words = {str(word.arg): ast.literal_eval(word.value) for word in getattr(call, "keywords", ())}
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _no_activation(text) from error
    if not isinstance(call, ast.Call) or call.args or not all(map(is_parameter, words.values())):
        raise _no_activation(text)
    return name, words


def _no_activation(text: str) -> InputError:
    values = "values are numbers, texts, True, False, or lists of numbers"
    return InputError(f"Activation {text!r}: expected NAME or NAME(parameter=value, ...); {values}.")


def _by_label() -> dict[str, str]:
    return {facts.label: name for name, facts in SHEET.items()}


def split_activations(text: str) -> list[str]:
    """Return the activations in a list with commas; commas within brackets separate parameters.

    >>> split_activations("relu, nrelu(momentum=0.5, bound=0.1),silu")
    ['relu', 'nrelu(momentum=0.5, bound=0.1)', 'silu']
    """
    return [part for part in split_outside_brackets(text) if part]


def activation_label(name: str) -> str:
    """Return how people write an activation that tables name so.

    >>> activation_label("la_silu"), activation_label("la_silu(alpha=0.1)"), activation_label("mine")
    ('LA-SiLU', 'LA-SiLU (alpha=0.1)', 'mine')
    """
    own = _OWN_LABELS.get()
    if name in own:
        return own[name]
    plain, bracket, parameters = name.partition("(")
    facts = known_facts(plain)
    label = own.get(plain) or (facts.label if facts is not None else plain)
    return f"{label} ({parameters}" if bracket else label


@contextmanager
def labelled(labels: Mapping[str, str]) -> Iterator[None]:
    """Let `activation_label` return labels of one's own: by name, with or without parameters.

    >>> with labelled({"la_silu": "Ours"}):
    ...     activation_label("la_silu"), activation_label("la_silu(alpha=0.1)")
    ('Ours', 'Ours (alpha=0.1)')
    """
    token = _OWN_LABELS.set(labels)
    try:
        yield
    finally:
        _OWN_LABELS.reset(token)


def find_activation(text: str, names: Iterable[str]) -> str:
    """Return the one of some activations, named as in tables, that a person means by its name or label.

    If there is none, raises InputError, which suggests the nearest name.

    >>> find_activation("LA-SiLU (alpha=0.10)", ["relu", "la_silu(alpha=0.1)"])
    'la_silu(alpha=0.1)'
    """
    known = list(dict.fromkeys(names))
    if text in known:
        return text
    for name in known:
        if text == activation_label(name):
            return name
    for name in known:
        if _means_the_same(text, name):
            return name
    raise unknown_name("activation of this run", text, known)


def _means_the_same(text: str, name: str) -> bool:
    """Tell whether two texts have one name and equal parameters: alpha=2.0 is alpha=2."""
    try:
        return "(" in text and parse_activation(text) == parse_activation(name)
    except InputError:  # the name of a group of networks, which may be any text
        return False


def named_activations(values: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return labels or colours by the names of some activations, with or without parameters.

    Raises InputError for a name that is none of them, see `find_activation`.

    >>> named_activations({"LA-SiLU": "Ours"}, ["relu", "la_silu(alpha=0.1)"])
    {'la_silu': 'Ours'}
    """
    known = [*names]
    known += [name.partition("(")[0] for name in known]
    return {find_activation(name, known): value for name, value in values.items()}
