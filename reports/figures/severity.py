"""Accuracy by severity."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.marks import back_to_front, draw_band, draw_line, has_band, name_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_SIZE = (2.7, 1.95)  # inches; shown about a third larger, four to a row on a wide page


def severity_curves(data: pd.DataFrame, ax: "Axes", *, measure: str = "accuracy") -> "Axes":
    """Draw accuracy (%) by severity, one line per activation with its interval; 0 is the clean image.

    Parameters
    ----------
    data : DataFrame
        The rows of `reports.tables.curves` of one architecture and one corruption.
    measure : str
        What the shares are called.
    """
    names = back_to_front(data)
    for name in names:
        own = data[data["activation"] == name].sort_values("severity")
        if has_band(name, names):
            draw_band(
                ax, own["severity"], 100 * own["low"].clip(0, 1), 100 * own["high"].clip(0, 1), name=name
            )
        draw_line(ax, own["severity"], 100 * own["accuracy"], name=name)
    ticks = sorted(data["severity"].unique())
    ax.set_xticks(ticks, ["clean" if tick == 0 else f"{tick:g}" for tick in ticks])
    ax.set_ylim(0, 101.5)
    ax.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"])
    ax.set_xlabel("severity", labelpad=1)
    ax.set_ylabel(f"{measure} ↑", labelpad=1)
    name_ends(ax, data, "severity", "accuracy", scale=100)
    return ax
