"""Which rows of a run count: checkpoints that were measured whole, each corrupted cell once."""

from collections.abc import Iterable

import pandas as pd

from corruptions.facts import GROUPS
from robustbench_act.errors import InputError

CELL = ["table", "corruption", "severity"]


def succeeded(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the checkpoints that have no error in any cell.

    A checkpoint with one failed cell is left out as a whole: an average over fewer cells would not be
    comparable with the others. Where images have no labels, each network's own prediction on the clean image
    is the label: accuracy is agreement with it.

    Raises
    ------
    InputError
        Where an accuracy is missing without an error.
    """
    failed = cells.loc[cells["error"].notna(), "checkpoint"]
    whole = cells[~cells["checkpoint"].isin(failed)]
    if not labelled(whole):
        whole = whole.assign(accuracy=whole["agreement"])
    if whole["accuracy"].isna().any():
        row = whole[whole["accuracy"].isna()].iloc[0]
        raise InputError(
            f"checkpoint {row['checkpoint']!r} has no accuracy and no error for {row['corruption']!r} "
            f"at severity {row['severity']:g}"
        )
    return whole


def labelled(cells: pd.DataFrame) -> bool:
    """Tell whether the images of a run have labels: without them `correct` is missing, not 0."""
    good = cells["error"].isna()
    return "correct" not in cells or not good.any() or bool(cells.loc[good, "correct"].notna().any())


def corrupted(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the corrupted cells, each once.

    Suites overlap: a cell that two of them hold counts once. Where one corruption was run with several tables
    of constants, the table becomes part of its name, for it is not the same thing.
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
