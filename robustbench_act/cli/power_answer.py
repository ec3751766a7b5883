"""What `actrobust power` answers: sentences, a table, JSON, a figure."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.metrics.power import MOST_IMAGES, MOST_SEEDS, Planned, Spreads
from robustbench_act.statistics.intervals import CONFIDENCE
from robustbench_act.statistics.joint import POWER

_OFTEN = f"called different in {5 * POWER:.0f} of 5 such studies"


class PowerAnswer:
    """The smallest leads that studies of some sizes show, and what one lead needs.

    Parameters
    ----------
    spreads
        What networks differ by.
    activations
        How many are compared; None for as many as in `spreads`.
    seeds, images
        Rows and columns of the table.
    points
        The lead that is asked for, if any.
    """

    def __init__(
        self,
        spreads: Spreads,
        activations: int | None,
        seeds: Sequence[int],
        images: Sequence[int],
        points: float | None,
    ) -> None:
        self.spreads, self.seeds, self.images, self.points = spreads, tuple(seeds), tuple(images), points
        self.planned = Planned(spreads.components, activations or spreads.activations)

    @cached_property
    def leads(self) -> NDArray[np.float64]:
        """(seeds, images): in points."""
        return 100 * np.array([[self.planned.lead(own, size) for size in self.images] for own in self.seeds])

    @property
    def single(self) -> bool:
        """Whether there is one study only, and no table."""
        return self.leads.size == 1

    @property
    def pairs(self) -> int:
        """How many pairs of activations there are."""
        return self.planned.activations * (self.planned.activations - 1) // 2

    def head(self) -> list[str]:
        """Return what the numbers are made from, and what a study is."""
        own, (low, high) = self.spreads.components, self.spreads.training
        tested = "the pair is tested" if self.pairs == 1 else f"all {self.pairs:,} pairs are tested"
        return [
            f"Standard deviations, from {self.spreads.source}: {100 * own.training:.1f} points over "
            f"trainings (95 % interval {100 * low:.1f} to {100 * high:.1f}), {100 * own.image:.1f} over "
            f"images, {100 * own.residual:.1f} over both at once.",
            f"A study: {self.planned.activations} activations, each trained with the same seeds; {tested} "
            f"over seeds and images, at {100 * (1 - CONFIDENCE):.0f} % together.",
        ]

    def table(self) -> pd.DataFrame:
        """Return the table of leads as texts, a star behind those that are at most the lead asked for."""
        columns = {"seeds": [f"{own:,}" for own in self.seeds]}
        for size, own in zip(self.images, self.leads.T, strict=True):
            columns[f"{size:,} images"] = [f"{one:.1f}{self._star(one)}" for one in own]
        return pd.DataFrame(columns)

    def _star(self, lead: float) -> str:
        return "" if self.points is None else "*" if lead <= self.points else " "

    def sentences(self) -> list[str]:
        """Return what the numbers say."""
        if not self.single:
            met = "" if self.points is None else f"; * if it is {self.points:g} or less"
            return [f"In the table: the smallest lead, in points, that is {_OFTEN}{met}.", *self._needs()]
        size = _size(self.seeds[0], self.images[0])
        found = [f"A lead of {self.leads[0, 0]:.1f} points is {_OFTEN} with {size}."]
        if self.chance is not None:
            share = f"{100 * self.chance:.0f} %"
            found.append(f"A lead of {self.points:g} points is called different in {share} of them.")
        return found

    @cached_property
    def chance(self) -> float | None:
        """The probability that the one study shows the lead asked for."""
        if self.points is None or not self.single:
            return None
        return self.planned.chance(self.points / 100, seeds=self.seeds[0], images=self.images[0])

    @cached_property
    def needed(self) -> list[dict[str, int | None]]:
        """Sizes that show the lead asked for: the fewest seeds for each number of images, or the reverse."""
        if self.points is None or self.single:
            return []
        lead = self.points / 100
        if len(self.seeds) == 1:
            (own,) = self.seeds
            return [{"seeds": own, "images": self.planned.fewest_images(lead, seeds=own)}]
        return [{"seeds": self.planned.fewest_seeds(lead, images=own), "images": own} for own in self.images]

    def _needs(self) -> list[str]:
        known = {own: size for own, size in reversed(_pairs(self.needed)) if own and size}
        sizes, found = [_size(*one) for one in reversed(known.items())], []
        if sizes:
            either = " or ".join([", ".join(sizes[:-1]), sizes[-1]] if len(sizes) > 1 else sizes)
            found.append(f"A lead of {self.points:g} points is {_OFTEN} with {either}.")
        for one in self.needed:
            if one["seeds"] is None:
                found.append(f"With {one['images']:,} images, {MOST_SEEDS} seeds do not show it as often.")
            elif one["images"] is None:
                found.append(f"With {one['seeds']} seeds, {MOST_IMAGES:,} images do not show it as often.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON; leads and standard deviations in points."""
        parts, (low, high) = vars(self.spreads.components), self.spreads.training
        return {
            "source": self.spreads.source,
            "standard_deviations": {name: 100 * value for name, value in parts.items()},
            "training_interval": [100 * low, 100 * high],
            "activations": self.planned.activations,
            "pairs": self.pairs,
            "power": POWER,
            "leads": [
                {"seeds": own, "images": size, "lead": lead}
                for own, row in zip(self.seeds, self.leads.tolist(), strict=True)
                for size, lead in zip(self.images, row, strict=True)
            ],
            "lead": self.points,
            "needed": self.needed,
            "chance": self.chance,
        }


def draw(answer: PowerAnswer, path: Path) -> None:
    """Write the table as curves into a PNG, SVG or PDF file."""
    from reports.canvas import to_file
    from reports.figures.power import POWER_SIZE, power_curves
    from robustbench_act.atomic_files import write_atomically

    data = to_file(
        lambda ax: power_curves(
            answer.leads, ax, seeds=answer.seeds, images=answer.images, lead=answer.points
        ),
        size=POWER_SIZE,
        kind=path.suffix[1:].lower(),
        title=f"Lead shown in {5 * POWER:.0f} of 5 studies of {answer.planned.activations} activations",
    )
    write_atomically(path, data)


def _pairs(needed: list[dict[str, int | None]]) -> list[tuple[int | None, int | None]]:
    return [(one["seeds"], one["images"]) for one in needed]


def _size(seeds: int | None, images: int | None) -> str:
    return f"{seeds} seeds and {images:,} images"
