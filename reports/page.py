"""What stands on the page: a run turned into plain values for the template, section by section."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from reports import tables, words
from reports.figures import CURVE_SIZE, DEPTH_SIZE, depth_lines, severity_curves, to_svg
from reports.layout import Plot, Table
from reports.provenance import provenance
from reports.run import RunData
from reports.style import FAMILIES, Line, activation_line, drawing_order, heat_colours
from robustbench_act import metrics

ALL_FAILED = "Nothing to show: every checkpoint failed."
NOT_MEASURED = "Not measured (--no-probes)."
NO_SAMPLES = "This run holds no sample images (its folder samples/ is empty or absent)."


def page_context(run: RunData) -> dict[str, Any]:
    """Return everything that the template names, from the verdict to the provenance."""
    failed = tables.failures(run.cells, run.info["checkpoints"])
    board = metrics.leaderboard(run.cells)
    scores = metrics.checkpoint_scores(run.cells)
    layers = run.layers[~run.layers["checkpoint"].isin(failed["checkpoint"])]
    return {
        "info": run.info,
        "facts": _facts(run, board, failed),
        "measure": words.measure(labelled=run.labelled),
        "labelled": run.labelled,
        "verdicts": words.verdict(board, labelled=run.labelled),
        "notes": words.notes(run.info, scores, labelled=run.labelled),
        "nothing": ALL_FAILED if board.empty else "",
        "architectures": sorted(board["architecture"].unique()),
        "legend": _legend(board),
        "board": _board(board),
        "scores": _scores_table(scores, words.measure(labelled=run.labelled)),
        "images": int(run.cells["n"].max()),
        "heat": _heat(run.cells, board),
        "curves": _curves(run.cells, board, words.measure(labelled=run.labelled)),
        "profile": _profile(layers, nothing=_nothing(board, run.layers)),
        "means": _means(layers, nothing=_nothing(board, run.layers)),
        "samples": _samples(run),
        "failed": _failed_table(failed),
        "provenance": provenance(run.info),
    }


def _nothing(board: pd.DataFrame, layers: pd.DataFrame) -> str:
    if board.empty:
        return ALL_FAILED
    return NOT_MEASURED if layers.empty else ""


def _facts(run: RunData, board: pd.DataFrame, failed: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the headline figures as (value, what it counts)."""
    bad = run.cells[run.cells["severity"] > 0]
    severities = words.joined([f"{value:g}" for value in sorted(bad["severity"].unique())])
    activations = len(board["activation"].unique())
    checkpoints = run.cells["checkpoint"].nunique()
    facts = [
        (words.count(checkpoints, "checkpoint"), f"{words.count(activations, 'activation')} compared"),
        (words.count(bad["corruption"].nunique(), "corruption"), f"severity {severities}"),
        (words.count(int(run.cells["n"].max()), "image"), f"of {run.info['dataset']['name']}, in every cell"),
    ]
    if not failed.empty:
        facts.append((f"{len(failed)} failed", "left out of every average, listed below"))
    return facts


def _legend(board: pd.DataFrame) -> list[tuple[str, list[tuple[str, Line]]]]:
    names = sorted(board["activation"].unique(), key=drawing_order)
    lines = [(name, activation_line(name)) for name in names]
    families = [(family, [pair for pair in lines if pair[1].family == family]) for family in FAMILIES]
    return [(family, members) for family, members in families if members]


def _board(board: pd.DataFrame) -> dict[str, Any]:
    """Return the leaderboard's headings and rows: text, the value to sort by, and the interval's drawing."""
    groups = metrics.group_columns(board)
    shared = (
        {"architecture"} if len(board["architecture"].unique()) == 1 else set()
    )  # said in the page's header
    described = {name: metrics.METRICS[name] for name in metrics.LEADERBOARD if name not in shared}
    described |= {name: metrics.group_metric(name.removeprefix("group_")) for name in groups}
    ruler = _ruler(board)
    rows = [_board_row(row, described, ruler) for _, row in board.iterrows()]
    return {"columns": described, "groups": groups, "rows": rows, "ruler": ruler}


