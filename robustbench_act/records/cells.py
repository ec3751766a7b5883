"""Which rows of a run count: those of checkpoints without a failed cell, each corrupted cell once.

The headline of every table and sentence is over the corruptions; input shifts stand apart (`headline`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from corruptions.facts import GROUPS
from robustbench_act.english import count
from robustbench_act.errors import InputError
from robustbench_act.records.info import CheckpointInfo

CELL = ["table", "corruption", "severity"]
SHIFT = "shift"
"""The group of input shifts."""


def succeeded(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the checkpoints that have no error in any cell.

    A checkpoint with one failed cell is left out as a whole: an average over fewer cells would not be
    comparable with the others. Accuracy is that of `scored`. Raises InputError if an accuracy is missing
    without an error.
    """
    failed = cells.loc[cells["error"].notna(), "checkpoint"]
    whole = scored(cells[~cells["checkpoint"].isin(failed)])
    if whole["accuracy"].isna().any():
        cell = cell_name(whole[whole["accuracy"].isna()].iloc[0])
        raise InputError(f"{cell} has neither an accuracy nor an error.")
    return whole


def failures(cells: pd.DataFrame, checkpoints: Sequence[CheckpointInfo] = ()) -> pd.DataFrame:
    """Return checkpoint, architecture, activation, training_seed, failed_cells and error of what failed.

    Parameters
    ----------
    checkpoints
        Those of run.json: one that failed before it had any row is taken from there (failed_cells is 0).
    """
    columns = ["checkpoint", "architecture", "activation", "training_seed", "failed_cells", "error"]
    bad = cells[cells["error"].notna()]
    rows = []
    for _, own in bad.groupby("checkpoint", sort=True):
        reasons = "; ".join(dict.fromkeys(own["error"].astype(str)))
        rows.append([*own.iloc[0][columns[:4]], len(own), reasons])
    listed = {row[0] for row in rows}
    for entry in checkpoints:
        if entry.status == "failed" and entry.name not in listed:
            who = [entry.name, entry.architecture or None, entry.activation or None, entry.training_seed]
            rows.append([*who, 0, entry.error])
    return pd.DataFrame(rows, columns=columns)


def labelled(cells: pd.DataFrame) -> bool:
    """Tell whether the images of a run have labels: without them `correct` is missing, not 0."""
    good = cells["error"].isna()
    return "correct" not in cells or not good.any() or bool(cells.loc[good, "correct"].notna().any())


def scored(cells: pd.DataFrame) -> pd.DataFrame:
    """Return cells whose accuracy is agreement if the images have no labels.

    The label of an image is then each network's own prediction on the clean version.
    """
    return cells if labelled(cells) else cells.assign(accuracy=cells["agreement"])


def cell_name(row: "pd.Series[Any]") -> str:
    """Return how error messages name a cell of a checkpoint."""
    return f"{row['corruption']} at severity {row['severity']:g} of checkpoint {row['checkpoint']!r}"


def corrupted(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the corrupted cells, each once.

    Suites overlap: a cell that two of them hold counts once. If a corruption was run with several tables of
    constants, the table becomes part of its name: these are different corruptions.
    """
    bad = cells[cells["severity"] > 0].drop_duplicates(["checkpoint", *CELL]).reset_index(drop=True)
    several = bad.groupby("corruption")["table"].transform("nunique") > 1
    bad.loc[several, "corruption"] = bad["corruption"] + " [" + bad["table"].astype(str) + "]"
    return bad


def headline(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the corrupted cells, each once, that every mean over corruptions is over: no input shifts.

    One paper chose the shifts, and they act after the preprocessing: they do not decide who is most robust.
    If a run has nothing else, they are its headline, and `headline_words` names them.
    """
    bad = corrupted(cells)
    return bad[bad["group"].isin(headline_groups(bad["group"]))].reset_index(drop=True)


def headline_groups(groups: Iterable[str]) -> list[str]:
    """Return the groups of corruptions that `headline` is over, in order.

    >>> headline_groups(["shift", "noise", "clean"]), headline_groups(["clean", "shift"])
    (['noise'], ['shift'])
    """
    present = [group for group in ordered_groups(groups) if group != "clean"]
    return [group for group in present if group != SHIFT] or present


@dataclass(frozen=True)
class HeadlineWords:
    """What sentences call the headline's images and its cells."""

    images: str = "corrupted"
    cells: str = "corruptions"


def headline_words(groups: Iterable[str]) -> HeadlineWords:
    """Return what sentences call the headline of a run with these groups.

    >>> headline_words(["noise", "shift"]).cells, headline_words(["shift"]).cells
    ('corruptions', 'input shifts')
    """
    alone = headline_groups(groups) == [SHIFT]
    return HeadlineWords("shifted", group_label(SHIFT)) if alone else HeadlineWords()


def group_label(group: str) -> str:
    """Return what people read for a group of corruptions.

    >>> group_label("shift"), group_label("noise")
    ('input shifts', 'noise')
    """
    return "input shifts" if group == SHIFT else group


def counted_kinds(groups: Iterable[str]) -> list[str]:
    """Return how many corruptions and how many input shifts there are, from the group of each.

    >>> counted_kinds(["noise", "blur", "shift"]), counted_kinds(["shift", "shift"])
    (['2 corruptions', '1 input shift'], ['2 input shifts'])
    """
    shifts = [group == SHIFT for group in groups]
    found = (("corruption", shifts.count(False)), ("input shift", shifts.count(True)))
    return [count(amount, kind) for kind, amount in found if amount]


def ordered_groups(groups: Iterable[str]) -> list[str]:
    """Return the corruption groups in the order that every table uses: input shifts last.

    >>> ordered_groups(["shift", "mine", "noise"])
    ['noise', 'mine', 'shift']
    """
    known = [group for group in GROUPS if group != SHIFT]
    present = set(groups)
    own = sorted(present - {*known, SHIFT})
    return [group for group in (*known, *own, SHIFT) if group in present]
