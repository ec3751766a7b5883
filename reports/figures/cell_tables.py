"""Tables of coloured cells, such as heat maps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def cell_table(
    ax: "Axes",
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    colours: Sequence[Sequence[tuple[str, str]]],
) -> "Axes":
    """Draw a table of coloured cells, such as a heat map.

    Parameters
    ----------
    rows, columns : sequence of str
        Their names, the first at the top left; a row without a name is a gap.
    texts, colours : sequence of sequences
        For each cell, row by row: its text; its background and the colour of its text.
    """
    from matplotlib.colors import to_rgb  # noqa: PLC0415

    shades = np.array([[to_rgb(back) for back, _ in row] for row in colours])
    ax.pcolormesh(shades, edgecolors="#ffffff", linewidth=0.8)
    for y, (row, inks) in enumerate(zip(texts, colours, strict=True)):
        for x, (text, (_, ink)) in enumerate(zip(row, inks, strict=True)):
            ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=6, color=ink)
    ax.invert_yaxis()
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=35, ha="left", parse_math=False)
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows, parse_math=False)
    ax.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)
    return ax


def cell_table_size(rows: int, columns: int) -> tuple[float, float]:
    """Return width and height in inches of a `cell_table`."""
    return 1.9 + 0.42 * columns, 1.1 + 0.19 * rows