def _board_row(
    row: "pd.Series[Any]", columns: Mapping[str, metrics.Metric], ruler: tuple[int, int]
) -> dict[str, Any]:
    return {
        "cells": {name: (_board_text(row[name], column), row[name]) for name, column in columns.items()},
        "line": activation_line(row["activation"]),
        "dot": _place(row["corrupted"], ruler),
        "interval": None if pd.isna(row["low"]) else [_place(row[end], ruler) for end in ("low", "high")],
    }


def _board_text(value: Any, column: metrics.Metric) -> str:
    return words.percent(value) if column.unit else str(value)


def _ruler(board: pd.DataFrame) -> tuple[int, int]:
    """Return the tens (in %) between which all intervals of the leaderboard lie, within 0 to 100."""
    if board.empty:
        return 0, 100
    ends = 10 * board[["low", "high", "corrupted"]].to_numpy(dtype=float)
    return max(10 * math.floor(np.nanmin(ends)), 0), min(10 * math.ceil(np.nanmax(ends)), 100)


def _place(share: float, ruler: tuple[int, int]) -> float:
    """Return where a share lies on the leaderboard's ruler of 100 units."""
    first, last = ruler
    return round(100 * min(max((100 * share - first) / max(last - first, 1), 0.0), 1.0), 2)


def _scores_table(scores: pd.DataFrame, measure: str) -> Table:
    groups = metrics.group_columns(scores)
    ordered = scores.sort_values("corrupted", ascending=False, kind="stable")
    values = ["clean", "corrupted", *groups]
    heads = [name.removeprefix("group_").capitalize() for name in values]
    return Table(
        caption=f"{measure.capitalize()} of every checkpoint, in %",
        headings=["Checkpoint", "Training seed", *heads],
        rows=[
            [
                *(_plain(row[name]) for name in ("checkpoint", "training_seed")),
                *map(words.percent, row[values]),
            ]
            for _, row in ordered.iterrows()
        ],
    )


def _plain(value: Any) -> str:
    return "–" if pd.isna(value) else str(value)


def _heat(cells: pd.DataFrame, board: pd.DataFrame) -> dict[str, Any]:
    """Return the heat map: column names, and blocks of rows (one per corruption group) of coloured cells."""
    if board.empty:
        return {"columns": [], "blocks": []}
    table = tables.heat(cells)
    blocks: dict[str, list[tuple[str, list[tuple[str, str, str]]]]] = {}
    for (group, corruption), values in zip(table.index, table.to_numpy(), strict=True):
        shades = [(words.percent(value), *heat_colours(value)) for value in values]
        blocks.setdefault(group, []).append((corruption, shades))
    return {"columns": list(table.columns), "blocks": list(blocks.items())}


def _curves(cells: pd.DataFrame, board: pd.DataFrame, measure: str) -> list[dict[str, Any]]:
    """Return per architecture its plots, one per corruption, and the table of their numbers."""
    if board.empty:
        return []
    long = tables.curves(cells)
    order = tables.corruption_order(metrics.succeeded(cells))
    sections = []
    for place, (architecture, own) in enumerate(long.groupby("architecture")):
        plots = [_curve_plot(own, pair, name=f"curve-{place}-{number}") for number, pair in enumerate(order)]
        table = _curves_table(own, order, measure)
        sections.append({"architecture": architecture, "plots": plots, "table": table})
    return sections


def _curve_plot(curves: pd.DataFrame, pair: tuple[str, str], *, name: str) -> Plot:
    group, corruption = pair
    data = curves[curves["corruption"] == corruption]
    finding = words.curve_finding(corruption, data)
    svg = to_svg(partial(severity_curves, data), size=CURVE_SIZE, name=name, title=finding)
    return Plot(heading=corruption, svg=svg, note=group)


def _curves_table(data: pd.DataFrame, order: Sequence[tuple[str, str]], measure: str) -> Table:
    wide = data.pivot_table(index=["corruption", "activation"], columns="severity", values="accuracy")
    severities = wide.columns.astype(float)
    names = sorted(data["activation"].unique(), key=drawing_order)
    rows = [
        [corruption, name, *(words.percent(value) for value in wide.loc[(corruption, name)])]
        for _, corruption in order
        for name in names
    ]
    heads = ["Clean" if severity == 0 else f"Severity {severity:g}" for severity in severities]
    headings = ["Corruption", "Activation", *heads]
    return Table(f"{measure.capitalize()} in %, mean over training seeds", headings, rows, stubs=2)


