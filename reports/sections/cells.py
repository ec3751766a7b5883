"""Tables of coloured cells, as several sections have them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from reports.figures.cell_tables import cell_table, cell_table_size
from reports.layout import Drawing
from reports.number_formats import fine_points, points
from reports.style import change_class, change_step
from robustbench_act.comparison import LEVEL

DRAWN = 40
"""Columns of such a table as a figure of its own, at most."""

Cell = tuple[str, tuple[str, str]]  # its text; its background and the colour of its text


def change_cell(change: float, adjusted: float, activation: str = "") -> dict[str, Any]:
    """Return a change (shares): its text, with a star if it is beyond noise by `adjusted` p, and its shade.

    The page hides it with `activation`; "" if it is about none, or several.
    """
    beyond = bool(adjusted < LEVEL)
    step = change_step(change, beyond=beyond)
    text = f"{fine_points(change)}*" if beyond else points(change)
    shown = {"text": text, "step": step, "shade": change_class(step), "beyond": beyond}
    return {"activation": activation, "value": change, **shown}


def drawn_cells(
    name: str,
    *,
    heading: str,
    finding: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Cell]]],
    data: pd.DataFrame,
) -> Drawing:
    """Return a table as a figure of its own: the same cells, row by row (name, cells)."""
    draw = partial(
        cell_table,
        rows=[row for row, _ in rows],
        columns=columns,
        texts=[[text for text, _ in cells] for _, cells in rows],
        colours=[[colours for _, colours in cells] for _, cells in rows],
    )
    size = cell_table_size(len(rows), len(columns))
    return Drawing(name=name, heading=heading, finding=finding, draw=draw, size=size, data=data)
