"""The joint analysis of the activations of a run: training seeds and images at once."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.metrics.cohorts import named
from robustbench_act.statistics import Joint, holm

PAIR = ("difference", "low", "high", "p", "adjusted", "superiority", "detectable", "seeds", "note")
"""Columns of a pair; see `joint_pairs`."""

NO_OUTCOMES = "this run does not say which images were right"
"""Why there is no joint analysis of an older run."""


def joint_analyses(
    scores: pd.DataFrame, images: Mapping[str, NDArray[np.float64]] | None
) -> dict[str, Joint]:
    """Return the joint analysis of the cohorts of each architecture, by their names; none without outcomes.

    Parameters
    ----------
    scores
        See `checkpoint_scores`.
    images
        See `image_scores`.
    """
    if images is None:
        return {}
    found = {}
    for architecture, own in named(scores).groupby("architecture"):
        cohorts = {str(name): rows for name, rows in own.groupby("activation")}
        values = {
            name: np.array([images[one] for one in rows["checkpoint"]]) for name, rows in cohorts.items()
        }
        seeds = None
        if "training_seed" in scores:
            seeds = {name: rows["training_seed"].tolist() for name, rows in cohorts.items()}
        found[str(architecture)] = Joint.of(values, seeds)
    return found


def joint_pairs(pairs: Sequence[tuple[Joint, str, str]]) -> pd.DataFrame:
    """Compare pairs of activations, a - b, each in its joint analysis.

    Returns
    -------
    DataFrame
        a, b, then PAIR: difference (shares), low, high, p, adjusted (Holm over the pairs), superiority (P(A >
        B)), detectable (the difference that these seeds and images show 4 times in 5), seeds (of the one
        that has fewer), note (why there is no test): see `robustbench_act.statistics.JointComparison`.
    """
    found = [joint.compare(a, b) for joint, a, b in pairs]
    tests = sum(not np.isnan(one.p) for one in found)
    rows = [
        {
            "a": a,
            "b": b,
            "difference": one.difference,
            "low": one.interval.low,
            "high": one.interval.high,
            "p": one.p,
            "superiority": one.superiority,
            "detectable": one.detectable(tests),
            "seeds": min(one.seeds),
            "note": one.note,
        }
        for (_, a, b), one in zip(pairs, found, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["a", "b", *(name for name in PAIR if name != "adjusted")])
    return table.assign(adjusted=holm(table["p"]))[["a", "b", *PAIR]]
