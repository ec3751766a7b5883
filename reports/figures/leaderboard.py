"""The leaderboard: a mean with its interval for each activation."""

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.figures.marks import gid
from reports.names import short_labels
from reports.style import MUTED, activation_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def leaderboard_rows(
    data: pd.DataFrame,
    scores: pd.DataFrame,
    ax: "Axes",
    *,
    measure: str = "accuracy",
    images: str = "corrupted",
) -> "Axes":
    """Draw accuracy on corrupted images (%), a row for each activation, the most robust at the top.

    A dot is the mean over training seeds, a line its interval, a stroke a checkpoint. The ranks that chance
    leaves to a row stand at its end.

    Parameters
    ----------
    data : DataFrame
        Rows of `robustbench_act.metrics.leaderboard` of one architecture.
    scores : DataFrame
        activation and mca of each checkpoint.
    measure, images : str
        What the shares and the images are called.
    """
    for height, row in enumerate(data.to_dict("records")):
        _draw_row(ax, row, scores.loc[scores["activation"] == row["activation"], "mca"], height)
    labels = short_labels(str(name) for name in data["activation"])
    ax.set_yticks(range(len(data)), list(labels.values()), parse_math=False)
    ax.set_ylim(len(data) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"{measure} on {images} images, % (higher is better →)", labelpad=2)
    return ax


def leaderboard_size(rows: int) -> tuple[float, float]:
    """Return width and height in inches of `leaderboard_rows`."""
    return 4.6, 0.7 + 0.2 * rows


def _draw_row(ax: "Axes", row: Mapping[Hashable, Any], shares: "pd.Series[float]", height: int) -> None:
    line = activation_line(str(row["activation"]))
    style: dict[str, Any] = {"color": line.colour, "gid": gid(str(row["activation"]))}
    if not pd.isna(row["joint_low"]):  # no accuracy is below 0 or above 100 %
        ends = np.clip([row["joint_low"], row["joint_high"]], 0, 1)
        ax.plot(100 * ends, [height] * 2, linewidth=line.width, **style)
    if len(shares) > 1:
        ax.plot(100 * shares.to_numpy(), [height] * len(shares), "|", markersize=6, **style)
    ax.plot([100 * row["mca"]], [height], "o", markersize=5, **style)
    if not pd.isna(row["rank_low"]):
        low, high = int(row["rank_low"]), int(row["rank_high"])
        ax.annotate(
            f"rank {low}" if low == high else f"ranks {low}–{high}",
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=MUTED,
            annotation_clip=False,
        )
