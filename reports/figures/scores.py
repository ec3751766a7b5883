"""The share of results that reach an accuracy."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.marks import back_to_front, draw_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCORES_SIZE = (6.4, 3.0)  # inches


def draw_profiles(data: pd.DataFrame, ax: "Axes", *, measure: str = "accuracy") -> "Axes":
    """Draw `reports.sections.scores.score_profiles` of one architecture: one line per activation, in %."""
    for name in back_to_front(data):
        own = data[data["activation"] == name]
        draw_line(ax, 100 * own["least"], 100 * own["share"], name=name, marked=False)
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 101.5)
    ax.set_xlabel(f"{measure} of at least ..., %", labelpad=2)
    ax.set_ylabel("share of results, % ↑", labelpad=2)
    return ax
