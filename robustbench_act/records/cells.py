"""Which rows of a run count: those of checkpoints without a failed cell, each corrupted cell once."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from corruptions.facts import GROUPS
from robustbench_act.errors import InputError

CELL = ["table", "corruption", "severity"]


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


def ordered_groups(groups: Iterable[str]) -> list[str]:
    """Return the corruption groups in the order that every table uses.

    >>> ordered_groups(["shift", "mine", "noise"])
    ['noise', 'shift', 'mine']
    """
    present = set(groups)
    return [group for group in GROUPS if group in present] + sorted(present - set(GROUPS))
