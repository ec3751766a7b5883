"""The sheet of corruptions: name, label, group and domain of each; the suites by name. Without torch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias, get_args

from .code import plugins
from .errors import InputError, unknown_name

Domain: TypeAlias = Literal["pixels", "input"]
"""What a corruption changes: the pixels of an image, or the network's normalised input."""

GROUPS = ("noise", "blur", "weather", "digital", "extra", "shift")
"""The groups of our corruptions, in the order of tables and figures; others come before "shift"."""

OWN_GROUP = "own"
"""The group of a corruption of another package that names none."""

CLEAN = "clean"
"""The name that the clean images have in columns of corruptions and groups."""

_RESERVED = (CLEAN, "corruptions", "each", "other", "total")  # words of tables and rules
_NAMED = 3  # members in the name of a suite of more than one more
_WORD = re.compile(r"[A-Za-z][\w-]{0,59}", re.ASCII)


@dataclass(frozen=True)
class CorruptionFacts:
    """Name in code, label for people, group and domain of a corruption.

    Corruptions of the normalised input are those of the group "shift".
    """

    name: str
    label: str
    group: str
    domain: Domain = "pixels"

    def __post_init__(self) -> None:
        for what, word in (("a name", self.name), ("a group", self.group)):
            if not _WORD.fullmatch(str(word)) or word in _RESERVED:
                raise InputError(
                    f"Corruption {self.name!r}: expected {what} of at most 60 letters, digits, - and _, none "
                    f"of {', '.join(_RESERVED)}, got {word!r}."
                )
        if self.domain not in get_args(Domain):
            raise InputError(
                f"Corruption {self.name!r}: expected the domain pixels or input, got {self.domain!r}."
            )
        if (self.group == "shift") != (self.domain == "input"):
            raise InputError(
                f"Corruption {self.name!r}: corruptions of the input are those of the group shift, got the "
                f"domain {self.domain} and the group {self.group}."
            )


CORRUPTIONS = (
    CorruptionFacts("gaussian_noise", "Gaussian noise", "noise"),
    CorruptionFacts("shot_noise", "Shot noise", "noise"),
    CorruptionFacts("impulse_noise", "Impulse noise", "noise"),
    CorruptionFacts("defocus_blur", "Defocus blur", "blur"),
    CorruptionFacts("glass_blur", "Glass blur", "blur"),
    CorruptionFacts("motion_blur", "Motion blur", "blur"),
    CorruptionFacts("zoom_blur", "Zoom blur", "blur"),
    CorruptionFacts("snow", "Snow", "weather"),
    CorruptionFacts("frost", "Frost", "weather"),
    CorruptionFacts("fog", "Fog", "weather"),
    CorruptionFacts("brightness", "Brightness", "weather"),
    CorruptionFacts("contrast", "Contrast", "digital"),
    CorruptionFacts("elastic_transform", "Elastic transform", "digital"),
    CorruptionFacts("pixelate", "Pixelate", "digital"),
    CorruptionFacts("jpeg_compression", "JPEG compression", "digital"),
    CorruptionFacts("speckle_noise", "Speckle noise", "extra"),
    CorruptionFacts("gaussian_blur", "Gaussian blur", "extra"),
    CorruptionFacts("spatter", "Spatter", "extra"),
    CorruptionFacts("saturate", "Saturate", "extra"),
    CorruptionFacts("shift_gaussian", "Shift: Gaussian noise", "shift", "input"),
    CorruptionFacts("shift_uniform", "Shift: uniform noise", "shift", "input"),
    CorruptionFacts("shift_laplace", "Shift: Laplace noise", "shift", "input"),
    CorruptionFacts("shift_up", "Shift: up", "shift", "input"),
    CorruptionFacts("shift_down", "Shift: down", "shift", "input"),
    CorruptionFacts("shift_channel", "Shift: per channel", "shift", "input"),
    CorruptionFacts("shift_gain_up", "Shift: gain up", "shift", "input"),
    CorruptionFacts("shift_gain_down", "Shift: gain down", "shift", "input"),
)
"""The corruptions of this package in the published order, group by group; suites are built from it."""

