"""How small a lead studies can show."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reports.figures.marks import REFERENCE
from reports.style import heat_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100)
POWER_SIZE = (4.2, 2.6)  # inches


def power_curves(
    leads: NDArray[np.float64],
    ax: "Axes",
    *,
    seeds: Sequence[int],
    images: Sequence[int],
    lead: float | None = None,
) -> "Axes":
    """Draw the smallest lead that is shown by the number of seeds, one line for each number of images.

    Parameters
    ----------
    leads
        (seeds, images): points.
    lead
        One to mark.
    """
    shades = np.linspace(0.45, 1.0, len(images)) if len(images) > 1 else [0.8]
    for shade, count, own in zip(shades, images, leads.T, strict=True):
        colour, _ = heat_colours(float(shade))
        name = f"{count:,} images"
        ax.plot(seeds, own, color=colour, linewidth=1.4, marker="o", markersize=2.5, label=name)
    if lead is not None:
        ax.axhline(lead, color=REFERENCE, linewidth=0.8, linestyle="--")
        ax.annotate(
            f"{lead:g}",
            (1, lead),
            xycoords=("axes fraction", "data"),
            xytext=(2, -2.5),
            textcoords="offset points",
            color=REFERENCE,
            fontsize=6,
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks = [tick for tick in _TICKS if _within(tick, leads)]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks(list(seeds), [str(number) for number in seeds])
    ax.minorticks_off()
    ax.set_xlabel("training seeds of each activation", labelpad=1)
    ax.set_ylabel("smallest lead, points ↓", labelpad=1)
    return ax


def _within(tick: float, values: NDArray[np.float64]) -> bool:
    return bool(0.7 * values.min() <= tick <= 1.4 * values.max())
