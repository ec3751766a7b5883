"""The leaderboard of a run that is under way."""

import pandas as pd

from robustbench_act.errors import InputError
from robustbench_act.metrics.leaderboard import leaderboard
from robustbench_act.tally.columns import KEYS

_CELL = ["suite", "corruption", "severity"]


class SoFar:
    """Counts what the units of a run have answered, as they come.

    Parameters
    ----------
    identity
        The columns `IDENTITY` of the run's checkpoints.
    """

    def __init__(self, identity: pd.DataFrame) -> None:
        self._identity = identity
        self._counts = pd.DataFrame()

    def add(self, cells: pd.DataFrame) -> None:
        """Add the cell rows of a part; failed cells do not count."""
        right = cells["correct"].fillna(cells["agreement_sum"])  # without labels
        rows = cells[KEYS].assign(n=cells["n"], right=right)[cells["error"].isna()]
        both = pd.concat([self._counts, rows])
        self._counts = both.groupby(KEYS, sort=False, as_index=False)[["n", "right"]].sum()

    def leaderboard(self) -> pd.DataFrame:
        """Return `leaderboard` without intervals, over the cells that all networks have that have any.

        No rows before there are corrupted cells.
        """
        if self._counts.empty:
            return pd.DataFrame()
        have = self._counts.groupby(_CELL)["checkpoint"].transform("nunique")
        cells = self._counts[have == self._counts["checkpoint"].nunique()]
        cells = cells.assign(accuracy=cells["right"] / cells["n"], error=None)
        try:
            return leaderboard(cells.merge(self._identity, on="checkpoint"), joint={})
        except InputError:
            return pd.DataFrame()
