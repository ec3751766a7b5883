"""Kinds of values: how an option is written on a command line and in TOML, and what the code gets."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Literal


@dataclass(frozen=True)
class Kind:
    """A kind of value, with one check for the command line and for manifests.

    Attributes
    ----------
    expected
        The kind in words, for errors: "expected ..., got ...".
    schema
        Its JSON schema.
    fits
        Whether a value of TOML is of this kind.
    read
        From a text on the command line to a value of TOML; a ValueError if that is impossible.
    made
        From a value of TOML to the one that the code gets.
    typed
        Like `expected`, if values are written differently on the command line.
    names
        The only values, if they can be listed.
    path
        Whether the value is a path, and of what.
    words
        Values that are no paths, if others are.
    """

    expected: str
    schema: Mapping[str, Any]
    fits: Callable[[Any], bool]
    read: Callable[[str], Any] = str
    made: Callable[[Any], Any] = field(default=lambda value: value)
    typed: str = ""
    names: tuple[str, ...] = ()
    path: Literal["", "any", "file", "folder"] = ""
    words: tuple[str, ...] = ()

    def take(self, value: Any) -> Any:
        """Return what the code gets for a value of TOML.

        >>> whole(1).take("many")
        Traceback (most recent call last):
        ValueError: expected a whole number from 1 up, got 'many'.
        """
        if not self.fits(value):
            raise ValueError(f"expected {self.expected}, got {value!r:.60}.")
        return self.made(value)

    def parse(self, text: str) -> Any:
        """Return what the code gets for a text on the command line.

        >>> NUMBERS.parse("1,2.5")
        (1.0, 2.5)
        """
        try:
            return self.take(self.read(text))
        except ValueError:
            raise ValueError(f"expected {self.typed or self.expected}, got {text!r:.60}.") from None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_parameter(value: Any) -> bool:
    """Whether a value can be an activation's parameter: a number, a text, True, False, a list of numbers."""
    parts = value if isinstance(value, list | tuple) else [value]
    return isinstance(value, str | bool) or all(map(is_number, parts))


def use_plain_numbers(settings: Any) -> None:
    """Turn the numbers of a new frozen dataclass, such as NumPy's, into Python's, which JSON can hold."""
    for item in fields(settings):
        value = getattr(settings, item.name)
        plain = int if isinstance(value, Integral) else float if isinstance(value, Real) else None
        if plain is not None and not isinstance(value, int | float):
            object.__setattr__(settings, item.name, plain(value))


def is_colour(value: Any) -> bool:
    """Whether a value is a colour as figures take it.

    >>> is_colour("#d55e00"), is_colour("red")
    (True, False)
    """
    return _is_text(value) and re.fullmatch("#[0-9a-fA-F]{6}", value) is not None


