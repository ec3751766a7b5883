"""The tables that `table` and `compare` show: numbers as texts, under titles."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from robustbench_act.activations import activation_label
from robustbench_act.cli.metric_table import MetricTable
from robustbench_act.cli.table_formats import Block, decimals, signed
from robustbench_act.comparison import RunComparison
from robustbench_act.errors import InputError
from robustbench_act.metrics import (
    AXES,
    METRICS,
    Reference,
    alexnet,
    axis_columns,
    headline_words,
    run_reference,
)
from robustbench_act.paper_tables import COLUMNS, layeract_table
from robustbench_act.paths import expand
from robustbench_act.records import SHIFT
from robustbench_act.run import Run, load_run


def metrics(
    run: Run,
    reference: str | None = None,
    columns: Sequence[str] | None = None,
    activations: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, list[Block]]:
    """Return the numbers of a CSV file, and a block for each architecture: see `MetricTable`."""
    _refuse_empty(run)
    base = _reference(run, reference) if reference else None
    table = MetricTable(run, base, columns, activations)
    named = [METRICS[name].title for name in ("mce", "relative_mce", "effective") if name in table.names]
    relative = f"; {', '.join(named)} against {base.name}" if base and named else ""
    return table.numbers(), table.blocks(note=f"{relative}{_refused(run, base) if base else ''}")


def _refused(run: Run, base: Reference) -> str:
    """Say which metrics the reference cannot carry, and how sure the line of effective robustness is."""
    said = [
        f"no {METRICS[name].title}: {why}" for name, why in base.refusals(run.info.dataset.images).items()
    ]
    if base.line:
        low, high = base.line.low, base.line.high
        slope = f"slope {base.line.slope:.2f} (95%: {low:.2f} to {high:.2f})"
        said.append(f"line through {base.line.models} models, {slope}")
    return "".join(f"; {text}" for text in said)


def layeract(run: Run) -> tuple[pd.DataFrame, list[Block]]:
    """Return the LayerAct paper's tables: the numbers, and a block for each statistic."""
    _refuse_empty(run)
    frame = layeract_table(run)
    blocks = []
    for (dataset, architecture, statistic), rows in frame.groupby(
        ["dataset", "architecture", "statistic"], sort=False
    ):
        p_values = str(statistic).startswith("p vs")
        title = _STATISTICS.get(str(statistic), f"Significance: {statistic}")
        axes = axis_columns(rows)
        shown = pd.DataFrame(
            {"activation": rows["activation"].map(activation_label), **axes, "source": rows["source"]}
        )
        shown["seeds"] = rows["seeds"].map(str)
        for name in COLUMNS:
            shown[name] = rows[name].map(_paper_p_value if p_values else _accuracy)
        notes = "; ".join(note for note in rows["note"].unique() if note and p_values)
        tail = f" ({notes})" if notes else ""
        blocks.append(Block(f"{dataset}, {architecture}. {title}{tail}", shown))
    return frame, blocks


def comparison(found: RunComparison, most: int | None) -> list[Block]:
    """Return the tables of `compare`: activations, checkpoints, and the cells that moved."""
    blocks = []
    groups = found.cells.get("group", pd.Series(dtype=str))
    words = headline_words(groups)
    for name, keys in (("activations", ["activation"]), ("checkpoints", ["checkpoint", "other"])):
        table = getattr(found, name)
        if "activation" in table:
            table = table.assign(activation=table["activation"].map(activation_label))
        if len(table):
            axes = axis_columns(table) if name == "activations" else {}
            show = _joint if name == "activations" else _tests
            shown = show(table.assign(**axes), [*keys, *axes])
            blocks.append(Block(_TITLES[name].format(words.images), shown))
    shifts = groups == SHIFT
    blocks.append(_moved("Cells", found.cells[~shifts], found.moved(), most))
    if shifts.any():
        blocks.append(_moved("Cells of input shifts", found.cells[shifts], found.moved(), most))
    return blocks