SHEET = {facts.name: facts for facts in CORRUPTIONS}
"""The facts by name; `corruptions.register` adds those of a class from outside this package."""


def corruption_facts(name: str) -> CorruptionFacts:
    """Return the facts of a corruption; an unknown name raises InputError, which suggests the nearest one.

    >>> corruption_facts("shift_gain_up").label
    'Shift: gain up'
    """
    if name not in SHEET:
        raise unknown_name("corruption", name, SHEET)
    return SHEET[name]


def _of_groups(*groups: str) -> tuple[str, ...]:
    """Return the names of this package's corruptions in these groups, in the order of the sheet."""
    return tuple(facts.name for facts in CORRUPTIONS if facts.group in groups)


_MEMBERS: dict[str, tuple[str, ...]] = {
    "c15": _of_groups("noise", "blur", "weather", "digital"),
    "extra4": _of_groups("extra"),
    "c19": _of_groups("noise", "blur", "weather", "digital", "extra"),
    "noise": (*_of_groups("noise"), "speckle_noise"),
    "light": ("brightness", "contrast"),
    "shift": _of_groups("shift"),
}
"""Corruptions of the suites that choose their severity table by image size, in the published order."""

SUITE_TABLES = {"cifar-c": "32", "tiny-imagenet-c": "64", "imagenet-c": "224", "inception-c": "299"}
"""Severity tables of the published suites: of the 15 common corruptions, or of the part after a colon."""


def list_suites() -> list[str]:
    """Return the sorted names of the suites.

    >>> list_suites()[:5]
    ['c15', 'c19', 'cifar-c', 'cifar-c:c19', 'cifar-c:extra4']
    """
    parts = (f"{name}:{part}" for name in SUITE_TABLES for part in ("c19", "extra4"))
    return sorted([*_MEMBERS, *SUITE_TABLES, *parts])


def known_corruptions() -> set[str]:
    """Return the names on the sheet and those that installed packages offer (`actrobust.corruptions`)."""
    return {*SHEET, *plugins("corruptions")}


def suite_corruptions(name: str) -> tuple[str, ...]:
    """Return the corruptions of a suite by its name, or by its members, which may be wildcards.

    An unknown name raises InputError, which suggests the nearest one.

    >>> suite_corruptions("light"), suite_corruptions("fog,gaussian_*")
    (('brightness', 'contrast'), ('fog', 'gaussian_blur', 'gaussian_noise'))
    """
    if name in list_suites():
        base, _, part = name.partition(":")
        return _MEMBERS[(part or "c15") if base in SUITE_TABLES else name]
    if "," in name or any(fnmatchcase(one, name) for one in known_corruptions()):
        return matching_corruptions(name.split(","))
    raise unknown_name("suite", name, [*list_suites(), *known_corruptions()])


def matching_corruptions(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the corruptions that match wildcards, those of a wildcard sorted, each once.

    A wildcard without any raises InputError, which suggests the nearest name.

    >>> matching_corruptions(["gaussian_*", "fog"])
    ('gaussian_blur', 'gaussian_noise', 'fog')
    """
    found: dict[str, None] = {}
    for pattern in map(str.strip, patterns):
        own = sorted(one for one in known_corruptions() if fnmatchcase(one, pattern))
        if not own:
            raise unknown_name("corruption", pattern, known_corruptions())
        found |= dict.fromkeys(own)
    return tuple(found)


def suite_name(name: str) -> str:
    """Return the name of a suite in tables: its own, or that of its members.

    >>> suite_name("c19"), suite_name("fog, frost"), suite_name("*_noise,fog,frost")
    ('c19', 'fog,frost', 'gaussian_noise,impulse_noise,shot_noise,+3')
    """
    if name in list_suites():
        return name
    members = suite_corruptions(name)
    if len(members) <= _NAMED + 1:
        return ",".join(members)
    return ",".join([*members[:_NAMED], f"+{len(members) - _NAMED}"])