_Drawn = Sequence[tuple[str, str, float | None]]  # column, title, where a line goes across
_PROFILE: _Drawn = (
    ("output_fluctuation", "Output fluctuation per element", None),
    ("input_fluctuation", "Input fluctuation per element", None),
    ("amplification", "Amplification (output / input)", 1.0),
)
_MEANS: _Drawn = (
    ("clean_mean", "Activation mean, clean images", 0.0),
    ("clean_abs_mean", "Mean of |μ| over elements, clean images", None),
)


def _profile(layers: pd.DataFrame, *, nothing: str) -> dict[str, Any]:
    return _depth_sections(tables.layer_profile, layers, _PROFILE, prefix="profile", nothing=nothing)


def _means(layers: pd.DataFrame, *, nothing: str) -> dict[str, Any]:
    return _depth_sections(tables.activation_means, layers, _MEANS, prefix="means", nothing=nothing)


def _depth_sections(
    make: Callable[[pd.DataFrame], pd.DataFrame],
    layers: pd.DataFrame,
    drawn: _Drawn,
    *,
    prefix: str,
    nothing: str,
) -> dict[str, Any]:
    """Return per architecture the plots by depth and the table of their numbers, or why there are none."""
    if nothing:
        return {"nothing": nothing, "sections": []}
    sections = []
    for place, (architecture, own) in enumerate(make(layers).groupby("architecture")):
        plots = [
            _depth_plot(own, value, title, reference, name=f"{prefix}-{place}-{number}")
            for number, (value, title, reference) in enumerate(drawn)
        ]
        sections.append({"architecture": architecture, "plots": plots, "table": _depth_table(own)})
    return {"nothing": "", "sections": sections}


def _depth_plot(data: pd.DataFrame, value: str, title: str, reference: float | None, *, name: str) -> Plot:
    finding = words.depth_finding(title, data, value)
    draw = partial(depth_lines, data, value=value, reference=reference)
    svg = to_svg(draw, size=DEPTH_SIZE, name=name, title=finding)
    return Plot(heading=title, svg=svg, note=finding.removeprefix(f"{title}, "))


def _depth_table(data: pd.DataFrame) -> Table:
    keys = ["activation", "index", "layer"]
    values = [str(name) for name in data if name not in {"architecture", *keys}]
    ordered = data.sort_values(["activation", "index"], key=lambda column: column.map(_sort_key))
    return Table(
        caption="Mean over training seeds (and corrupted cells)",
        headings=["Activation", "Depth", "Layer", *(name.replace("_", " ").capitalize() for name in values)],
        rows=[
            [*(str(row[key]) for key in keys), *(_amount(row[name], name) for name in values)]
            for _, row in ordered.iterrows()
        ],
        stubs=3,
    )


def _sort_key(value: Any) -> Any:
    return drawing_order(value) if isinstance(value, str) else value


def _amount(value: float, name: str) -> str:
    return f"{value:,.0f}" if name == "elements" else words.number(value)


def _samples(run: RunData) -> dict[str, Any]:
    """Return the strips as data URIs in the order of the corruptions, and which have none."""
    order = [corruption for _, corruption in tables.corruption_order(run.cells)]
    strips = [
        (name, _data_uri(run.samples[name]), _png_size(run.samples[name]))
        for name in order
        if name in run.samples
    ]
    absent = [name for name in order if name not in run.samples]
    columns = ["clean", *(f"{float(severity):g}" for severity in run.info["severities"])]
    return {"strips": strips, "absent": absent, "columns": columns, "nothing": "" if strips else NO_SAMPLES}


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _png_size(data: bytes) -> tuple[int, int]:
    """Return width and height, which stand at a fixed place in every PNG (the IHDR chunk)."""
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _failed_table(failed: pd.DataFrame) -> Table | None:
    if failed.empty:
        return None
    names = ["checkpoint", "architecture", "activation", "training_seed", "failed_cells", "error"]
    return Table(
        caption="Failed checkpoints: in no average of this report",
        headings=["Checkpoint", "Architecture", "Activation", "Training seed", "Failed cells", "Error"],
        rows=[[_plain(row[name]) for name in names] for _, row in failed.iterrows()],
    )
