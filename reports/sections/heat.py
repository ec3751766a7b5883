"""Where accuracy is lost: a value in each cell, corruption by corruption, with the means of groups."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.analysis import Analysis
from reports.grid import Grid, mean_of
from reports.layout import Drawing, Section, Table
from reports.number_formats import percent, plain
from reports.sections.cells import DRAWN, column_names, drawn_cells
from reports.style import HEAT_STEPS, heat_colours, heat_step
from robustbench_act.english import upper_first
from robustbench_act.records import SHIFT, group_label

FOLDED = 14
"""Checkpoints that have a column each, at most; above, the columns are activations."""

LISTED = 100
"""Checkpoints that are listed one by one if columns are activations, at most; the CSV has all."""


def heat(analysis: Analysis) -> Section:
    """Return the section."""
    title = f"Where {analysis.measure} is lost"
    if analysis.nothing:
        return Section("heat", title, "Heat map", nothing=analysis.nothing)
    grid = analysis.grid
    columns = _columns(analysis)
    content: dict[str, Any] = {
        "columns": columns,
        "folded": len(grid.checkpoints) > FOLDED,
        "blocks": _blocks(grid, columns),
        "images": int(analysis.run.cells["n"].max()),
    }
    folded = content["folded"] and len(grid.checkpoints) <= LISTED
    tables = [_every_checkpoint(grid, group, analysis.measure) for group in grid.groups] if folded else []
    return Section(
        "heat",
        title,
        "Heat map",
        content,
        tables=tables,
        numbers={"heat": heat_numbers(grid)},
        exports=[_figure(columns[:DRAWN], content["blocks"], title, more=len(columns) > DRAWN)],
    )


def _figure(
    columns: Sequence[dict[str, Any]], blocks: Sequence[dict[str, Any]], title: str, *, more: bool
) -> Drawing:
    """Return the heat map as a figure: the same cells."""
    gap = {"name": "", "cells": [{"text": "", "step": None}] * len(columns)}
    rows = [row for block in blocks for row in (gap, *block["rows"])][1:]
    return drawn_cells(
        "heat-map",
        heading=f"{title}, %" + (f": the first {DRAWN} of the leaderboard" if more else ""),
        finding=title,
        columns=column_names(columns),
        rows=[(row["name"], row["cells"][: len(columns)]) for row in rows],
        colours=_colours,
    )


def _colours(cell: Mapping[str, Any]) -> tuple[str, str]:
    return ("#ffffff", "#ffffff") if cell["step"] is None else heat_colours(cell["step"] / HEAT_STEPS)


def _every_checkpoint(grid: Grid, group: str, measure: str) -> Table:
    """Return a row for each checkpoint: its mean over severities in each corruption of a group."""
    places = grid.places(group)
    shares = np.concatenate([grid.clean[:, None], grid.means[:, places, 0]], axis=1)
    return Table(
        caption=(
            f"{upper_first(measure)} of every checkpoint in {group_label(group)}, in %, mean over severities"
        ),
        headings=["Checkpoint", "Clean", *grid.corruptions["corruption"].iloc[places]],
        rows=[
            [str(name), *map(percent, row)]
            for name, row in zip(grid.checkpoints["checkpoint"], shares, strict=True)
        ],
        activations=list(grid.checkpoints["activation"]),
    )


def heat_numbers(grid: Grid) -> pd.DataFrame:
    """Return accuracy by checkpoint (rows) and corruption (columns), means over severities, clean first."""
    values = pd.DataFrame(grid.means[:, :, 0], columns=list(grid.corruptions["corruption"]))
    values.insert(0, "clean", grid.clean)
    return pd.concat([grid.checkpoints, values], axis=1)


def _columns(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the columns in the order of the leaderboard: activations, or checkpoints if they are few."""
    known = analysis.grid.checkpoints
    columns = []
    for row, facts in zip(analysis.board.itertuples(), analysis.columns, strict=True):
        own = known[(known["architecture"] == row.architecture) & (known["activation"] == row.activation)]
        if len(known) > FOLDED:
            columns.append({**facts, "rows": own.index.to_numpy()})
            continue
        columns += [
            {**facts, "seed": plain(seed) if len(own) > 1 else "", "rows": np.array([place])}
            for place, seed in own["training_seed"].items()
        ]
    return columns


def _blocks(grid: Grid, columns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return groups of rows: clean; of each group its mean and its members; the mean of all; input shifts."""
    facts = [grid.corruptions[name] for name in ("corruption", "suite")]
    clean = np.repeat(grid.clean[:, None], 1 + len(grid.severities), axis=1)
    means = grid.means
    blocks = [{"group": "", "rows": [_row("clean", "", clean, columns)]}]
    for group in grid.groups:
        label, places = group_label(group), grid.places(group)
        members = [_mean_row(f"mean of {label}", means[:, places], columns)] if len(places) > 1 else []
        members += [_row(facts[0][place], facts[1][place], means[:, place], columns) for place in places]
        blocks.append({"group": label, "rows": members})
    corruptions = [group for group in grid.groups if group != SHIFT]
    if corruptions:
        whole = _mean_row("mean of all corruptions", means[:, grid.counted], columns)
        blocks.insert(1 + len(corruptions), {"group": "all", "rows": [whole]})
    return blocks


def _mean_row(name: str, values: NDArray[np.float64], columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {**_row(name, "", mean_of(values, axis=1), columns), "mean": True}


def _row(
    name: str, suite: str, values: NDArray[np.float64], columns: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return a row: values (checkpoints, 1 + severities) as texts, the mean over severities first."""
    cells = [_cell(values[column["rows"]], column["activation"]) for column in columns]
    return {"name": name, "suite": suite, "mean": False, "cells": cells}


def _cell(values: NDArray[np.float64], activation: str) -> dict[str, Any]:
    """Return the texts of a cell (seeds, 1 + severities): means over seeds, and their spread."""
    means = values.mean(axis=0)
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(means), np.nan)
    return {
        "activation": activation,
        "text": percent(means[0]),
        "texts": [percent(value) for value in means],
        "spreads": ["" if np.isnan(value) else percent(value) for value in spread],
        "value": float(means[0]),
        "step": heat_step(means[0]),
    }
