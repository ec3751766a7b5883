"""Tables of coloured cells, as several sections have them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from reports.figures.cell_tables import cell_table, cell_table_size
from reports.layout import Drawing
from reports.names import short_labels
from reports.number_formats import fine_points, points
from reports.style import change_class, change_step
from robustbench_act.comparison import LEVEL

DRAWN = 40
"""Columns of such a table as a figure of its own, at most."""


def change_cell(change: float, adjusted: float, activation: str = "") -> dict[str, Any]:
    """Return a change (shares): its text, with a star if it is beyond chance by `adjusted` p, and its shade.

    The page hides it with `activation`; "" if it is about none, or several.
    """
    beyond = bool(adjusted < LEVEL)
    step = change_step(change, beyond=beyond)
    text = f"{fine_points(change)}*" if beyond else points(change)
    shown = {"text": text, "step": step, "shade": change_class(step), "beyond": beyond}
    return {"activation": activation, "value": change, **shown}


def column_names(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return short names of columns: activation ("mean" if it is about none), architecture and seed."""
    labels = short_labels(column["activation"] for column in columns)
    parts = [(labels[one["activation"]] or "mean", one["architecture"], one.get("seed")) for one in columns]
    return [" ".join(filter(None, names)) for names in parts]


def drawn_cells(
    name: str,
    *,
    heading: str,
    finding: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    colours: Callable[[Mapping[str, Any]], tuple[str, str]],
    data: pd.DataFrame | None = None,
) -> Drawing:
    """Return a table as a figure of its own: the same cells, row by row (name, cells).

    `colours` gives a cell's background and the colour of its text; the numbers are the cells' values unless
    there are others. A row without a name is a gap.
    """
    draw = partial(
        cell_table,
        rows=[row for row, _ in rows],
        columns=columns,
        texts=[[cell["text"] for cell in cells] for _, cells in rows],
        colours=[[colours(cell) for cell in cells] for _, cells in rows],
    )
    if data is None:
        values = [[row, *(cell["value"] for cell in cells)] for row, cells in rows if row]
        data = pd.DataFrame(values, columns=["corruption", *columns])
    size = cell_table_size(len(rows), len(columns))
    return Drawing(name=name, heading=heading, finding=finding, draw=draw, size=size, data=data)
