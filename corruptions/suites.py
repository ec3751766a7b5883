"""Suites: named grids of corruption x severity, and their cells."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

from torch import Tensor

from .errors import InputError
from .facts import SUITE_TABLES, Domain, suite_corruptions, suite_name
from .random import STREAM_VERSION
from .registry import get_corruption, require
from .severity import (
    ANY_SIZE,
    LONGEST_SIDES,
    SEVERITIES,
    check_severity,
    check_table,
    choose_table,
    get_constants,
    is_size_free,
)


@dataclass(frozen=True)
class Cell:
    """One corruption at one severity; InputError if one of the arguments does not exist or is out of range.

    Parameters
    ----------
    corruption : str
        Its name.
    severity : float
        0 (the identity) or in [1, 5].
    table : str, optional
        The severity table; None chooses by image size.

    Examples
    --------
    >>> import torch
    >>> cell = Cell("gaussian_noise", 3)
    >>> cell.group, cell.domain, cell.resolve_table(28, 28)
    ('noise', 'pixels', '32')
    >>> cell.apply(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), seed=0).shape
    torch.Size([2, 1, 28, 28])
    """

    corruption: str
    severity: float
    table: str | None = None

    def __post_init__(self) -> None:
        get_corruption(self.corruption)
        check_table(self.table)
        object.__setattr__(self, "severity", check_severity(self.severity))

    def __reduce__(self) -> tuple[Any, ...]:
        # A process that gets a cell finds its corruption: it imports the module that registers it.
        kind = get_corruption(self.corruption)
        return _cell, (kind.home or kind.__module__, self.corruption, self.severity, self.table)

    @property
    def group(self) -> str:
        """The group of the corruption."""
        return get_corruption(self.corruption).group

    @property
    def domain(self) -> Domain:
        """The domain of the corruption: "pixels", or the normalised network "input"."""
        return get_corruption(self.corruption).domain

    def resolve_table(self, height: int, width: int) -> str:
        """Return the severity table used for images of `height` x `width` pixels; "any" for shifts."""
        if is_size_free(self.corruption):
            return ANY_SIZE
        return self.table or choose_table(height=height, width=width)

    def apply(
        self, images: Tensor, *, ids: Tensor | None = None, seed: int = 0, validate: bool = False
    ) -> Tensor:
        """Return the corrupted images; see `corruptions.corrupt`."""
        kind = get_corruption(self.corruption)
        ids = kind.check(images, ids=ids, seed=seed, validate=validate)
        if self.severity == 0:
            return images.clone()
        table = self.resolve_table(images.shape[-2], images.shape[-1])
        return kind.at(self.severity, table=table).run(images, severity=self.severity, seed=seed, ids=ids)


def _cell(home: str, *fields: Any) -> Cell:
    require(str(fields[0]), home)
    return Cell(*fields)


@dataclass(frozen=True)
class Suite:
    """A named, ordered set of cells that share one severity table.

    Parameters
    ----------
    name : str
        Name of the suite in results.
    cells : tuple of Cell
        Its cells, corruption by corruption.
    table : str, optional
        The severity table of every cell; None chooses by image size.

    Examples
    --------
    >>> suite = get_suite("noise").with_severities([1, 5])
    >>> suite.corruptions
    ('gaussian_noise', 'shot_noise', 'impulse_noise', 'speckle_noise')
    >>> len(suite.cells), suite.resolve_table(224, 224)
    (8, '224')
    """

    name: str
    cells: tuple[Cell, ...]
    table: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self.cells))
        check_table(self.table)
        for cell in self.cells:
            if cell.table != self.table:
                raise InputError(
                    f"Expected cells of table {self.table!r} in suite {self.name!r}, got {cell!r}."
                )
        if len(set(self.cells)) != len(self.cells):
            raise InputError(f"Expected every cell once in suite {self.name!r}, got a cell twice.")

    @cached_property
    def code(self) -> dict[str, str]:
        """SHA-256 of the source code of each corruption of other packages, by its name.

        Of the files as they are when this is first asked for; "" for a corruption without any.
        """
        kinds = map(get_corruption, self.corruptions)
        return {kind.name: kind.code_digest() for kind in kinds if kind.home}

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hexadecimal) of everything that fixes the pixels: names, severities, constants, versions.

        Of corruptions of other packages also their `code`.
        """
        facts = {"stream": STREAM_VERSION, "name": self.name, "table": self.table}
        cells = [_cell_facts(cell, self.code.get(cell.corruption)) for cell in self.cells]
        text = json.dumps({**facts, "cells": cells}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def build(
        cls,
        name: str,
        corruptions: Iterable[str],
        *,
        severities: Iterable[float] = SEVERITIES,
        table: str | None = None,
    ) -> Self:
        """Return the suite of every corruption at every severity.

        >>> Suite.build("mine", ["contrast"], severities=[2.5]).cells
        (Cell(corruption='contrast', severity=2.5, table=None),)
        """
        levels = tuple(severities)
        return cls(name, tuple(Cell(each, level, table) for each in corruptions for level in levels), table)

    @property
    def corruptions(self) -> tuple[str, ...]:
        """The names of its corruptions, in order."""
        return tuple(dict.fromkeys(cell.corruption for cell in self.cells))

    def with_severities(self, severities: Iterable[float]) -> Self:
        """Return the suite at other severities: same name, corruptions and table, different hash.

        >>> [cell.severity for cell in get_suite("light").with_severities([0, 3]).cells]
        [0.0, 3.0, 0.0, 3.0]
        """
        return self.build(self.name, self.corruptions, severities=severities, table=self.table)

    def resolve_table(self, height: int, width: int) -> str:
        """Return the severity table used for images of `height` x `width` pixels.

        "any" if no corruption of the suite depends on the image size.
        """
        if self.cells and all(is_size_free(name) for name in self.corruptions):
            return ANY_SIZE
        return self.table or choose_table(height=height, width=width)


def _cell_facts(cell: Cell, code: str | None) -> dict[str, object]:
    kind = get_corruption(cell.corruption)
    tables = (cell.table,) if cell.table else LONGEST_SIDES
    constants = {
        table: get_constants(cell.corruption, severity=cell.severity, table=table)
        for table in tables
        if cell.severity > 0
    }
    own = {} if code is None else {"code": code}
    return {**asdict(cell), "version": kind.version, "constants": constants, **own}


def get_suite(name: str) -> Suite:
    """Return a suite at severities 1 to 5, by its name or by its members.

    Members are names of corruptions and wildcards, with commas between them; an unknown name raises
    InputError, which suggests the nearest one.

    A published suite ("cifar-c", "tiny-imagenet-c", "imagenet-c", "inception-c") has the 15 common
    corruptions with the constants of its own image size, whatever the images' size; a part can follow
    after a colon: "cifar-c:c19" has all 19, "cifar-c:extra4" the 4 that are not common.

    >>> len(get_suite("shift").cells), len(get_suite("imagenet-c").cells)
    (40, 75)
    >>> get_suite("cifar-c:extra4").corruptions, get_suite("cifar-c").table
    (('speckle_noise', 'gaussian_blur', 'spatter', 'saturate'), '32')
    >>> get_suite("fog,*_noise").corruptions
    ('fog', 'gaussian_noise', 'impulse_noise', 'shot_noise', 'speckle_noise')
    """
    table = SUITE_TABLES.get(name.partition(":")[0])
    return Suite.build(suite_name(name), suite_corruptions(name), table=table)
