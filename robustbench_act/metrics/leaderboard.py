"""Who is most robust: activations of one architecture, ranked over their training seeds and images."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.metrics.cohorts import AXES, COHORT, named
from robustbench_act.metrics.joint import joint_analyses
from robustbench_act.metrics.scores import checkpoint_scores, group_columns, image_scores
from robustbench_act.statistics import Joint, with_ties

LEADERBOARD = (
    "rank",
    "activation",
    "normalization",
    "network_group",
    "architecture",
    "mca",
    "joint_low",
    "joint_high",
    "rank_low",
    "rank_high",
    "first",
    "spread",
    "seeds",
    "clean",
    "retained",
)
"""Its columns, as `METRICS` declares them; then group_<name>."""


def leaderboard(cells: pd.DataFrame, joint: Mapping[str, Joint] | None = None) -> pd.DataFrame:
    """Return one row per activation, normalisation and architecture of `Run.cells`, the most robust first.

    Raises InputError if a checkpoint without an error has a missing accuracy or no clean cell.

    Parameters
    ----------
    joint
        `joint_analyses` of the cells, if they are at hand.

    Returns
    -------
    DataFrame
        LEADERBOARD, then group_<name> for every group of corruptions in the run, input shifts last. Shares,
        not percent. mca is over `records.headline`. joint_low and joint_high are its interval over other
        trainings and images, rank_low and rank_high that of the rank (all rows of an architecture hold
        together, 95 %), first the probability of being first; NaN without several seeds, as spread, and
        without outcomes of images. No rows if every checkpoint failed.

    Examples
    --------
    >>> rows = pd.DataFrame({
    ...     "checkpoint": "a", "architecture": "net", "activation": "relu", "table": "32", "error": None,
    ...     "corruption": ["clean", "fog", "fog"], "group": ["clean", "weather", "weather"],
    ...     "severity": [0.0, 1.0, 5.0], "accuracy": [0.8, 0.6, 0.2]})
    >>> leaderboard(rows)[["clean", "mca", "retained"]].round(3).to_dict("records")
    [{'clean': 0.8, 'mca': 0.4, 'retained': 0.5}]
    """
    scores = checkpoint_scores(cells)
    measures = ["clean", "mca", *group_columns(scores)]
    cohorts = named(scores).groupby(COHORT)
    board = cohorts[measures].mean()
    board["seeds"] = cohorts.size()
    board["spread"] = cohorts["mca"].std(ddof=1)
    board = board.join(_over_both(joint_analyses(scores, image_scores(cells)) if joint is None else joint))
    board["retained"] = board["mca"] / board["clean"].where(board["clean"] > 0)
    board = board.reset_index()
    tied = board.groupby("architecture")["mca"].transform(with_ties)
    ranks = tied.groupby(board["architecture"]).rank(method="min", ascending=False)
    board["rank"] = ranks.astype("int64")
    order = ["mca", *COHORT]
    board = board.sort_values(order, ascending=[False, True, True], ignore_index=True)
    board[["activation", *AXES]] = _parts_of(board, scores)
    return board[[*LEADERBOARD, *group_columns(board)]]


def _parts_of(board: pd.DataFrame, scores: pd.DataFrame) -> NDArray[np.object_]:
    """Return activation and AXES of each cohort, as the table of scores has them."""
    firsts = named(scores).drop_duplicates(COHORT).set_index(COHORT)["checkpoint"]
    parts = scores.set_index("checkpoint").reindex(columns=["activation", *AXES], fill_value="")
    return parts.loc[firsts.loc[list(board[COHORT].itertuples(index=False, name=None))]].to_numpy()


def _over_both(joint: Mapping[str, Joint]) -> pd.DataFrame:
    """Return the columns of the joint analysis, by cohort."""
    columns = ["joint_low", "joint_high", "rank_low", "rank_high", "first"]
    frames = [
        pd.DataFrame(
            dict(zip(columns, (*found.levels(), *found.ranks(), found.first()), strict=True)),
            index=pd.MultiIndex.from_product([[architecture], found.names], names=COHORT),
        )
        for architecture, found in joint.items()
    ]
    nothing = pd.DataFrame(
        columns=columns, index=pd.MultiIndex.from_arrays([[], []], names=COHORT), dtype=float
    )
    return pd.concat(frames) if frames else nothing
