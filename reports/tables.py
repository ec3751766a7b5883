"""The numbers of a report, as pure functions from result rows to tables.

Every table is made from the checkpoints that were measured without an error; the others are
listed by `failures`. Accuracies are shares (0..1), higher is better. A *group* of checkpoints
is one activation in one architecture; its checkpoints differ in their training seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

from reports.errors import ReportError

GROUP_ORDER = ("noise", "blur", "weather", "digital", "extra", "shift")
CONFIDENCE = 0.95
_GROUP = ["architecture", "activation"]


@dataclass(frozen=True)
class Column:
    """What a column of the leaderboard holds: the one place that says its unit and direction.

    Attributes
    ----------
    title : str
        Heading for people.
    unit : "%", "points" or ""
        The unit it is *shown* in; the table itself holds shares (multiply by 100).
    better : "higher", "lower" or None
        Which direction is good, if either is.
    about : str
        One line of explanation, with the formula.
    """

    title: str
    unit: Literal["%", "points", ""]
    better: Literal["higher", "lower"] | None
    about: str


LEADERBOARD: Mapping[str, Column] = {
    "rank": Column("Rank", "", None, "Place by corrupted accuracy among the groups of one architecture."),
    "activation": Column("Activation", "", None, "Activation function of the networks."),
    "architecture": Column("Architecture", "", None, "Network; unlike ones are not ranked together."),
    "corrupted": Column(
        "Corrupted", "%", "higher", "Accuracy: mean over seeds of the mean over corruptions and severities."
    ),
    "low": Column("Low", "%", None, "Lower end of the 95% interval of `corrupted` over seeds."),
    "high": Column("High", "%", None, "Upper end of the 95% interval of `corrupted` over seeds."),
    "spread": Column("Spread", "points", "lower", "Standard deviation of `corrupted` over seeds (k - 1)."),
    "seeds": Column("Seeds", "", None, "Number of checkpoints (training seeds) averaged."),
    "clean": Column("Clean", "%", "higher", "Accuracy on the unchanged images, mean over seeds."),
    "retained": Column("Retained", "%", "higher", "Relative robustness: corrupted / clean."),
}


def group_column(group: str) -> Column:
    """Return the description of the leaderboard's column ``group_<group>``."""
    return Column(group, "%", "higher", f"Accuracy on the {group} corruptions, averaged as `corrupted` is.")


def group_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns ``group_<group>`` of a table, in its order."""
    return [str(name) for name in table if str(name).startswith("group_")]


def leaderboard(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per activation and architecture, the most robust first.

    Parameters
    ----------
    cells : DataFrame
        Result rows (`reports.run.CELL_COLUMNS`).

    Returns
    -------
    DataFrame
        The columns of `LEADERBOARD` in that order, then ``group_<name>`` for every corruption
        group of the run in the order of `GROUP_ORDER` (the others after them, sorted). Shares,
        not percent. ``low`` and ``high`` are ``corrupted ± t s / sqrt(k)`` with Student's t of
        k - 1 degrees of freedom over the k seeds, not clipped; NaN, as ``spread``, for one seed.
        No rows where every checkpoint failed.

    Raises
    ------
    ReportError
        A checkpoint without an error has a missing accuracy or no clean cell.

    >>> rows = pd.DataFrame({
    ...     "checkpoint": "a", "architecture": "net", "activation": "relu", "table": "32", "error": None,
    ...     "corruption": ["clean", "fog", "fog"], "group": ["clean", "weather", "weather"],
    ...     "severity": [0.0, 1.0, 5.0], "accuracy": [0.8, 0.6, 0.2]})
    >>> leaderboard(rows)[["clean", "corrupted", "retained"]].round(3).to_dict("records")
    [{'clean': 0.8, 'corrupted': 0.4, 'retained': 0.5}]
    """
    scores = checkpoint_scores(cells)
    measures = ["clean", "corrupted", *group_columns(scores)]
    groups = scores.groupby(_GROUP)
    board = groups[measures].mean()
    board["seeds"] = groups.size()
    board["spread"] = groups["corrupted"].std(ddof=1)
    half = board["spread"] / np.sqrt(board["seeds"]) * _student(board["seeds"].to_numpy())
    board["low"], board["high"] = board["corrupted"] - half, board["corrupted"] + half
    board["retained"] = board["corrupted"] / board["clean"].where(board["clean"] > 0)
    board = board.reset_index()
    ranks = board.groupby("architecture")["corrupted"].rank(method="min", ascending=False)
    board["rank"] = ranks.astype("int64")
    order = ["corrupted", *_GROUP]
    board = board.sort_values(order, ascending=[False, True, True], ignore_index=True)
    return board[[*LEADERBOARD, *group_columns(board)]]


