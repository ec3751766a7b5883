"""What happens in each layer, by depth."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.marks import (
    HALO,
    REFERENCE,
    back_to_front,
    draw_band,
    draw_line,
    gid,
    has_band,
    name_ends,
)
from reports.names import label, plain_name
from reports.style import INK, MUTED, activation_line, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEPTH_SIZE = (3.7, 2.4)  # inches
BOX_SIZE = (2.7, 1.8)


def depth_lines(
    data: pd.DataFrame,
    ax: "Axes",
    *,
    value: str,
    axis: str = "",
    spread: str | None = None,
    reference: float | None = None,
) -> "Axes":
    """Draw one column of a layer table by depth, one line per activation.

    Parameters
    ----------
    data : DataFrame
        Rows of `reports.tables.layer_profile`, `activation_means` or `signals` of one architecture.
    value : str
        The column to draw.
    axis : str
        Its title: the unit, and which direction is good.
    spread : str, optional
        The column of its standard deviation over samples, drawn to both sides.
    reference : float, optional
        Where to draw a dotted line across (1 for an amplification, 0 for a mean).
    """
    if reference is not None:
        _line_across(ax, reference)
    names = back_to_front(data)
    ends = data.assign(low=data[value], high=data[value])
    for name in names:
        own = data[data["activation"] == name].sort_values("index")
        if spread is not None and has_band(name, names):
            low, high = (own[value] - own[spread]).clip(0), own[value] + own[spread]
            draw_band(ax, own["index"], low, high, name=name)
            ends.loc[own.index, "low"], ends.loc[own.index, "high"] = low, high
        draw_line(ax, own["index"], own[value], name=name)
    if data[value].min() >= 0:
        ax.set_ylim(bottom=0)
    _leave_out(ax, ends, low="low", high="high")
    if reference is not None:
        bottom, top = ax.get_ylim()
        room = (max(top, reference) - min(bottom, reference)) * 0.03
        ax.set_ylim(min(bottom, reference - room), max(top, reference + room))
    ax.set_ylabel(axis, labelpad=2)
    _depth_axis(ax, data)
    name_ends(ax, data, "index", value)
    return ax


def correlations(data: pd.DataFrame, ax: "Axes") -> "Axes":
    """Draw the parts of a correlation for each layer: between activations filled, within them hollow.

    Parameters
    ----------
    data : DataFrame
        Rows of `robustbench_act.metrics.layer_correlations` of one architecture and quantity.
    """
    _line_across(ax, 0)
    for part, colour, face, aside in (("within", MUTED, "#ffffff", 0.09), ("between", INK, INK, -0.09)):
        ax.plot(data["index"] + aside, data[part], "o", color=face, markeredgecolor=colour, markersize=4)
    ax.set_ylim(min(-0.08, data[["between", "within"]].min().min() - 0.08), 1.05)
    ax.set_ylabel("correlation of ranks", labelpad=2)
    _depth_axis(ax, data)
    return ax


def mean_boxes(data: pd.DataFrame, ax: "Axes", *, ends: tuple[float, float]) -> "Axes":
    """Draw how the element means of each layer are distributed: 5 to 95 %, the middle half, the median.

    Parameters
    ----------
    data : DataFrame
        Rows of `reports.tables.mean_quantiles` of one activation.
    ends : tuple of float
        Ends of the axis: the same for all activations, so that they can be compared. Values beyond are
        written.
    """
    line = activation_line(str(data["activation"].iloc[0]))
    _line_across(ax, 0)
    ax.vlines(data["index"], data["activation_q05"], data["activation_q95"], color=line.colour, linewidth=1)
    ax.vlines(data["index"], data["activation_q25"], data["activation_q75"], color=line.colour, linewidth=4.5)
    ax.plot(
        data["index"], data["activation_q50"], "o", color="#ffffff", markeredgecolor=line.colour, markersize=3
    )
    room = (ends[1] - ends[0]) * 0.05
    ax.set_ylim(ends[0] - room, ends[1] + room)
    beyond = [(data["activation_q95"].max(), "↑ to {:.2g}", 0.97, "top")]
    beyond += [(data["activation_q05"].min(), "↓ to {:.2g}", 0.03, "bottom")]
    for value, text, height, side in beyond:
        if not ends[0] <= value <= ends[1]:
            ax.text(0.02, height, text.format(value), transform=ax.transAxes, va=side, fontsize=6.5)
    ax.set_ylabel("means of elements", labelpad=2)
    _depth_axis(ax, data)
    return ax


def outlier(data: pd.DataFrame, *, low: str, high: str) -> tuple[str, float, float] | None:
    """Return the activation without which the axis is a third shorter, and the ends without it.

    None if there is no such activation, or fewer than five.
    """
    plain = data["activation"].map(plain_name)  # the runs of one activation stand together
    ends = data.groupby(plain).agg(low=(low, "min"), high=(high, "max")).dropna()
    if len(ends) < 5:
        return None
    rest = {str(name): ends.drop(index=name) for name in ends.index}
    lengths = {name: own["high"].max() - own["low"].min() for name, own in rest.items()}
    name = min(lengths, key=lambda one: lengths[one])
    if lengths[name] >= (ends["high"].max() - ends["low"].min()) * 2 / 3:
        return None
    return name, float(rest[name]["low"].min()), float(rest[name]["high"].max())


def _leave_out(ax: "Axes", data: pd.DataFrame, *, low: str, high: str) -> None:
    """End the axis where all others end if one is an outlier, and write how far that one goes."""
    found = outlier(data, low=low, high=high)
    if found is None:
        return
    name, bottom, top = found
    own = data[data["activation"].map(plain_name) == name]
    room = (top - bottom) * 0.06
    ax.set_ylim(0 if bottom >= 0 and data[low].min() >= 0 else bottom - room, top + room)
    said = [(own[high].max(), "↑", 0.97, "top")] if own[high].max() > top else []
    said += [(own[low].min(), "↓", 0.03, "bottom")] if own[low].min() < bottom else []
    for value, arrow, height, side in said:
        text = ax.text(
            0.02,
            height,
            f"{arrow} {label(name)} to {value:.2g}",
            transform=ax.transAxes,
            va=side,
            fontsize=6.5,
            color=readable(activation_line(name).colour),
            bbox=HALO,
            parse_math=False,
        )
        text.set_gid(gid(name))


def _line_across(ax: "Axes", height: float) -> None:
    ax.axhline(height, color=REFERENCE, linewidth=0.8, linestyle=(0, (1, 2)))


def _depth_axis(ax: "Axes", data: pd.DataFrame) -> None:
    depths = sorted(data["index"].unique())
    step = max(1, len(depths) // 10)
    ax.set_xticks(depths[::step], [f"{depth:g}" for depth in depths[::step]])
    ax.set_xlabel("layer, in order of depth", labelpad=1)
