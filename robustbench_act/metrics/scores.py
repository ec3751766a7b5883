"""Scores of checkpoints: one number each, or one of each image."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.errors import InputError
from robustbench_act.metrics.cohorts import AXES, COHORT
from robustbench_act.records import corrupted, headline, ordered_groups, outcomes, succeeded


def group_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns `group_<group>` of a table, in its order."""
    return [str(name) for name in table if str(name).startswith("group_")]


def checkpoint_scores(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per checkpoint: its keys, `clean`, `mca` and `group_<name>` (shares)."""
    whole = succeeded(cells)
    keys = [*COHORT, *(axis for axis in AXES if axis in whole), "checkpoint"]
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint").set_index(keys)["accuracy"]
    by_corruption, counted = (
        rows.groupby([*keys, "group", "corruption"])["accuracy"].mean()
        for rows in (corrupted(whole), headline(whole))
    )
    table = pd.DataFrame({"clean": clean, "mca": counted.groupby(keys).mean()})
    if table.isna().to_numpy().any():
        checkpoint = table.index[table.isna().any(axis=1)][0][-1]
        raise InputError(f"checkpoint {checkpoint!r} has no clean cell or no corrupted cell")
    by_group = by_corruption.groupby([*keys, "group"]).mean()
    for group in ordered_groups(by_corruption.index.get_level_values("group")):
        table[f"group_{group}"] = by_group.xs(group, level="group")
    table = table.reset_index()
    if "training_seed" in whole:
        seeds = whole.drop_duplicates("checkpoint").set_index("checkpoint")["training_seed"]
        table.insert(len(keys), "training_seed", table["checkpoint"].map(seeds))
    return table


def image_scores(cells: pd.DataFrame) -> dict[str, NDArray[np.float64]] | None:
    """Return `image_accuracy` of each checkpoint, corrupted; None if outcomes of images are not recorded."""
    whole = succeeded(cells)
    if "outcomes" not in whole or whole["outcomes"].isna().any():
        return None
    bad = whole[whole["severity"] > 0]
    return {str(name): image_accuracy(own) for name, own in bad.groupby("checkpoint", sort=False)}


def image_accuracy(cells: pd.DataFrame) -> NDArray[np.float64]:
    """Return (images,): the share of one checkpoint's cells in which each image is classified correctly.

    Averaged as accuracy is, over the severities and then the corruptions, so that its mean is the accuracy.
    `cells` are the checkpoint's clean cell, or its corrupted ones, of which `records.headline` count.
    """
    rows = cells if (cells["severity"] == 0).any() else headline(cells)
    rows = rows.drop_duplicates(["corruption", "severity"])
    size = rows.groupby("corruption")["severity"].transform("size").to_numpy()
    weights = 1 / (size * rows["corruption"].nunique())
    found: NDArray[np.float64] = weights @ outcomes(rows)
    return found


def image_accuracy_by_corruption(cells: pd.DataFrame) -> pd.DataFrame:
    """Return (corruptions, images): the share of severities at which each image is classified correctly.

    `cells` are rows of `Run.cells` of one checkpoint; the clean cell is left out.

    >>> from robustbench_act.records import pack_outcomes
    >>> right = pack_outcomes([[True, False], [True, True]])
    >>> cells = pd.DataFrame({"checkpoint": "a", "table": "32", "corruption": "fog", "severity": [1, 5]})
    >>> image_accuracy_by_corruption(cells.assign(outcomes=right, n=2)).loc["fog"].to_list()
    [1.0, 0.5]
    """
    rows = corrupted(cells).drop_duplicates(["corruption", "severity"])
    right = pd.DataFrame(outcomes(rows).astype(float))
    return right.groupby(rows["corruption"].to_numpy(), sort=False).mean()
