"""A dot for each activation, and small ones for its checkpoints."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.figures.marks import HALO, REFERENCE, back_to_front, gid, write_name
from reports.names import label, short_labels, split_run
from reports.style import activation_line
from robustbench_act.metrics import LAYER_METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRADEOFF_SIZE = (6.4, 3.6)  # inches
COST_SIZE = (4.6, 3.0)


def trade_off(
    data: pd.DataFrame, ax: "Axes", *, measure: str = "accuracy", images: str = "corrupted"
) -> "Axes":
    """Draw clean against corrupted accuracy (%): a dot for each activation, small ones for its checkpoints.

    The line of equal retention goes across, if the numbers have one.

    Parameters
    ----------
    data : DataFrame
        activation, clean, mca, and expected (the mca that retains the anchor's share).
    measure : str
        What the shares are called.
    images : str
        What the images are called: see `robustbench_act.records.HeadlineWords`.
    """
    known = data.dropna(subset="expected").sort_values("clean")
    if len(known):
        slope = float((known["expected"] / known["clean"]).iloc[0])
        ends = np.array([data["clean"].min(), data["clean"].max()])
        room = max(np.ptp(ends) * 0.08, 0.002)
        ends = ends + np.array([-room, room])
        ax.plot(100 * ends, 100 * ends * slope, color=REFERENCE, linewidth=0.8, linestyle=(0, (4, 3)))
    _scatter(ax, data, "clean", "mca")
    ax.set_xlabel(f"{measure} on clean images, % (higher is better →)", labelpad=2)
    ax.set_ylabel(f"{measure} on {images} images, % (higher is better →)", labelpad=2)
    return ax


def disturbance_and_loss(data: pd.DataFrame, ax: "Axes", *, name: str, measure: str = "accuracy") -> "Axes":
    """Draw `reports.tables.disturbance_and_loss` of one architecture as `trade_off` does.

    The column `name` (%) goes against accuracy lost (points).
    """
    _scatter(ax, data, name, "lost")
    ax.set_xlabel(f"{LAYER_METRICS[name].title.lower()}, % (← lower is steadier)", labelpad=2)
    ax.set_ylabel(f"{measure} lost, points (← lower is better)", labelpad=2)
    return ax


def _scatter(ax: "Axes", data: pd.DataFrame, x: str, y: str) -> None:
    """Draw two columns (%): a dot for each activation, named, and small ones for its checkpoints."""
    names = back_to_front(data)
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
            (way,) = ax.plot(*zip(means[start], means[name], strict=True), color=REFERENCE, linewidth=0.8)
            way.set_gid(gid(name))
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
    drawn.set_gid(gid(name))


def _name_points(ax: "Axes", places: list[tuple[float, float, str]], texts: Mapping[str, str]) -> None:
    """Write names beside the points, from the top down, each below those that it would hide.

    Names that would be below the axes go up again, and with them those that they would hide. If there are
    too many for the axes, they stand closer than their height.
    """
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    ax.autoscale(False)
    places = sorted(places, key=lambda place: -place[1])
    heights, width = [y for _, y, _ in places], (right - left) * 0.1

    def near(own: int, others: Iterable[int]) -> list[float]:
        return [heights[other] for other in others if abs(places[other][0] - places[own][0]) < width]

    whole = range(len(places))
    crowd = max((len(near(own, whole)) for own in whole), default=1)
    line = (high - low) * min(0.05, 1 / (crowd + 1))
    for own in whole:
        while any(abs(above - heights[own]) < line for above in near(own, range(own))):
            heights[own] -= line / 4
    for own in reversed(whole):
        below = [height + line for height in near(own, range(own + 1, len(places)))]
        heights[own] = min(max(heights[own], low + line / 2, *below), high)
    for (x, y, name), height in zip(places, heights, strict=True):
        write_name(ax, name, texts[name], (x, height), bbox=HALO)
        if height != y:
            (leader,) = ax.plot([x, x + width / 40], [y, height], color=REFERENCE, linewidth=0.4)
            leader.set_gid(gid(name))
