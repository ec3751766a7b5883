"""The corruptions by name."""

from fnmatch import fnmatchcase
from typing import TypeVar

from .base import Corruption
from .errors import unknown_name
from .facts import SHEET, CorruptionFacts

_REGISTRY: dict[str, type[Corruption]] = {}

C = TypeVar("C", bound=type[Corruption])


def register(cls: C) -> C:
    """Class decorator: make a corruption known under its `name`, with group and domain from `facts.SHEET`.

    A class whose name is not on the sheet declares its own `group` and `domain`; they are added to the sheet.
    A name that is taken, or a group that is not one of `GROUPS`, raises ValueError.
    """
    if cls.name in _REGISTRY:
        raise ValueError(f"Corruption {cls.name!r} is registered already, as {_REGISTRY[cls.name].__name__}.")
    if cls.name not in SHEET:
        label = cls.name.replace("_", " ").capitalize()
        SHEET[cls.name] = CorruptionFacts(cls.name, label, cls.group, cls.domain)
    facts = SHEET[cls.name]
    cls.group, cls.domain = facts.group, facts.domain
    _REGISTRY[cls.name] = cls
    return cls


def get_corruption(name: str) -> type[Corruption]:
    """Return the class of a corruption; its `.at(severity, table=...)` has the published constants.

    An unknown name raises InputError, which suggests the nearest one.

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
