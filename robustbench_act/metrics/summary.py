"""All metrics of each checkpoint over the cells of a run."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from robustbench_act.errors import InputError
from robustbench_act.metrics.classes import class_accuracy
from robustbench_act.metrics.cohorts import AXES, COHORT
from robustbench_act.metrics.reference import Reference
from robustbench_act.metrics.scores import checkpoint_scores, image_accuracy, image_accuracy_by_corruption
from robustbench_act.records import headline, succeeded
from robustbench_act.statistics import ratio_interval
from robustbench_act.tally.cell_quantities import CELL_QUANTITIES

CELL_METRICS = tuple(one.name for one in CELL_QUANTITIES if one.metric is not None and one.name != "accuracy")
"""Columns of cells that a summary averages as accuracy is averaged."""


def summary(
    cells: pd.DataFrame, *, labels: ArrayLike | None = None, reference: Reference | None = None
) -> pd.DataFrame:
    """Return one row per checkpoint of `Run.cells` with every metric; what each means is in `METRICS`.

    Raises InputError if the reference has other severities, or a corruption that the run lacks.

    Parameters
    ----------
    labels
        Of the run's images (`Run.images`), for the worst class.
    reference
        For mce, relative_mce and effective; NaN without.

    Returns
    -------
    DataFrame
        architecture, activation, AXES, checkpoint, training_seed, clean, mca, error, retained,
        group_<name>, CELL_METRICS over the cells of `records.headline`, severity_area, worst_class,
        worst_class_n, worst_class_shrunk, mce, relative_mce, effective; the ends of the intervals over
        images, 95 %: retained_low, retained_high, mce_low, mce_high. Checkpoints with an error are left out.
        NaN where `Reference.refusals` has a reason.
    """
    table = checkpoint_scores(cells).set_index("checkpoint")
    whole = succeeded(cells)
    bad = headline(whole)
    place = table.columns.get_loc("mca")
    assert isinstance(place, int)
    table.insert(place + 1, "error", 1 - table["mca"])
    table.insert(place + 2, "retained", table["mca"] / table["clean"].where(table["clean"] > 0))
    bad = bad.reindex(columns=[*bad, *(name for name in CELL_METRICS if name not in bad)])  # older runs
    means = bad.groupby(["checkpoint", "corruption"])[list(CELL_METRICS)].mean()
    table = table.join(means.groupby("checkpoint").mean())
    table["severity_area"] = _severity_area(bad, table["clean"])
    table[["worst_class", "worst_class_n", "worst_class_shrunk"]] = np.nan
    if labels is not None and len(table):
        by_class = class_accuracy(cells, labels)
        worst = by_class.loc[by_class.groupby("checkpoint")["mca"].idxmin()].set_index("checkpoint")
        table["worst_class"], table["worst_class_n"] = worst["mca"], worst["n"]
        table["worst_class_shrunk"] = by_class.groupby("checkpoint")["mca_shrunk"].min()
    table[["mce", "relative_mce", "effective"]] = np.nan
    if reference is not None:
        _relate(table, bad, reference)
    _add_intervals(table, whole, reference)
    keys = [name for name in (*COHORT, *AXES) if name in table]
    return table.reset_index()[[*keys, "checkpoint", *table.columns[len(keys) :]]]


def _severity_area(bad: pd.DataFrame, clean: "pd.Series[float]") -> "pd.Series[float]":
    means = bad.pivot_table(index=["checkpoint", "corruption"], columns="severity", values="accuracy")
    means.insert(0, 0.0, clean[means.index.get_level_values("checkpoint")].to_numpy())
    severities = means.columns.to_numpy(dtype=float)
    area = np.trapezoid(means.to_numpy(), severities, axis=1) / severities[-1]
    return pd.Series(area, index=means.index).groupby("checkpoint").mean()


def _relate(table: pd.DataFrame, bad: pd.DataFrame, reference: Reference) -> None:
    """Fill mce, relative_mce and effective."""
    severities = tuple(sorted(bad["severity"].unique().tolist()))
    if severities != reference.severities:
        raise InputError(
            f"Reference {reference.name}: has severities {reference.severities}, the run {severities}."
        )
    error = 1 - bad.pivot_table(index="checkpoint", columns="corruption", values="accuracy")
    missing = [name for name in reference.errors if name not in error]
    if missing:
        raise InputError(f"Reference {reference.name}: the run lacks {', '.join(missing)}.")
    base = pd.Series(reference.errors, dtype=float)
    error = error[base.index]
    refused = reference.refusals(int(bad["n"].max()) if "n" in bad else None)
    if "mce" not in refused:
        table["mce"] = error.div(base).mean(axis=1, skipna=False)
    if "relative_mce" not in refused:
        lost, base_lost = error.sub(1 - table["clean"], axis=0), base - reference.clean_error
        table["relative_mce"] = lost.div(base_lost).mean(axis=1, skipna=False)
    table["effective"] = table["mca"] - reference.expected(table["clean"])


def _add_intervals(table: pd.DataFrame, cells: pd.DataFrame, reference: Reference | None) -> None:
    """Add the intervals over images of retained and mce; NaN if a run has no outcomes of single images."""
    ends = ["retained_low", "retained_high", "mce_low", "mce_high"]
    table[ends] = np.nan
    if "outcomes" not in cells:
        return
    for checkpoint, rows in cells.groupby("checkpoint"):
        bad = headline(rows)
        found = ratio_interval(image_accuracy(bad), image_accuracy(rows[rows["severity"] == 0]))
        table.loc[checkpoint, ends[:2]] = list(found)
        if reference is not None and table["mce"].notna().any():
            errors = 1 - image_accuracy_by_corruption(bad)
            table.loc[checkpoint, ends[2:]] = list(reference.mce_interval(errors))
