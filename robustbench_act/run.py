"""A finished run with all that can be asked of it."""

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import pandas as pd

import reports
from robustbench_act.comparison import RunComparison, compare_runs
from robustbench_act.errors import InputError
from robustbench_act.metrics import (
    Reference,
    axis_columns,
    compare_activations,
    layer_correlations,
    leaderboard,
    leaderboard_texts,
    leaderboard_title,
    summary,
)
from robustbench_act.notebook import in_notebook, lines_html, show_page, table_html
from robustbench_act.records import RunData, failures, read_run
from robustbench_act.records.behaviour import notes


class Run(RunData):
    """A finished run: its data (see `RunData`) and what is made of them.

    At the end of a notebook's cell it is its leaderboard.

    Examples
    --------
    >>> run.cells[["activation", "corruption", "severity", "accuracy"]].shape
    (28, 4)
    >>> run.layers[["activation", "layer", "corruption", "severity", "output_fluctuation_mean"]].shape
    (56, 5)
    >>> run.leaderboard()[["rank", "activation", "mca"]].round(3).to_numpy().tolist()
    [[1, 'la_silu', 0.763], [2, 'relu', 0.528]]
    >>> run.summary()[["checkpoint", "clean", "mca", "worst_class"]].shape
    (4, 4)
    """

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

    @cached_property
    def plot(self) -> "reports.Plots":
        """The figures of the report, each drawn into matplotlib axes: see `reports.Plots`.

        >>> run.plot.severity("fog").get_title(loc="left")
        'fog'
        """
        return reports.Plots(self)

    def report(
        self,
        formats: str | Sequence[str] = "html",
        *,
        out: str | Path | None = None,
        labels: Mapping[str, str] | None = None,
        colours: Mapping[str, str] | None = None,
    ) -> list[Path]:
        """Write the report and return the paths of its files.

        Parameters
        ----------
        formats
            "html", "pdf", or both in a list.
        out
            A folder; by default the run directory.
        labels, colours
            Labels and colours ("#d55e00") of one's own, by activation.

        Raises
        ------
        InputError
            For an unknown format or activation, or a file that cannot be written.

        Examples
        --------
        >>> [path.name for path in run.report(out=getfixture("tmp_path"), labels={"la_silu": "Ours"})]
        ['report.html']
        """
        made = reports.Report(self, labels=labels, colours=colours)
        names = [formats] if isinstance(formats, str) else formats
        return made.write(self.path if out is None else out, names)

    def show(self, *, height: int = 700) -> None:
        """Show the report inside a notebook; elsewhere write it and print its path.

        The whole page, of one to a few MB, becomes part of the notebook. It runs in a frame that reaches
        neither the notebook nor the network.

        Parameters
        ----------
        height
            Height of the frame in pixels.
        """
        if in_notebook():
            show_page(reports.render_html(self), title=f"Report of {self.path}", height=height)
        else:
            (path,) = self.report()
            sys.stdout.write(f"{path}\n")

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
        notes = [f"note: {text}" for text in self.network_notes]
        notes += [f"failed: {row.checkpoint}: {row.error}" for row in self.failures().itertuples()]
        notes.append("Numbers: run.leaderboard(). Figures: run.plot. The report: run.show().")
        if board.empty:
            return lines_html(repr(self).strip("<>"), *notes)
        title = leaderboard_title(board, labelled=self.labelled)
        left = ("activation", "architecture", *axis_columns(board))
        table = table_html(leaderboard_texts(board), left=left)
        return lines_html(repr(self).strip("<>"), title) + table + lines_html(*notes)


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
