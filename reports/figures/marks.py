"""What figures are drawn with: an activation’s line, band and name."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.names import label
from reports.style import activation_line, drawing_order, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REFERENCE = "#8c959f"  # lines that nothing measured
_BAND = 0.13  # opacity
HALO = {"facecolor": "#ffffff", "alpha": 0.75, "edgecolor": "none", "pad": 0.4}  # behind text on lines
_FEW = 4  # lines that all have a band, and their name at the end


def back_to_front(data: pd.DataFrame) -> list[str]:
    """Return the activations so that the highlighted families are drawn last, on top."""
    return sorted(data["activation"].unique(), key=drawing_order, reverse=True)


def has_band(name: str, names: list[str]) -> bool:
    """Return whether an activation has a band: all of a few, else only those that are highlighted."""
    return len(names) <= _FEW or activation_line(name).highlighted


def draw_band(
    ax: "Axes", x: "pd.Series[float]", low: "pd.Series[float]", high: "pd.Series[float]", *, name: str
) -> None:
    """Draw an activation's interval; nothing if it has none."""
    if low.isna().all():
        return
    band = ax.fill_between(
        x.to_numpy(),
        low.to_numpy(),
        high.to_numpy(),
        color=activation_line(name).colour,
        alpha=_BAND,
        linewidth=0,
    )
    band.set_gid(gid(name))


def draw_line(
    ax: "Axes", x: "pd.Series[float]", y: "pd.Series[float]", *, name: str, marked: bool = True
) -> None:
    """Draw an activation’s line; if it is highlighted, with a mark at each place."""
    line = activation_line(name)
    (drawn,) = ax.plot(
        x.to_numpy(),
        y.to_numpy(),
        color=line.colour,
        # dashes are in units of the width: divided, thick and thin ones have equal rhythm
        linestyle=(0, tuple(part / line.width * 1.1 for part in line.dash)) if line.dash else "-",
        linewidth=line.width,
        marker="o" if marked and (line.highlighted or len(x) == 1) else "",
        markersize=line.width * 1.7,
        markeredgewidth=0,
        label=label(name),
    )
    drawn.set_gid(gid(name))


def write_name(ax: "Axes", name: str, text: str, place: tuple[float, float], **more: Any) -> None:
    """Write an activation's name to the right of a place, in its colour."""
    written = ax.annotate(
        text,
        place,
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=6.5,
        color=readable(activation_line(name).colour),
        parse_math=False,  # a dollar in a name is a dollar
        annotation_clip=False,  # outside the axes it would be left out
        **more,
    )
    written.set_gid(gid(name))


def name_ends(ax: "Axes", data: pd.DataFrame, x: str, y: str, *, scale: float = 1) -> None:
    """Write each activation's name at the end of its line, if names are few and short; none overlap."""
    last = data.dropna(subset=y).sort_values(x).groupby("activation").tail(1).sort_values(y, ascending=False)
    labels = {str(name): label(str(name)) for name in last["activation"]}
    if not labels or len(labels) > _FEW or max(map(len, labels.values())) > 12:
        return
    low, high = ax.get_ylim()
    line = (high - low) * 0.085
    heights = [scale * height for height in last[y]]
    for place in range(1, len(heights)):
        heights[place] = min(heights[place], heights[place - 1] - line)
    for back, lowest in enumerate(reversed(heights)):
        heights[-1 - back] = max(lowest, low + line * (back + 0.4))
    for name, height in zip(last["activation"], heights, strict=True):
        write_name(ax, name, labels[name], (data[x].max(), height))


def gid(name: str) -> str:
    """Return what `reports.canvas.to_svg` makes an attribute of, for the page's filter."""
    return f"activation:{name}"
