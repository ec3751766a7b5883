"""The figures: each takes a table and an axes and returns the axes; `reports.canvas` makes files of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.names import label, plain_name, short_labels, split_run
from reports.style import INK, MUTED, activation_line, drawing_order, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REFERENCE = "#8c959f"  # lines that nothing measured
CURVE_SIZE = (2.7, 1.95)  # inches; shown about a third larger, four to a row on a wide page
DEPTH_SIZE = (3.7, 2.4)
TRADEOFF_SIZE = (6.4, 3.6)
COST_SIZE = (4.6, 3.0)
BOX_SIZE = (2.7, 1.8)
_BAND = 0.13  # opacity
_HALO = {"facecolor": "#ffffff", "alpha": 0.75, "edgecolor": "none", "pad": 0.4}  # behind text on lines
_FEW = 4  # lines that all have their band; of more, only those that are highlighted


def severity_curves(data: pd.DataFrame, ax: "Axes", *, measure: str = "accuracy") -> "Axes":
    """Draw accuracy (%) by severity, one line per activation with its interval; 0 is the clean image.

    Parameters
    ----------
    data : DataFrame
        The rows of `reports.tables.curves` of one architecture and one corruption.
    measure : str
        What the shares are called.
    """
    names = _back_to_front(data)
    for name in names:
        own = data[data["activation"] == name].sort_values("severity")
        if _has_band(name, names):
            _band(ax, own["severity"], 100 * own["low"].clip(0, 1), 100 * own["high"].clip(0, 1), name=name)
        _line(ax, own["severity"], 100 * own["accuracy"], name=name)
    ticks = sorted(data["severity"].unique())
    ax.set_xticks(ticks, ["clean" if tick == 0 else f"{tick:g}" for tick in ticks])
    ax.set_ylim(0, 101.5)
    ax.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"])
    ax.set_xlabel("severity", labelpad=1)
    ax.set_ylabel(f"{measure} ↑", labelpad=1)
    _name_ends(ax, data, "severity", "accuracy", scale=100)
    return ax


def trade_off(data: pd.DataFrame, ax: "Axes", *, measure: str = "accuracy") -> "Axes":
    """Draw clean against corrupted accuracy (%): a dot for each activation, small ones for its checkpoints.

    The baseline's line goes across, where the numbers have one.

    Parameters
    ----------
    data : DataFrame
        activation, clean, corrupted, and expected: what the baseline's share of each clean accuracy would be.
    measure : str
        What the shares are called.
    """
    known = data.dropna(subset="expected").sort_values("clean")
    if len(known):
        slope = float((known["expected"] / known["clean"]).iloc[0])
        ends = np.array([data["clean"].min(), data["clean"].max()])
        room = max(np.ptp(ends) * 0.08, 0.002)
        ends = ends + np.array([-room, room])
        ax.plot(100 * ends, 100 * ends * slope, color=_REFERENCE, linewidth=0.8, linestyle=(0, (4, 3)))
    _scatter(ax, data, "clean", "corrupted")
    ax.set_xlabel(f"{measure} on clean images, % (higher is better →)", labelpad=2)
    ax.set_ylabel(f"{measure} on corrupted images, % (higher is better →)", labelpad=2)
    return ax


def fluctuation_cost(data: pd.DataFrame, ax: "Axes", *, measure: str = "accuracy") -> "Axes":
    """Draw relative output fluctuation (%) against accuracy lost (points), as `trade_off` does.

    Parameters
    ----------
    data : DataFrame
        `reports.tables.fluctuation_cost` of one architecture.
    measure : str
        What the shares are called.
    """
    _scatter(ax, data, "fluctuation", "lost")
    ax.set_xlabel("relative output fluctuation, % (← lower is steadier)", labelpad=2)
    ax.set_ylabel(f"{measure} lost, points (← lower is better)", labelpad=2)
    return ax


def correlations(data: pd.DataFrame, ax: "Axes") -> "Axes":
    """Draw correlations with their intervals for each layer: within cells, hollow over all cells.

    Parameters
    ----------
    data : DataFrame
        Rows of `robustbench_act.statistics.layer_correlations` of one architecture, of both kinds, with a
        column within_cells.
    """
    ax.axhline(0, color=_REFERENCE, linewidth=0.8, linestyle=(0, (1, 2)))
    for within, colour, face, aside in ((False, MUTED, "#ffffff", -0.09), (True, INK, INK, 0.09)):
        own = data[data["within_cells"] == within]
        ax.vlines(own["index"] + aside, own["low"], own["high"], color=colour, linewidth=1.2)
        ax.plot(
            own["index"] + aside, own["correlation"], "o", color=face, markeredgecolor=colour, markersize=4
        )
    lowest = data[["low", "correlation"]].min().min()
    ax.set_ylim(min(-0.08, lowest - 0.08), 1.05)
    ax.set_ylabel("Spearman’s correlation", labelpad=2)
    _depth_axis(ax, data)
    return ax


def _scatter(ax: "Axes", data: pd.DataFrame, x: str, y: str) -> None:
    """Draw two columns (%): a dot for each activation, named, and small ones for its checkpoints."""
    names = _back_to_front(data)
    means = {name: 100 * data.loc[data["activation"] == name, [x, y]].mean() for name in names}
    first: dict[str, str] = {}  # of an activation in several runs: the first
    for name in sorted(names, key=lambda name: split_run(name)[1]):
        first.setdefault(split_run(name)[0], name)
    for name in names:
        own = data[data["activation"] == name]
        if len(own) > 1:
            _dots(ax, own[x], own[y], name=name, size=2.6)
        _dots(ax, own[x].mean(), own[y].mean(), name=name, size=6.5)
        start = first[split_run(name)[0]]
        if start != name:
            (way,) = ax.plot(*zip(means[start], means[name], strict=True), color=_REFERENCE, linewidth=0.8)
            way.set_gid(_gid(name))
    ax.margins(x=0.16, y=0.1)
    labels = short_labels(first.values())
    texts = {name: label(split_run(name)[0]) if split_run(name)[2] else text for name, text in labels.items()}
    _name_points(ax, [(means[name][x], means[name][y], name) for name in first.values()], texts)


def _dots(ax: "Axes", x: Any, y: Any, *, name: str, size: float) -> None:
    line = activation_line(name)
    (drawn,) = ax.plot(
        100 * np.atleast_1d(x),
        100 * np.atleast_1d(y),
        linestyle="",
        marker="o",
        markersize=size,
        markerfacecolor="#ffffff" if line.dash else line.colour,
        markeredgecolor=line.colour,
        markeredgewidth=1,
    )
    drawn.set_gid(_gid(name))


def _name_points(ax: "Axes", places: list[tuple[float, float, str]], texts: Mapping[str, str]) -> None:
    """Write names beside the points, from the top down, each below those that it would hide."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    ax.autoscale(False)
    width, line = (right - left) * 0.1, (high - low) * 0.05
    written: list[tuple[float, float]] = []
    for x, y, name in sorted(places, key=lambda place: -place[1]):
        near = [above for beside, above in written if abs(beside - x) < width]
        place = y
        while any(abs(above - place) < line for above in near):
            place -= line / 4
        written.append((x, place))
        _write_name(ax, name, texts[name], (x, place), bbox=_HALO)
        if place != y:
            (leader,) = ax.plot([x, x + width / 40], [y, place], color=_REFERENCE, linewidth=0.4)
            leader.set_gid(_gid(name))


