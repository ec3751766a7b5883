"""The numbers of single networks that rules are about: image by image where they are known so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.gate.rules import CORRUPTIONS, EACH, Rule
from robustbench_act.metrics import image_accuracy_by_corruption
from robustbench_act.records import corrupted, headline_groups, outcomes, succeeded
from robustbench_act.statistics.intervals import Floats


@dataclass(frozen=True, eq=False)
class Scores:
    """A network's numbers.

    Attributes
    ----------
    cells
        Its rows of `Run.cells`.
    """

    cells: pd.DataFrame

    @cached_property
    def _by_corruption(self) -> tuple[list[str], NDArray[np.str_], Floats]:
        """Names and groups of the corruptions, and (corruptions, images): the share of severities."""
        table = image_accuracy_by_corruption(self.cells)
        groups = dict(zip(self.cells["corruption"], self.cells["group"], strict=True))
        names = [str(name) for name in table.index]
        own = [groups.get(name) or groups[name.rsplit(" [", 1)[0]] for name in names]  # several tables
        return names, np.array(own), table.to_numpy()

    def values(self, rule: Rule) -> Floats:
        """Return (rows, images): the share of cells in which an image is right, the mean over corruptions.

        One row; of EACH a row for each corruption. (1, 1) of a metric that is not known image by image.
        """
        if rule.group == "clean":
            clean = self.cells[self.cells["severity"] == 0].iloc[:1]
            return outcomes(clean).astype(float) if rule.by_image else clean[[rule.metric]].to_numpy(float)
        if rule.by_image:
            _, groups, table = self._by_corruption
            rows = table[np.isin(groups, _counted(groups, rule.group))]
            return rows if rule.group == EACH else rows.mean(axis=0, keepdims=True)
        bad = corrupted(self.cells)
        bad = bad[bad["group"].isin(_counted(bad["group"], rule.group))]
        return np.array([[bad.groupby("corruption")[rule.metric].mean().mean()]])

    def accuracies(self, group: str) -> "pd.Series[float]":
        """Return the accuracy in each corruption of a group, in the order of `values`."""
        names, groups, table = self._by_corruption
        found = pd.Series(table.mean(axis=1), index=names)
        return found[np.isin(groups, _counted(groups, group))]


def _counted(groups: Iterable[str], group: str) -> list[str]:
    return headline_groups(groups) if group in (CORRUPTIONS, EACH) else [group]


Networks = Mapping[str, Sequence[Scores]]
"""By checkpoint, one each; or by activation."""


def scores(cells: pd.DataFrame) -> dict[str, Scores]:
    """Return the numbers of each checkpoint that did not fail."""
    whole = succeeded(cells)
    return {str(name): Scores(rows) for name, rows in whole.groupby("checkpoint", sort=False)}


def tables(networks: Networks, rule: Rule) -> dict[str, Floats]:
    """Return for each line the values of its networks below each other."""
    return {name: np.concatenate([one.values(rule) for one in own]) for name, own in networks.items()}
