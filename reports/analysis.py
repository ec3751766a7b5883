"""A run with the tables and tests that several sections share, each computed once."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.grid import Grid, make_grid
from reports.multi_run import tables as run_tables
from reports.multi_run.join import Joined
from reports.names import named_run, plain_name
from reports.paired_tests import significance
from reports.style import Line, distinct_lines, drawing_order
from robustbench_act import metrics
from robustbench_act.activations.facts import NATIVE
from robustbench_act.records import Behaviour
from robustbench_act.records.behaviour import notes
from robustbench_act.run import Run
from robustbench_act.statistics import Joint

ALL_FAILED = "Nothing to show: every checkpoint failed."
NOT_PROBED = "Not measured (--no-probes)."
ANCHORS = ("relu", NATIVE)
"""What the others are compared with in plots: the first of these that a run has."""


MOST_COMPARED = 20
"""Activations that are compared with each other, at most; the first of the leaderboard are taken."""


class Analysis:
    """A run, and the tables and tests made from it.

    Parameters
    ----------
    run
        One, or several that are joined; its cohorts get their names.
    colours
        Colours of one's own, by activation.

    Attributes
    ----------
    members
        Of several runs each by its name; of one none.
    unlike
        The settings in which several runs differ, run by run.
    lines
        The line of each activation.
    """

    def __init__(self, run: Run, colours: Mapping[str, str] | None = None) -> None:
        self.run = named_run(run)
        self.lines = distinct_lines(self.run.cells["activation"].unique(), colours)
        self.members: Mapping[str, Run] = run.members if isinstance(run, Joined) else {}
        self.unlike = run.unlike if isinstance(run, Joined) else {}
        self.measure = "accuracy" if run.labelled else "agreement"

    @cached_property
    def failed(self) -> pd.DataFrame:
        """See `robustbench_act.records.failures`."""
        return self.run.failures()

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The rows of the checkpoints that were measured without an error."""
        return metrics.succeeded(self.run.cells)

    @cached_property
    def words(self) -> metrics.HeadlineWords:
        """What sentences call the headline's images and cells."""
        return metrics.headline_words(self.run.cells["group"])

    @cached_property
    def board(self) -> pd.DataFrame:
        """See `robustbench_act.metrics.leaderboard`."""
        return metrics.leaderboard(self.run.cells, self.joint)

    @cached_property
    def joint(self) -> dict[str, Joint]:
        """See `robustbench_act.metrics.joint_analyses`."""
        return metrics.joint_analyses(self.scores, self.outcomes)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """See `robustbench_act.metrics.checkpoint_scores`."""
        return metrics.checkpoint_scores(self.run.cells)

    @cached_property
    def grid(self) -> Grid:
        """See `reports.grid.Grid`."""
        return make_grid(self.run.cells)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """The layer rows of checkpoints that were measured without an error; a cell of two suites once.

        Input shifts are left out, as in `metrics.headline_groups`.
        """
        found = self.run.layers
        if found.empty:
            return found
        counted = (found["severity"] == 0) | found["group"].isin(metrics.headline_groups(found["group"]))
        whole = found[counted & ~found["checkpoint"].isin(self.failed["checkpoint"])]
        return whole.drop_duplicates(["checkpoint", "table", "corruption", "severity", "layer", "index"])

    @property
    def architectures(self) -> list[str]:
        """Architectures in alphabetical order."""
        return sorted(self.board["architecture"].unique())

    @cached_property
    def activations(self) -> list[str]:
        """Activations, family by family as in legends."""
        return sorted(self.board["activation"].unique(), key=drawing_order)

    @property
    def legend(self) -> list[tuple[str, Line]]:
        """Each activation with its line."""
        return [(name, self.lines[name]) for name in self.activations]

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The head of a column for each row of the board: activation, line, architecture, seed.

        The architecture is "" if there is only one; sections with a column per checkpoint fill in the seed.
        """
        several = len(self.architectures) > 1
        return [
            {
                "activation": name,
                "line": self.lines[name],
                "architecture": architecture if several else "",
                "seed": "",
            }
            for architecture, name in self.board[["architecture", "activation"]].to_numpy().tolist()
        ]

    @cached_property
    def anchor(self) -> str | None:
        """The activation that others are compared with: the first of ANCHORS, in the first run with it."""
        return anchor_of(self.activations)

    @property
    def nothing(self) -> str:
        """Why there are no accuracies; "" if there are."""
        return ALL_FAILED if self.board.empty else ""

    @property
    def nothing_probed(self) -> str:
        """Why there are no layers; "" if there are."""
        return self.nothing or (self.unwatched or NOT_PROBED if self.run.layers.empty else "")

    @property
    def unwatched(self) -> str:
        """Which checkpoints have no layers that can be measured, and why; "" if all have some."""
        reasons = {one.name: one.behaviour.unwatched for one in self.run.info.checkpoints}
        return " ".join(notes({name: Behaviour(unwatched=why) for name, why in reasons.items() if why}))

    @cached_property
    def significance(self) -> dict[str, pd.DataFrame]:
        """`paired_tests.significance` by architecture, of its first MOST_COMPARED activations."""
        return {
            str(architecture): significance(
                self.scores[self.scores["architecture"] == architecture],
                self.outcomes,
                self.joint.get(str(architecture)),
                list(board["activation"][:MOST_COMPARED]),
            )
            for architecture, board in self.board.groupby("architecture")
            if len(board) > 1
        }

    @cached_property
    def between(self) -> pd.DataFrame:
        """See `multi_run.tables.between_runs`; no rows if no activation is in two runs."""
        return run_tables.between_runs(self.grid, self.scores, self.outcomes)

    @cached_property
    def run_changes(self) -> pd.DataFrame:
        """See `multi_run.tables.run_changes`; no rows if no activation is in two runs."""
        return run_tables.run_changes(self.scores, self.outcomes)

    @cached_property
    def corruption_changes(self) -> pd.DataFrame:
        """See `multi_run.tables.corruption_changes`; no rows if no activation is in two runs."""
        return run_tables.corruption_changes(
            self.grid, self.scores, None if self.outcomes is None else self.cells
        )

    @cached_property
    def unpaired(self) -> pd.DataFrame:
        """See `multi_run.tables.unpaired`; no rows for a single run."""
        return run_tables.unpaired(self.scores, self.run.run_of if isinstance(self.run, Joined) else {})

    @cached_property
    def class_changes(self) -> pd.DataFrame:
        """See `multi_run.tables.class_changes`; no rows if labels or outcomes of images are unknown."""
        if self.run.labels is None:
            return pd.DataFrame()
        return run_tables.class_changes(self.scores, self.outcomes, self.run.labels)

    @cached_property
    def outcomes(self) -> dict[str, NDArray[np.float64]] | None:
        """See `robustbench_act.metrics.image_scores`."""
        return metrics.image_scores(self.run.cells)


def anchor_of(activations: Iterable[str]) -> str | None:
    """Return the first of ANCHORS, in the first run with it; None if there is none.

    >>> anchor_of(["silu", "relu ⟨2⟩ new", "relu ⟨1⟩ old"])
    'relu ⟨1⟩ old'
    """
    ranked = sorted(activations)
    return next((name for base in ANCHORS for name in ranked if plain_name(name) == base), None)