def _write_name(ax: "Axes", name: str, text: str, place: tuple[float, float], **more: Any) -> None:
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
        **more,
    )
    written.set_gid(_gid(name))


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
        What stands along it: the unit, and which direction is good.
    spread : str, optional
        The column of its standard deviation over samples, drawn to both sides.
    reference : float, optional
        Where to draw a dotted line across (1 for an amplification, 0 for a mean).
    """
    if reference is not None:
        ax.axhline(reference, color=_REFERENCE, linewidth=0.8, linestyle=(0, (1, 2)))
    names = _back_to_front(data)
    for name in names:
        own = data[data["activation"] == name].sort_values("index")
        if spread is not None and _has_band(name, names):
            _band(ax, own["index"], (own[value] - own[spread]).clip(0), own[value] + own[spread], name=name)
        _line(ax, own["index"], own[value], name=name)
    if data[value].min() >= 0:
        ax.set_ylim(bottom=0)
    banded = data if spread is None else data[data["activation"].map(lambda name: _has_band(name, names))]
    ends = data.assign(low=data[value], high=data[value])
    if spread is not None:
        ends.loc[banded.index, "high"] += banded[spread]
        ends.loc[banded.index, "low"] = (banded[value] - banded[spread]).clip(lower=0)
    _leave_out(ax, ends, low="low", high="high")
    if reference is not None:
        low, high = ax.get_ylim()
        room = (max(high, reference) - min(low, reference)) * 0.03
        ax.set_ylim(min(low, reference - room), max(high, reference + room))
    ax.set_ylabel(axis, labelpad=2)
    _depth_axis(ax, data)
    _name_ends(ax, data, "index", value)
    return ax


def outlier(data: pd.DataFrame, *, low: str, high: str) -> tuple[str, float, float] | None:
    """Return the activation without which the axis is a third shorter, and the ends without it.

    None where there is no such activation, or fewer than five.
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
    """End the axis where all but an outlier end, and say how far that one goes."""
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
            bbox=_HALO,
            parse_math=False,
        )
        text.set_gid(_gid(name))