def _list_of(item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(map(item, value))


def _split(item: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    return lambda text: [item(part) for part in text.split(",")]


def split_outside_brackets(text: str, mark: str = ",", most: int = -1) -> list[str]:
    """Return the parts of a text between marks that are in no round brackets, at most `most` times split.

    >>> split_outside_brackets("relu, mine(a=1, b=2)"), split_outside_brackets("mine(a=1)=A=B", "=", 1)
    (['relu', 'mine(a=1, b=2)'], ['mine(a=1)', 'A=B'])
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")" and depth > 0)
        if letter == mark and depth == 0 and len(parts) != most + 1:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _by_name(text: str) -> dict[str, str]:
    """Return texts by name; a part without a name belongs to the text before it."""
    found: dict[str, str] = {}
    for part in split_outside_brackets(text):
        name, *value = split_outside_brackets(part, "=", 1)
        if value:
            found[name] = value[0]
        elif found:
            found[[*found][-1]] += f", {name}"
        else:
            raise ValueError(part)
    return found


def whole(least: int | None = None) -> Kind:
    """Return the kind of whole numbers, from `least` up."""
    if least is None:
        return Kind("a whole number", {"type": "integer"}, _is_whole, int)
    schema = {"type": "integer", "minimum": least}
    return Kind(
        f"a whole number from {least} up", schema, lambda value: _is_whole(value) and value >= least, int
    )


def choice(*names: str) -> Kind:
    """Return the kind of values that is one of a few names.

    >>> choice("local", "ray").expected
    'local or ray'
    """
    expected = f"{', '.join(names[:-1])} or {names[-1]}"
    return Kind(expected, {"enum": list(names)}, lambda value: value in names, names=names)


def _report_formats(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def formats(expected: str, *, none: bool) -> Kind:
    """Return the kind of lists of a report's formats, in one text.

    >>> formats("html, pdf, html,pdf or none", none=True).parse("html,pdf")
    ('html', 'pdf')
    """

    def fits(value: Any) -> bool:
        return (
            _is_text(value) and set(_report_formats(value)) <= {"html", "pdf"} and (none or value != "none")
        )

    return Kind(expected, {"type": "string"}, fits, made=_report_formats)


TEXT = Kind("a text", {"type": "string"}, _is_text)
TEXTS = Kind(
    "a list of texts",
    {"type": "array", "items": {"type": "string"}, "minItems": 1},
    _list_of(_is_text),
    made=tuple,
)
NAME_LIST = Kind(
    "a list of names",
    {"type": "array", "items": {"type": "string"}, "minItems": 1},
    _list_of(lambda item: _is_text(item) and bool(item)),
    split_outside_brackets,
    tuple,
    "names with commas between them",
)
TEXT_BY_NAME = Kind(
    "a table of texts",
    {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
    lambda value: isinstance(value, dict) and all(map(_is_text, value.values())) and all(value.values()),
    _by_name,
    typed="NAME=LABEL with commas between them",
)
COLOUR_BY_NAME = Kind(
    "a table of colours such as #d55e00",
    {"type": "object", "additionalProperties": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}},
    lambda value: isinstance(value, dict) and all(map(is_colour, value.values())),
    _by_name,
    typed="NAME=#d55e00 with commas between them",
)
FLAG = Kind("true or false", {"type": "boolean"}, lambda value: isinstance(value, bool))
PATH = Kind("a path", {"type": "string"}, _is_text, path="any")
FILE = Kind("a path", {"type": "string"}, _is_text, path="file")
CLASS_ORDERS = ("string", "natural")
CLASS_ORDER = Kind("string, natural or a path", {"type": "string"}, _is_text, path="file", words=CLASS_ORDERS)
PRESENT = "present"
"""In place of names of classes: those that have images."""
VALID_CLASSES = Kind(
    "present, a path or a list of names",
    {
        "oneOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 2},
        ]
    },
    lambda value: _is_text(value) or _list_of(lambda item: _is_text(item) or _is_whole(item))(value),
    made=lambda value: tuple(value) if isinstance(value, list) else value,
    typed="present, a path or names with commas between them",
    path="file",
    words=(PRESENT,),
)
FOLDER = Kind("a path", {"type": "string"}, _is_text, path="folder")
NUMBER = Kind("a number", {"type": "number"}, is_number, float)
RATES = Kind(
    "a number, or a text such as 0.1,silu=0.05",
    {"type": ["number", "string"]},
    lambda value: is_number(value) or _is_text(value),
    _number_or_text,
)
POINTS = Kind(
    "a number above 0, at most 100",
    {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    lambda value: is_number(value) and 0 < value <= 100,
    float,
)
SHARE = Kind(
    "a number from 0 to 1",
    {"type": "number", "minimum": 0, "maximum": 1},
    lambda value: is_number(value) and 0 <= value <= 1,
    float,
)
NUMBERS = Kind(
    "a list of numbers",
    {"type": "array", "items": {"type": "number"}, "minItems": 1},
    _list_of(is_number),
    _split(float),
    tuple,
    "numbers with commas between them",
)
SIZE = Kind(
    "three whole numbers from 1 up",
    {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3},
    lambda value: _list_of(whole(1).fits)(value) and len(value) == 3,
    _split(int),
    tuple,
    "three whole numbers with commas between them",
)
RESIZE = Kind(
    "a whole number from 1 up, or two of them",
    {
        "oneOf": [
            {"type": "integer", "minimum": 1},
            {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
        ]
    },
    lambda value: whole(1).fits(value) or (_list_of(whole(1).fits)(value) and len(value) == 2),
    lambda text: [int(side) for side in text.split(",")] if "," in text else int(text),
    lambda value: tuple(value) if isinstance(value, list) else int(value),
    "a whole number from 1 up, or two with a comma between them",
)
LABELS = ("activation", "architecture", "group")
"""What tables may call a network's parts by names of one's own."""
NAMES = Kind(
    f"a table of texts with the keys {', '.join(LABELS)}",
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"type": "string", "minLength": 1} for name in LABELS},
    },
    lambda value: (
        isinstance(value, dict)
        and value.keys() <= set(LABELS)
        and all(_is_text(text) and text.strip() for text in value.values())
    ),
)
SEEDS = Kind(
    "a whole number from 0 up, or a list of them",
    {
        "oneOf": [
            {"type": "integer", "minimum": 0},
            {"type": "array", "items": {"type": "integer", "minimum": 0}},
        ]
    },
    lambda value: whole(0).fits(value) or _list_of(whole(0).fits)(value),
)
NUMBER_OR_SEEDS = Kind(
    "a whole number from 1 up, or a list of seeds",
    SEEDS.schema,
    lambda value: whole(1).fits(value) or _list_of(whole(0).fits)(value),
    lambda text: _split(int)(text) if "," in text else int(text),
    lambda value: tuple(value) if isinstance(value, list) else value,
    "a whole number from 1 up, or seeds with commas between them",
)
_PARAMETER: Mapping[str, Any] = {
    "type": ["number", "string", "boolean", "array"],
    "items": {"type": "number"},
}
PARAMETERS = Kind(
    "a table of numbers, texts, true, false, or lists of numbers",
    {"type": "object", "additionalProperties": _PARAMETER},
    lambda value: isinstance(value, dict) and all(map(is_parameter, value.values())),
)
