"""The severity constants that corruptions of other packages declare: on the class, or in a TOML file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from .errors import InputError, unknown_name
from .severity import ANY_SIZE, LONGEST_SIDES, SEVERITIES, list_tables
from .toml_files import read_toml

Severities: TypeAlias = Mapping[str, Any] | str | Path
"""Constants by field, five or one for all severities; or a TOML file, see `read_constants`."""

_RULES = ("linear", "round", "nearest")
_KEYS = ("unit", "meaning", "between")


def read_constants(name: str, severities: Severities, units: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the constants of a corruption in the form of `severities.toml`, checked.

    A mapping holds for every image size. Between integer severities numbers are interpolated, whole numbers
    then rounded; anything else is that of the nearest integer severity. A TOML file says it in the words of
    `severities.toml`, of one corruption or several: `[tables.any]`, or `[tables.32]`, `[tables.64]` and
    `[tables.224]` for the image sizes, and, if there are units or other rules, `[fields.NAME]`. Raises
    InputError for anything else.

    >>> dust = read_constants("dust", {"share": (0.01, 0.02, 0.05, 0.1, 0.2), "side": (1, 1, 2, 2, 3)}, {})
    >>> {field: rule["between"] for field, rule in dust["fields"]["dust"].items()}
    {'share': 'linear', 'side': 'round'}
    """
    where = f"corruption {name!r}"
    if isinstance(severities, str | Path):
        return _from_file(name, Path(severities))
    if not isinstance(severities, Mapping):
        raise InputError(
            "Expected `severities` as constants by field, such as {'share': (0.01, 0.02, 0.05, 0.1, 0.2)}, "
            f"or a TOML file, got {severities!r:.60} ({where})."
        )
    if unknown := next((field for field in units if field not in severities), None):
        raise InputError(f"Expected units of the fields of `severities`, got one of {unknown!r} ({where}).")
    columns = {str(field): _column(field, own, where=where) for field, own in severities.items()}
    rules = {field: {"unit": units.get(field, ""), "between": _rule(own)} for field, own in columns.items()}
    return {"fields": {name: rules}, "tables": {ANY_SIZE: {name: columns}}}


def _from_file(name: str, path: Path) -> Mapping[str, Any]:
    data = read_toml(path, what="severity constants")
    where = f"{path}, corruption {name!r}"
    found = {size: own[name] for size, own in _of(data, "tables", path).items() if name in own}
    if unknown := next((size for size in found if size not in (*list_tables(), ANY_SIZE)), None):
        raise InputError(f"{path}: {unknown_name('severity table', unknown, [*list_tables(), ANY_SIZE])}")
    missing = [size for size in LONGEST_SIDES if size not in found]
    if missing if ANY_SIZE not in found else len(found) > 1:
        raise InputError(
            f"Expected the constants in [tables.{ANY_SIZE}] alone, or in a table for each image size, "
            f"{', '.join(LONGEST_SIDES)}, got {', '.join(found) or 'none'} ({where})."
        )
    tables: dict[str, Any] = {} if ANY_SIZE in found else {key: {"inherits": "224"} for key in list_tables()}
    for size, given in found.items():
        if not isinstance(given, Mapping):
            raise InputError(f"Expected constants by field, got {given!r:.60} ({where}).")
        tables[size] = {name: {field: _column(field, own, where=where) for field, own in given.items()}}
    by_size = {size: tables[size][name] for size in found}
    fields = next(iter(by_size.values()))
    columns = {field: [own[field] for own in by_size.values() if field in own] for field in fields}
    if different := next((size for size, own in by_size.items() if own.keys() != columns.keys()), None):
        raise InputError(f"Expected the same fields in every table, got others for {different} ({where}).")
    return {"fields": {name: _rules(data, name, columns, path)}, "tables": tables}


def _of(data: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return a table of tables of a file; empty ones are left out."""
    found = data.get(key, {})
    if not isinstance(found, Mapping) or not all(isinstance(own, Mapping) for own in found.values()):
        raise InputError(f"{path}: expected tables in [{key}].")
    return found


def _rules(
    data: Mapping[str, Any], name: str, columns: Mapping[str, list[Any]], path: Path
) -> dict[str, Any]:
    """Return the rules of the fields, each with its columns in all tables."""
    said = _of(data, "fields", path).get(name, {})
    rules = {}
    for field, own_columns in columns.items():
        own = said.get(field, {})
        where = f"{path}: [fields.{name}] {field}"
        if not isinstance(own, Mapping):
            raise InputError(f'{where}: expected a table such as {{ unit = "pixels" }}, got {own!r:.60}.')
        if unknown := next((key for key in own if key not in _KEYS), None):
            raise InputError(f"{where}: {unknown_name('key', unknown, _KEYS)}")
        usual = _rule(*own_columns)
        between = own.get("between", usual)
        if between not in _RULES or (between != "nearest" and usual == "nearest"):
            raise InputError(f"{where}: expected between = {' or '.join(_RULES)}, got {between!r}.")
        rules[field] = {"unit": str(own.get("unit", "")), "between": between}
    if unknown := next((field for field in said if field not in columns), None):
        raise InputError(f"{path}: [fields.{name}]: {unknown_name('field', unknown, columns)}")
    return rules


def _column(field: object, given: Any, *, where: str) -> Any:
    """Return the five constants of a field as a list, or the one that holds for every severity."""
    if not isinstance(field, str) or not field.isidentifier():
        raise InputError(f"Expected the names of fields, got {field!r:.60} ({where}).")
    if isinstance(given, Sequence) and not isinstance(given, str):
        if len(given) != len(SEVERITIES):
            raise InputError(
                f"Expected five constants {field!r}, for severities 1 to 5, got {len(given)} ({where})."
            )
        return [_value(field, one, where=where) for one in given]
    return _value(field, given, where=where)


def _value(field: str, given: Any, *, where: str) -> Any:
    """Return a constant as JSON has it: a finite number, a text, true or false, or a list of these."""
    value = given.item() if hasattr(given, "item") else given  # NumPy's numbers
    if isinstance(value, list | tuple):
        return [_value(field, one, where=where) for one in value]
    number = isinstance(value, int | float) and math.isfinite(value)
    if not (number or isinstance(value, str)):
        raise InputError(
            f"Expected finite numbers, texts, True or False as {field!r}, got {given!r:.60} ({where})."
        )
    return value


def _rule(*columns: Any) -> str:
    values = [one for column in columns for one in (column if isinstance(column, list) else [column])]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers:
        return "nearest"
    return "round" if all(isinstance(value, int) for value in values) else "linear"
