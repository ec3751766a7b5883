"""The corruptions by name."""

import sys
from dataclasses import MISSING
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TypeVar

from . import severity
from .base import Corruption
from .code import load_plugin, package_of, plugins
from .constants import read_constants
from .errors import InputError, unknown_name
from .facts import CORRUPTIONS, OWN_GROUP, SHEET, CorruptionFacts, known_corruptions

_REGISTRY: dict[str, type[Corruption]] = {}

_OURS = frozenset(facts.name for facts in CORRUPTIONS)

C = TypeVar("C", bound=type[Corruption])


def register(cls: C) -> C:
    """Class decorator: make a corruption known under its `name`, to every function and command.

    A class of yours declares the constants of severities 1 to 5 as `severities` and, if you like, `units`,
    `group` and `domain`; `corruptions.check_corruption` tells whether it keeps the contract. A class that is
    registered again, as in a notebook, replaces the older one. InputError is raised if the name is taken by
    another class, or if something is declared that does not fit.

    >>> import dataclasses, torch, corruptions
    >>> from typing import ClassVar
    >>> @corruptions.register
    ... @dataclasses.dataclass(frozen=True)
    ... class Dust(corruptions.Corruption):
    ...     '''A share of the pixels becomes black.'''
    ...
    ...     name: ClassVar = "dust"
    ...     severities: ClassVar = {"share": (0.01, 0.02, 0.05, 0.1, 0.2)}
    ...     units: ClassVar = {"share": "share of the pixels"}
    ...
    ...     share: float
    ...
    ...     def draw(self, stream, images):
    ...         return {"u": stream.uniform(1, *images.shape[2:])}
    ...
    ...     def apply(self, images, noise):
    ...         return torch.where(noise["u"] < self.share, 0, images)
    >>> white = torch.full((1, 3, 100, 100), 255, dtype=torch.uint8)
    >>> round(float((corruptions.corrupt(white, "dust", severity=5) == 0).float().mean()), 1)
    0.2
    >>> forget("dust")
    """
    name = getattr(cls, "name", None)
    if not isinstance(name, str):
        raise InputError(f"Corruption {cls.__name__}: expected a class attribute `name`.")
    there = _REGISTRY.get(name)
    if there is not None and not _is_again(cls, there):
        raise InputError(
            f"Corruption {name!r} is registered already, as {there.__module__}:{there.__name__}."
        )
    if name not in _OURS:
        _declare(cls)
    facts = SHEET[name]
    cls.group, cls.domain = facts.group, facts.domain
    _REGISTRY[name] = cls
    return cls


def _is_again(cls: type[Corruption], there: type[Corruption]) -> bool:
    """Tell whether a class is a newer version of a registered one, from the same place."""
    if cls.name in _OURS:
        return False
    return all(getattr(cls, own) == getattr(there, own) for own in ("__module__", "__qualname__"))


def _declare(cls: type[Corruption]) -> None:
    """Add what a class of another package declares to the sheet and to the severity constants."""
    group = getattr(cls, "group", "shift" if cls.domain == "input" else OWN_GROUP)
    facts = CorruptionFacts(cls.name, cls.name.replace("_", " ").capitalize(), group, cls.domain)
    where = f"corruption {cls.name!r}"
    if cls.severities is None:
        raise InputError(
            "Expected the constants of severities 1 to 5 as `severities`, such as {'share': (0.01, 0.02, "
            f"0.05, 0.1, 0.2)}}, got none ({where})."
        )
    data = read_constants(cls.name, cls.severities, cls.units)
    given = data["fields"][cls.name]
    if given and "__dataclass_fields__" not in vars(cls):
        raise InputError(f"Expected a frozen dataclass of the constants, got a plain class ({where}).")
    own = [field for field in getattr(cls, "__dataclass_fields__", {}).values() if field.init]
    needed = [one.name for one in own if one.default is MISSING and one.default_factory is MISSING]
    if set(given) - {one.name for one in own} or set(needed) - set(given):
        raise InputError(
            f"Expected constants for the fields {', '.join(needed) or '(none)'}, got some for "
            f"{', '.join(given) or '(none)'} ({where})."
        )
    SHEET[cls.name] = facts
    severity.declare(cls.name, data)
    cls.home = cls.home or cls.__module__


def forget(name: str) -> None:
    """Take a corruption of another package out again."""
    if name in _OURS or name not in _REGISTRY:
        raise unknown_name("corruption of your own", name, set(_REGISTRY) - _OURS)
    del _REGISTRY[name], SHEET[name]
    severity.withdraw(name)


def get_corruption(name: str) -> type[Corruption]:
    """Return the class of a corruption; its `.at(severity, table=...)` has the published constants.

    An unknown name raises InputError, which suggests the nearest one.

    >>> import corruptions
    >>> corruptions.get_corruption("shot_noise").group
    'noise'
    """
    if name not in _REGISTRY and name in plugins("corruptions"):
        point = plugins("corruptions")[name]
        load_plugin(point, what=f"Corruption {name!r}")
        if name not in _REGISTRY:
            raise InputError(f"{package_of(point)}: {point.value} does not register the corruption {name!r}.")
    if name not in _REGISTRY:
        raise unknown_name("corruption", name, known_corruptions())
    return _REGISTRY[name]


def require(name: str, home: str) -> None:
    """Import the module that registers a corruption, if it is not known: in a process that got its name."""
    if name in _REGISTRY or not home:
        return
    if home == "__main__" and "__mp_main__" not in sys.modules:
        raise InputError(
            f"Corruption {name!r} is defined in a notebook or a script, where other processes cannot find "
            "it; put it into a module."
        )
    import_module(home)


def list_corruptions(pattern: str = "*") -> list[str]:
    """Return the sorted names of the corruptions that match a wildcard `pattern`.

    >>> import corruptions
    >>> corruptions.list_corruptions("shift_gain_*")
    ['shift_gain_down', 'shift_gain_up']
    """
    return sorted(name for name in _REGISTRY if fnmatchcase(name, pattern))