def _moved(what: str, cells: pd.DataFrame, moved: pd.DataFrame, most: int | None) -> Block:
    """Return the first of the cells that moved, of those in `cells`."""
    own = moved[moved.index.isin(cells.index)]
    shown = own if most is None else own.head(most)
    of = f"{len(cells):,} {what[0].lower()}{what[1:]}"
    if shown.empty:
        return Block(f"None of {of} moved beyond chance in images (McNemar, Holm).", shown)
    more = f", the first {most}; --all shows all" if len(shown) < len(own) else ""
    title = f"{what} that moved beyond chance in images: {len(own):,} of {len(cells):,} (McNemar, Holm){more}"
    cell = shown["corruption"] + ":" + shown["severity"].map("{:g}".format)
    return Block(title, _tests(shown.assign(cell=cell), ["checkpoint", "cell"]))


def comparison_json(found: RunComparison) -> str:
    """Return all tables of a comparison as JSON."""
    tables = {name: getattr(found, name) for name in ("checkpoints", "activations", "cells")}
    rows = {
        name: json.loads(table.to_json(orient="records", double_precision=15))
        for name, table in tables.items()
    }
    return json.dumps({"notes": list(found.notes), **rows}, indent=1)


_STATISTICS = {
    "mean": "Accuracy in %, mean over training seeds",
    "std": "Standard deviation over training seeds",
}
_TITLES = {
    "activations": "Activations: {} accuracy in %, over other trainings and images",
    "checkpoints": "Checkpoints: {} accuracy in %, these trained networks over other images",
}


def _tests(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    shown = _differences(table, keys)
    shown["pairs"] = table["pairs"].map(str)
    shown["test"] = table["test"].where(table["note"] == "", table["test"] + "; " + table["note"])
    return shown


def _joint(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    shown = _differences(table, keys)
    shown["shown 4 in 5"] = table["detectable"].map(lambda share: decimals(100 * share, 2))
    shown["seeds"] = table["seeds"].map(str)
    shown["note"] = table["note"]
    return shown if table["note"].any() else shown.drop(columns="note")


def _differences(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    shown = table[keys].astype(str)
    if "other" in shown and (shown["other"] == shown["checkpoint"]).all():
        shown = shown.drop(columns="other")
    for name in ("a", "b"):
        shown[name.upper()] = table[name].map(lambda share: decimals(100 * share, 2))
    shown["B − A"] = table["difference"].map(lambda share: signed(100 * share, 2))
    shown["95%"] = [interval(low, high) for low, high in zip(table["low"], table["high"], strict=True)]
    shown["p (Holm)"] = table["adjusted"].map(p_value)
    return shown


def _refuse_empty(run: Run) -> None:
    if run.leaderboard().empty:
        raise InputError(f"{run.path}: nothing to show, every checkpoint failed.")


def _reference(run: Run, text: str) -> Reference:
    if text.lower() == "alexnet":
        return alexnet(run.info)
    variants = variant_names(run.cells)
    own = run.cells[variants == text]
    if len(own):
        return run_reference(own, activation_label(text))
    if not expand(text).is_dir():
        names = ", ".join(sorted(variants.unique()))
        raise InputError(
            f"--reference: expected a run, alexnet or an activation of this run ({names}), got {text!r}."
        )
    other = load_run(text)
    found = run_reference(other.cells, text)
    same = other.info.dataset.digest == run.info.dataset.digest
    return found if same else replace(found, image_errors=None)


def variant_names(cells: pd.DataFrame) -> "pd.Series[str]":
    """Return what `--reference` calls the variants of a run: "relu", "relu layer" if there are several."""
    several = [axis for axis in AXES if len(set(cells[axis])) > 1]
    parts = cells[["activation", *several]].itertuples(index=False, name=None)
    return pd.Series([" ".join(filter(None, row)) for row in parts], index=cells.index)


def interval(low: float, high: float, digits: int = 2) -> str:
    """Return the ends of an interval of shares, in points; a dash for NaN."""
    return "–" if np.isnan(low) else f"{signed(100 * low, digits)} to {signed(100 * high, digits)}"


def p_value(p: float) -> str:
    """Return a p-value with two digits; a dash for NaN."""
    return "–" if np.isnan(p) else f"{p:.2g}"


def _accuracy(value: float) -> str:
    return decimals(value, 2)


def _paper_p_value(p: float) -> str:
    """Return a p-value as the paper writes it.

    >>> _paper_p_value(0.0004), _paper_p_value(0.02), _paper_p_value(0.3)
    ('< 1e-3', '0.020', '> 0.05')
    """
    if np.isnan(p):
        return "–"
    if p > 0.05:
        return "> 0.05"
    return "< 1e-3" if p < 1e-3 else f"{p:.3f}"
