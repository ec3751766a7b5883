"""A finished run with all that can be asked of it."""

import html
from pathlib import Path
from typing import Self

import pandas as pd

from robustbench_act.comparison import RunComparison, compare_runs
from robustbench_act.errors import InputError
from robustbench_act.metrics import (
    METRICS,
    Reference,
    compare_activations,
    layer_correlations,
    leaderboard,
    summary,
)
from robustbench_act.records import RunData, failures, read_run
from robustbench_act.records.behaviour import notes


class Run(RunData):
    """A finished run: its data (see `RunData`) and what is made of them."""

    @classmethod
    def of(cls, data: RunData) -> Self:
        """Return plain data as a run."""
        return cls(data.path, data.info, data.cells, data.layers, data.images)

    @property
    def network_notes(self) -> list[str]:
        """What a reader of the numbers must know of the networks: see `robustbench_act.records.Behaviour`."""
        return notes({entry.name: entry.behaviour for entry in self.info.checkpoints})

    def failures(self) -> pd.DataFrame:
        """Return the checkpoints that failed, and why: see `robustbench_act.records.failures`."""
        return failures(self.cells, self.info.checkpoints)

    def leaderboard(self) -> pd.DataFrame:
        """Return who is most robust: see `robustbench_act.metrics.leaderboard`."""
        return leaderboard(self.cells)

    def summary(self, reference: Reference | None = None) -> pd.DataFrame:
        """Return every metric of each checkpoint: see `robustbench_act.metrics.summary`."""
        return summary(self.cells, labels=self.labels, reference=reference)

    def compare(self, other: RunData, *, force: bool = False) -> RunComparison:
        """Return what moved from this run to `other`: see `robustbench_act.comparison.compare_runs`."""
        return compare_runs(self, other, force=force)

    def compare_activations(self, mine: str, *theirs: str) -> pd.DataFrame:
        """Compare activations of this run: see `robustbench_act.metrics.compare_activations`."""
        return compare_activations(self.cells, mine, *theirs)

    def layer_correlations(self, *, seed: int = 0) -> pd.DataFrame:
        """Return what goes with lost accuracy in each layer: see `robustbench_act.layer_correlations`."""
        return layer_correlations(self, seed=seed)

    def __repr__(self) -> str:
        data, suites = self.info.dataset, ", ".join(suite.name for suite in self.info.suites)
        checkpoints = self.cells["checkpoint"].nunique()
        severities = ", ".join(f"{value:g}" for value in self.info.severities)
        return (
            f"<Run {self.path}: {checkpoints} checkpoints x {suites} x severities {severities} on "
            f"{data.images} images of {data.name}>"
        )

    def _repr_html_(self) -> str:
        board = self.leaderboard()
        shares = [name for name in board if name not in METRICS or METRICS[str(name)].unit == "%"]
        board = board.assign(**{str(name): (100 * board[name]).round(1) for name in shares})
        return f"<p>{html.escape(repr(self))}<br>Accuracy in %</p>{board.to_html(index=False)}"


class EvaluationFailedError(InputError):
    """Every checkpoint of a run failed; the run is finished all the same.

    Attributes
    ----------
    run
        The run: its cells have the error of each.
    """

    def __init__(self, run: Run) -> None:
        found = run.failures()
        named = "; ".join(f"{row.checkpoint}: {row.error}" for row in found[:3].itertuples())
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        super().__init__(f"{run.path}: every checkpoint failed: {named}{more}.")
        self.run = run


def load_run(path: str | Path) -> Run:
    """Read and check a finished run directory: see `robustbench_act.records.read_run`."""
    return Run.of(read_run(path))
