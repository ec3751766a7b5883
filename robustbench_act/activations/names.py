"""Activations as people write them: names with parameters and labels, parsed and made, without torch."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from robustbench_act.activations.facts import SHEET, known_facts
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import is_parameter, split_outside_brackets

_OWN_LABELS: ContextVar[Mapping[str, str]] = ContextVar("labels of one's own", default=MappingProxyType({}))


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

    The values are Python literals; nothing is executed. A text that cannot be read raises InputError.

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

    An unknown name raises InputError, which suggests the nearest one.

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

    An unknown name raises InputError, see `find_activation`.

    >>> named_activations({"LA-SiLU": "Ours"}, ["relu", "la_silu(alpha=0.1)"])
    {'la_silu': 'Ours'}
    """
    known = [*names]
    known += [name.partition("(")[0] for name in known]
    return {find_activation(name, known): value for name, value in values.items()}
