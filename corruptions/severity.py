"""The one table of severity constants: which constants a corruption has at a severity and image size.

The data, with units and sources, are in `severities.toml` beside this file; corruptions of other packages
declare theirs in the same form, see `constants`.
"""

import math
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from numbers import Real
from typing import Any, TypeAlias

from .errors import InputError, unknown_name

SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)
"""The integer severities, those with published constants."""

ANY_SIZE = "any"
"""The table of the constants that do not depend on the image size (the input shifts)."""

LONGEST_SIDES = {"32": 48, "64": 128, "224": math.inf}
"""The tables chosen by image size: the longest shorter side that each is for, in pixels."""

Constant: TypeAlias = float | int | str | list[Any]


_declared: dict[str, Mapping[str, Any]] = {}  # by corruption, in the form of severities.toml


@cache
def _data() -> Mapping[str, Any]:
    text = files(__package__).joinpath("severities.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def declare(name: str, data: Mapping[str, Any]) -> None:
    """Add the constants of a corruption of another package, as `constants.read_constants` returns them."""
    _declared[name] = data


def withdraw(name: str) -> None:
    """Take declared constants out again."""
    del _declared[name]


def _data_of(name: str) -> Mapping[str, Any]:
    return _declared.get(name) or _data()


@cache
def list_tables() -> tuple[str, ...]:
    """Return the names of the tables a caller can ask for.

    >>> list_tables()
    ('32', '64', '224', '299', 'imagecorruptions')
    """
    return tuple(table for table in _data()["tables"] if table != ANY_SIZE)


def check_severity(severity: object) -> float:
    """Return `severity` as a float: 0 (the identity) or a number in [1, 5].

    Anything else raises InputError: a number between 0 and 1, above 5, NaN, a bool, a string.

    >>> check_severity(3)
    3.0
    """
    if isinstance(severity, Real) and not isinstance(severity, bool):
        value = float(severity)
        if value == 0 or 1 <= value <= 5:
            return abs(value)  # -0.0 is 0.0: it must not be another random stream
    raise InputError(f"Expected severity 0 (the identity) or a number in [1, 5], got {severity!r}.")


def check_table(table: str | None) -> str | None:
    """Return `table` if it exists or is None; raise InputError otherwise.

    >>> check_table("32")
    '32'
    """
    if table is None or table in list_tables() or table == ANY_SIZE:
        return table
    raise unknown_name("severity table", str(table), list_tables())


def is_size_free(name: str) -> bool:
    """Tell whether the constants of the corruption `name` hold for every image size.

    >>> is_size_free("shift_up"), is_size_free("contrast")
    (True, False)
    """
    return name in _data_of(name)["tables"].get(ANY_SIZE, {})


def units(name: str) -> dict[str, str]:
    """Return the unit of each constant of a corruption; "" if nobody has said.

    >>> units("saturate")
    {'factor': 'ratio', 'shift': 'image scale [0, 1]'}
    """
    return {field: rule["unit"] for field, rule in _data_of(name)["fields"].get(name, {}).items()}


def choose_table(*, height: int, width: int) -> str:
    """Return the table for images of `height` x `width` pixels.

    The shorter side decides: up to 48 pixels "32", up to 128 "64", above that "224".

    >>> choose_table(height=28, width=28), choose_table(height=300, width=96)
    ('32', '64')
    """
    side = min(height, width)
    return next(table for table, longest in LONGEST_SIDES.items() if side <= longest)


def get_constants(name: str, *, severity: float, table: str) -> dict[str, Constant]:
    """Return the constants of the corruption `name` at `severity` in [1, 5]: field name to value.

    Between integer severities numbers are interpolated linearly, integer ones then rounded, and
    categorical ones taken from the nearest integer severity (halves go up). Units are in `severities.toml`.
    `table` is one of `list_tables()`, or "any" for the input shifts. InputError is raised if the severity is
    out of range, or if the table does not exist or lacks the corruption.

    >>> get_constants("gaussian_noise", severity=1.5, table="32")
    {'std': 0.05}
    """
    level = check_severity(severity)
    if level == 0:
        raise InputError(f"Expected a severity in [1, 5] for the constants of {name!r}, got {severity!r}.")
    check_table(table)
    columns = _columns(name, ANY_SIZE if is_size_free(name) else table)
    rules = _data_of(name)["fields"][name]
    return {field: _interpolate(column, level, rules[field]["between"]) for field, column in columns.items()}


def _columns(name: str, table: str) -> Mapping[str, Any]:
    """Return the fields of one corruption in one table, looking through `inherits`."""
    entry = _data_of(name)["tables"][table]
    if name in entry:
        columns: Mapping[str, Any] = entry[name]
        return columns
    if "inherits" in entry:
        return _columns(name, entry["inherits"])
    raise InputError(f"Expected a corruption of severity table {table!r}, got {name!r}.")


def _interpolate(column: Any, severity: float, between: str) -> Any:
    """Return the value of one field at `severity`; `column` is one value or five."""
    if not isinstance(column, list):
        return column
    if between == "nearest":
        return column[math.floor(severity + 0.5) - 1]
    below = math.floor(severity)
    share = severity - below
    # At an integer the published constant comes back to the bit: no arithmetic touches it.
    value = column[below - 1]
    if share:
        value = (1 - share) * value + share * column[below]
        value = round(value, 12)  # 0.05, not 0.05000000000000001: constants are shown and hashed
    return math.floor(value + 0.5) if between == "round" else float(value)
