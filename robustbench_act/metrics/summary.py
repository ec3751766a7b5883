"""All metrics of each checkpoint over the cells of a run."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from robustbench_act.errors import InputError
from robustbench_act.metrics.reference import Reference
from robustbench_act.metrics.scores import checkpoint_scores, image_accuracy
from robustbench_act.records import headline, succeeded
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
        architecture, activation, checkpoint, training_seed, clean, mca, error, retained, group_<name>,
        CELL_METRICS over the cells of `records.headline`, severity_area, worst_class, mce, relative_mce,
        effective. Checkpoints with an error are left out.
    """
    table = checkpoint_scores(cells).set_index("checkpoint")
    whole = succeeded(cells)
    bad = headline(whole)
    table.insert(5, "error", 1 - table["mca"])
    table.insert(6, "retained", table["mca"] / table["clean"].where(table["clean"] > 0))
    bad = bad.reindex(columns=[*bad, *(name for name in CELL_METRICS if name not in bad)])  # older runs
    means = bad.groupby(["checkpoint", "corruption"])[list(CELL_METRICS)].mean()
    table = table.join(means.groupby("checkpoint").mean())
    table["severity_area"] = _severity_area(bad, table["clean"])
    table["worst_class"] = np.nan
    if labels is not None and len(table):
        by_class = class_accuracy(cells, labels)
        table["worst_class"] = by_class.groupby("checkpoint")["mca"].min()
    table[["mce", "relative_mce", "effective"]] = np.nan
    if reference is not None:
        _relate(table, bad, reference)
    return table.reset_index()[["architecture", "activation", "checkpoint", *table.columns[2:]]]


def class_accuracy(cells: pd.DataFrame, labels: ArrayLike) -> pd.DataFrame:
    """Return the accuracy of each class: checkpoint, label, n (images), clean and mca.

    Needs outcomes of single images; `labels` are int (images,), in the run's order.
    """
    classes, place = np.unique(np.asarray(labels), return_inverse=True)
    count = np.bincount(place)
    frames = []
    for checkpoint, rows in succeeded(cells).groupby("checkpoint", sort=False):
        columns: dict[str, Any] = {"checkpoint": checkpoint, "label": classes, "n": count}
        for name, part in (("clean", rows[rows["severity"] == 0]), ("mca", rows[rows["severity"] > 0])):
            accuracy = image_accuracy(part)
            if len(accuracy) != len(place):
                raise InputError(f"Expected a label for each of {len(accuracy)} images, got {len(place)}.")
            columns[name] = np.bincount(place, weights=accuracy) / count
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


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
    table["mce"] = error.div(base.where(base > 0)).mean(axis=1, skipna=False)
    lost, base_lost = error.sub(1 - table["clean"], axis=0), base - reference.clean_error
    table["relative_mce"] = lost.div(base_lost.where(base_lost > 0)).mean(axis=1, skipna=False)
    table["effective"] = table["mca"] - reference.expected(table["clean"])
