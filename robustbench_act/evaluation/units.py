"""The units of work: some corruptions, one chunk of images, one block of checkpoints."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from corruptions import Cell
from robustbench_act.datasets import CLEAN, StoredCell
from robustbench_act.tally.columns import KEYS
from robustbench_act.texts import encodable


@dataclass(frozen=True)
class Series:
    """One corruption of one suite at all its severities; the clean images are a series without cells."""

    suite: str
    table: str
    corruption: str
    group: str
    cells: tuple[Cell | StoredCell, ...] = ()

    @property
    def severities(self) -> tuple[float, ...]:
        """The severities of the cells."""
        return tuple(float(cell.severity) for cell in self.cells)

    def bytes_of(self, pixels: int, inputs: int) -> int:
        """Return the bytes of an image in all cells: so many pixels each, or so many float32 inputs."""
        return sum(pixels if cell.domain == "pixels" else 4 * inputs for cell in self.cells)


CLEAN_SERIES = Series(CLEAN, "", CLEAN, CLEAN)


@dataclass(frozen=True)
class WorkUnit:
    """Some corruptions at all their severities, on one chunk of images, before one block of checkpoints.

    A network sees the images in several versions: 0 is clean, the others are the cells in their order.
    """

    series: tuple[Series, ...]
    chunk: int
    checkpoints: range

    def key(self, plan: str) -> str:
        """Return the name of the unit's part: its title, and a hash of everything it depends on.

        `plan` is the `plan_key` of everything that the units share.
        """
        series = [(one.suite, one.table, one.corruption, one.severities) for one in self.series]
        depends = f"{plan} {self.chunk} {self.checkpoints} {series}"
        digest = hashlib.sha256(encodable(depends).encode()).hexdigest()
        return f"{re.sub(r'[^A-Za-z0-9._-]', '_', self.title)[:80]}-{digest[:16]}"

    @property
    def title(self) -> str:
        """Chunk, checkpoints, first and last corruption; sorts in the order of the plan."""
        names = [f"{one.suite}-{one.corruption}" for one in self.series]
        last = f"-to-{names[-1]}" if len(names) > 1 else ""
        own = self.checkpoints
        return f"{self.chunk:06d}-{own.start:04d}-{own.stop - 1:04d}-{names[0]}{last}"

    @property
    def cells(self) -> tuple[Cell | StoredCell, ...]:
        """The cells of all series."""
        return tuple(cell for one in self.series for cell in one.cells)

    @property
    def versions(self) -> int:
        """How many versions of an image there are, the clean one included."""
        return 1 + sum(len(one.cells) for one in self.series)

    @property
    def rows(self) -> int:
        """How many versions are the unit's own: clean images may come only to compare with them."""
        return sum(len(one.cells) or 1 for one in self.series)

    def places(self) -> Iterator[tuple[Series, tuple[int, ...]]]:
        """Yield each series with the versions that are its own."""
        start = 1
        for one in self.series:
            yield one, tuple(range(start, start + len(one.cells))) if one.cells else (0,)
            start += len(one.cells)

    def row_keys(self, checkpoint: str) -> dict[int, dict[str, Any]]:
        """Return the `tally.columns.KEYS` of a checkpoint's rows, by version.

        Corruptions come with the clean images only to compare with them: the clean series has their rows.
        """
        found = {}
        for one, places in self.places():
            names = (checkpoint, one.suite, one.table, one.corruption, one.group)
            texts = tuple(map(encodable, names))
            for place, severity in zip(places, one.severities or (0.0,), strict=True):
                found[place] = dict(zip(KEYS, (*texts, severity), strict=True))
        return found

    def map_stored(self, change: Callable[[StoredCell], StoredCell]) -> "WorkUnit":
        """Return the unit with something else in place of each stored cell."""
        return replace(
            self,
            series=tuple(
                replace(
                    one,
                    cells=tuple(change(cell) if isinstance(cell, StoredCell) else cell for cell in one.cells),
                )
                for one in self.series
            ),
        )

    def without(self, series: Collection[Series]) -> "WorkUnit":
        """Return the unit with some series left out."""
        return replace(self, series=tuple(one for one in self.series if one not in series))
