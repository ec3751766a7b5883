"""The corruptions by name."""

from fnmatch import fnmatchcase
from typing import TypeVar

from .base import Corruption
from .errors import unknown_name

GROUPS = ("noise", "blur", "weather", "digital", "extra", "shift")
"""The families of corruptions, in the order of tables and figures."""

_REGISTRY: dict[str, type[Corruption]] = {}

C = TypeVar("C", bound=type[Corruption])


def register(cls: C) -> C:
    """Class decorator: make a corruption known under its `name`.

    Raises
    ------
    ValueError
        If the name is taken or the group is not one of `GROUPS`.
    """
    if cls.name in _REGISTRY:
        raise ValueError(f"Corruption {cls.name!r} is registered already, as {_REGISTRY[cls.name].__name__}.")
    if cls.group not in GROUPS:
        raise ValueError(f"Corruption {cls.name!r} has group {cls.group!r}, not one of {', '.join(GROUPS)}.")
    _REGISTRY[cls.name] = cls
    return cls


def get_corruption(name: str) -> type[Corruption]:
    """Return the class of a corruption; `.at(severity, table=...)` of it has the published constants.

    Raises
    ------
    InputError
        If there is none of that name; the nearest one is named.

    Examples
    --------
    >>> import corruptions
    >>> corruptions.get_corruption("shot_noise").group
    'noise'
    """
    if name not in _REGISTRY:
        raise unknown_name("corruption", name, _REGISTRY)
    return _REGISTRY[name]


def list_corruptions(pattern: str = "*") -> list[str]:
    """Return the sorted names of the corruptions that match a wildcard `pattern`.

    >>> import corruptions
    >>> corruptions.list_corruptions("shift_gain_*")
    ['shift_gain_down', 'shift_gain_up']
    """
    return sorted(name for name in _REGISTRY if fnmatchcase(name, pattern))
