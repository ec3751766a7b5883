"""All accuracies of a run as one array: checkpoints x corruptions x severities."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.tables import corruption_order
from robustbench_act.metrics import corrupted, headline_groups, succeeded


@dataclass(frozen=True, eq=False)
class Grid:
    """The checkpoints that were measured without an error, each corrupted cell once.

    Attributes
    ----------
    checkpoints
        checkpoint, architecture, activation, training_seed: a row for each.
    corruptions
        group, corruption, table, suite (all that hold it, a line each): a row for each, by group, then in the
        order of the run.
    severities
        In order.
    clean
        (checkpoints,) shares.
    shares
        (checkpoints, corruptions, severities) shares; NaN if a corruption was not run at a severity.
    """

    checkpoints: pd.DataFrame
    corruptions: pd.DataFrame
    severities: tuple[float, ...]
    clean: NDArray[np.float64]
    shares: NDArray[np.float64]

    @property
    def means(self) -> NDArray[np.float64]:
        """(checkpoints, corruptions, 1 + severities): the mean over severities first, then each of them."""
        return np.concatenate([mean_of(self.shares, axis=2)[:, :, None], self.shares], axis=2)

    def of(self, checkpoints: Iterable[str]) -> "Grid":
        """Return the grid of some checkpoints."""
        chosen = self.checkpoints["checkpoint"].isin(set(checkpoints)).to_numpy()
        return replace(
            self,
            checkpoints=self.checkpoints[chosen].reset_index(drop=True),
            clean=self.clean[chosen],
            shares=self.shares[chosen],
        )

    @property
    def suites(self) -> dict[str, str]:
        """The suites of each corruption, a line each."""
        return dict(zip(self.corruptions["corruption"], self.corruptions["suite"], strict=True))

    def places(self, group: str) -> NDArray[np.intp]:
        """Return which corruptions belong to a group."""
        return np.flatnonzero(self.corruptions["group"] == group)

    @property
    def counted(self) -> NDArray[np.intp]:
        """Which corruptions the headline is over: see `robustbench_act.records.headline`."""
        groups = headline_groups(self.corruptions["group"])
        return np.flatnonzero(self.corruptions["group"].isin(groups))

    @property
    def groups(self) -> list[str]:
        """The groups of corruptions, in order."""
        return list(dict.fromkeys(self.corruptions["group"]))


def mean_of(values: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Return means that leave out NaN; NaN if there is nothing else."""
    found: NDArray[np.float64] = np.ma.masked_invalid(values).mean(axis=axis).filled(np.nan)
    return found


def make_grid(cells: pd.DataFrame) -> Grid:
    """Return the grid of `Run.cells`; checkpoints and corruptions in the order of the run."""
    whole = succeeded(cells)
    bad = corrupted(whole)
    keys = ["checkpoint", "architecture", "activation", "training_seed"]
    checkpoints = whole.drop_duplicates("checkpoint")[keys].reset_index(drop=True)
    tables = bad.drop_duplicates(["group", "corruption"]).set_index(["group", "corruption"])["table"]
    corruptions = tables.loc[corruption_order(whole)].reset_index()
    corruptions = corruptions.assign(suite=[_suites(whole, row) for row in corruptions.itertuples()])
    severities = tuple(sorted(bad["severity"].unique().tolist()))
    wide = bad.pivot_table(index="checkpoint", columns=["corruption", "severity"], values="accuracy")
    wanted = pd.MultiIndex.from_product([corruptions["corruption"], severities])
    values = wide.reindex(index=checkpoints["checkpoint"], columns=wanted).to_numpy(dtype=float)
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint").set_index("checkpoint")["accuracy"]
    return Grid(
        checkpoints,
        corruptions,
        severities,
        clean.reindex(checkpoints["checkpoint"]).to_numpy(dtype=float),
        values.reshape(len(checkpoints), len(corruptions), len(severities)),
    )


def _suites(cells: pd.DataFrame, row: Any) -> str:
    """Return the suites that hold a corruption with its table of constants, a line each."""
    name = str(row.corruption).removesuffix(f" [{row.table}]")
    own = cells[(cells["corruption"] == name) & (cells["table"] == row.table)]
    return "\n".join(own["suite"].unique())