def _student(seeds: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the two-sided 95% quantile of Student's t for each number of seeds (NaN for one)."""
    freedom = np.where(seeds > 1, seeds - 1.0, np.nan)
    return np.asarray(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def checkpoint_scores(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per checkpoint: its keys, ``clean``, ``corrupted`` and ``group_<name>`` (shares)."""
    whole = succeeded(cells)
    keys = [*_GROUP, "checkpoint"]
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint").set_index(keys)["accuracy"]
    bad = corrupted(whole)
    by_corruption = bad.groupby([*keys, "group", "corruption"])["accuracy"].mean()
    table = pd.DataFrame({"clean": clean, "corrupted": by_corruption.groupby(keys).mean()})
    if table.isna().to_numpy().any():
        checkpoint = table.index[table.isna().any(axis=1)][0][-1]
        raise ReportError(f"checkpoint {checkpoint!r} has no clean cell or no corrupted cell")
    by_group = by_corruption.groupby([*keys, "group"]).mean()
    for group in ordered_groups(bad["group"]):
        table[f"group_{group}"] = by_group.xs(group, level="group")
    table = table.reset_index()
    if "training_seed" in whole:
        seeds = whole.drop_duplicates("checkpoint").set_index("checkpoint")["training_seed"]
        table.insert(3, "training_seed", table["checkpoint"].map(seeds))
    return table


def succeeded(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the checkpoints that have no error in any cell.

    A checkpoint with one failed cell is left out as a whole: an average over fewer cells would
    not be comparable with the others.
    """
    failed = cells.loc[cells["error"].notna(), "checkpoint"]
    whole = cells[~cells["checkpoint"].isin(failed)]
    if whole["accuracy"].isna().any():
        row = whole[whole["accuracy"].isna()].iloc[0]
        raise ReportError(
            f"checkpoint {row['checkpoint']!r} has no accuracy and no error for {row['corruption']!r} "
            f"at severity {row['severity']:g}"
        )
    return whole


def corrupted(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the corrupted cells, each once.

    Suites overlap: a cell that two of them hold counts once. Where one corruption was run with
    several tables of constants, the table becomes part of its name, for it is not the same thing.
    """
    cell = ["checkpoint", "table", "corruption", "severity"]
    bad = cells[cells["severity"] > 0].drop_duplicates(cell).reset_index(drop=True)
    several = bad.groupby("corruption")["table"].transform("nunique") > 1
    bad.loc[several, "corruption"] = bad["corruption"] + " [" + bad["table"].astype(str) + "]"
    return bad


def ordered_groups(groups: Iterable[str]) -> list[str]:
    """Return the corruption groups in the order that every table uses.

    >>> ordered_groups(["shift", "mine", "noise"])
    ['noise', 'shift', 'mine']
    """
    present = set(groups)
    return [group for group in GROUP_ORDER if group in present] + sorted(present - set(GROUP_ORDER))


def corruption_order(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (group, corruption) of the corrupted cells: by group, then in the order of the run."""
    pairs = corrupted(cells)[["group", "corruption"]].drop_duplicates()
    found = list(pairs.itertuples(index=False, name=None))
    groups = ordered_groups(group for group, _ in found)
    return sorted(found, key=lambda pair: groups.index(pair[0]))


def failures(cells: pd.DataFrame, checkpoints: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """Return the failed checkpoints, with their keys, ``failed_cells`` and ``error``.

    Parameters
    ----------
    cells : DataFrame
        Result rows; those with an error count.
    checkpoints : sequence of mappings
        ``run.json``'s list: a checkpoint that failed before it had any row is taken from there
        (``failed_cells`` is 0 for it).
    """
    columns = ["checkpoint", "architecture", "activation", "training_seed", "failed_cells", "error"]
    bad = cells[cells["error"].notna()]
    rows = []
    for _, own in bad.groupby("checkpoint", sort=True):
        reasons = "; ".join(dict.fromkeys(own["error"].astype(str)))
        rows.append([*own.iloc[0][columns[:4]], len(own), reasons])
    listed = {row[0] for row in rows}
    for entry in checkpoints:
        if entry.get("status") == "failed" and entry["name"] not in listed:
            rows.append([entry["name"], *(entry.get(key) for key in columns[1:4]), 0, entry.get("error")])
    return pd.DataFrame(rows, columns=columns)


def heat(cells: pd.DataFrame) -> pd.DataFrame:
    """Return mean accuracy by (group, corruption) in rows and (architecture, activation) in columns.

    The first row is ``("clean", "clean")``; columns are in the order of the leaderboard. Values
    are shares, averaged over severities and then over seeds.
    """
    whole = succeeded(cells)
    order = list(leaderboard(cells)[_GROUP].itertuples(index=False, name=None))
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint")
    clean = clean.assign(group="clean", corruption="clean")
    both = pd.concat([clean, corrupted(whole)], ignore_index=True)
    cell = ["group", "corruption"]
    per_checkpoint = both.groupby([*_GROUP, "checkpoint", *cell], as_index=False)["accuracy"].mean()
    table = per_checkpoint.pivot_table(index=cell, columns=_GROUP, values="accuracy", aggfunc="mean")
    ordered: pd.DataFrame = table.reindex(index=[("clean", "clean"), *corruption_order(whole)], columns=order)
    return ordered


def curves(cells: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy by severity, long: one row per group of checkpoints, corruption and severity.

    Columns: architecture, activation, group, corruption, severity, accuracy (mean over seeds),
    spread (standard deviation over seeds, NaN for one), seeds. Severity 0 is the clean cell,
    repeated for every corruption.
    """
    whole = succeeded(cells)
    bad = corrupted(whole)
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint").drop(columns=["group", "corruption"])
    starts = clean.merge(bad[["group", "corruption"]].drop_duplicates(), how="cross")
    both = pd.concat([starts, bad], ignore_index=True)
    groups = both.groupby([*_GROUP, "group", "corruption", "severity"])["accuracy"]
    table = groups.agg(["mean", "std", "size"]).reset_index()
    return table.rename(columns={"mean": "accuracy", "std": "spread", "size": "seeds"})


def layer_profile(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the fluctuation of each activation layer, averaged over corrupted cells and seeds.

    Columns: architecture, activation, index, layer, elements, input_fluctuation,
    output_fluctuation (per element: the sums over the layer divided by ``elements``),
    input_spread, output_spread (standard deviation over images, per element: the root of the
    mean variance), amplification = output_fluctuation / input_fluctuation (NaN where the input
    did not change). A NaN in any row shows as NaN: it is not skipped.
    """
    bad = layers[layers["severity"] > 0]
    scaled = bad[[*_GROUP, "index", "layer", "elements"]].assign(
        input_fluctuation=bad["input_fluctuation_mean"] / bad["elements"],
        output_fluctuation=bad["output_fluctuation_mean"] / bad["elements"],
        input_spread=bad["input_fluctuation_var"] / bad["elements"] ** 2,
        output_spread=bad["output_fluctuation_var"] / bad["elements"] ** 2,
    )
    table = _strict_mean(scaled, [*_GROUP, "index", "layer", "elements"])
    table = table.astype({"index": "int64", "elements": "int64"})
    for name in ("input_spread", "output_spread"):
        table[name] = np.sqrt(table[name])
    changed = table["input_fluctuation"].where(table["input_fluctuation"] > 0)
    return table.assign(amplification=table["output_fluctuation"] / changed)


def activation_means(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the activation means of each layer on clean and on corrupted images, averaged over seeds.

    Columns: architecture, activation, index, layer, clean_mean, clean_abs_mean, corrupted_mean,
    corrupted_abs_mean. With mu_i the mean output of element i over the probe images, ``mean`` is
    the mean of mu_i and ``abs_mean`` the mean of ``|mu_i|`` over the layer's elements.
    """
    keys = [*_GROUP, "index", "layer"]
    names = ["activation_mean", "activation_abs_mean"]
    parts = []
    for kind, rows in (("clean", layers["severity"] == 0), ("corrupted", layers["severity"] > 0)):
        part = _strict_mean(layers.loc[rows, [*keys, *names]], keys).set_index(keys)
        parts.append(part.rename(columns={name: name.replace("activation", kind) for name in names}))
    return pd.concat(parts, axis=1).sort_index().reset_index().astype({"index": "int64"})


def _strict_mean(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the means by `keys`; unlike pandas' own, a missing value makes its mean missing."""
    values = [name for name in rows if name not in keys]
    groups = rows.groupby(keys)[values]
    complete = groups.count().eq(groups.size(), axis=0)
    return groups.mean().where(complete).reset_index()