def mean_boxes(data: pd.DataFrame, ax: "Axes", *, ends: tuple[float, float]) -> "Axes":
    """Draw how the element means of each layer are distributed: 5 to 95 %, the middle half, the median.

    Parameters
    ----------
    data : DataFrame
        Rows of `reports.tables.mean_quantiles` of one activation.
    ends : tuple of float
        Of the axis: the same for all activations, so that they can be compared. What lies beyond is said.
    """
    line = activation_line(str(data["activation"].iloc[0]))
    ax.axhline(0, color=_REFERENCE, linewidth=0.8, linestyle=(0, (1, 2)))
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


def _name_ends(ax: "Axes", data: pd.DataFrame, x: str, y: str, *, scale: float = 1) -> None:
    """Write each activation's name behind its line, where they are few and short, none on another."""
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
        _write_name(ax, name, labels[name], (data[x].max(), height))


def _depth_axis(ax: "Axes", data: pd.DataFrame) -> None:
    depths = sorted(data["index"].unique())
    step = max(1, len(depths) // 10)
    ax.set_xticks(depths[::step], [f"{depth:g}" for depth in depths[::step]])
    ax.set_xlabel("layer, in order of depth", labelpad=1)


def _back_to_front(data: pd.DataFrame) -> list[str]:
    """Return the activations so that the highlighted families are drawn last, on top."""
    return sorted(data["activation"].unique(), key=drawing_order, reverse=True)


def _has_band(name: str, names: list[str]) -> bool:
    return len(names) <= _FEW or activation_line(name).highlighted


def _gid(name: str) -> str:
    """Return what `_embedded` makes an attribute of, for the page's filter."""
    return f"activation:{name}"


def _band(
    ax: "Axes", x: "pd.Series[float]", low: "pd.Series[float]", high: "pd.Series[float]", *, name: str
) -> None:
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
    band.set_gid(_gid(name))


def _line(ax: "Axes", x: "pd.Series[float]", y: "pd.Series[float]", *, name: str) -> None:
    line = activation_line(name)
    (drawn,) = ax.plot(
        x.to_numpy(),
        y.to_numpy(),
        color=line.colour,
        # dashes are in units of the width: divided, thick and thin ones have equal rhythm
        linestyle=(0, tuple(part / line.width * 1.1 for part in line.dash)) if line.dash else "-",
        linewidth=line.width,
        marker="o" if line.highlighted or len(x) == 1 else "",
        markersize=line.width * 1.7,
        markeredgewidth=0,
        label=label(name),
    )
    drawn.set_gid(_gid(name))


def cell_table_size(rows: int, columns: int) -> tuple[float, float]:
    """Return width and height in inches of a `cell_table`."""
    return 1.9 + 0.42 * columns, 1.1 + 0.19 * rows


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
        Of each cell, row by row: what stands in it; its background and the colour of its text.
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
