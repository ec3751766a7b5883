"""Tests of pairs as columns of tables: over training seeds and images at once, and over images alone."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.metrics import NO_OUTCOMES, PAIR, joint_pairs
from robustbench_act.statistics import Comparison, Joint, compare_images, holm


def significance(
    scores: pd.DataFrame,
    outcomes: Mapping[str, NDArray[np.float64]] | None,
    joint: Joint | None,
    names: Sequence[str],
) -> pd.DataFrame:
    """Compare every two activations of one architecture.

    Parameters
    ----------
    scores : DataFrame
        `robustbench_act.metrics.checkpoint_scores` of that architecture.
    outcomes, joint
        `robustbench_act.metrics.image_scores`, and the joint analysis; None if the run does not record them.
    names : sequence of str
        Activations.

    Returns
    -------
    DataFrame
        a, b, then joint_<name> for each name of `robustbench_act.metrics.PAIR`, over other trainings and
        images; then, over images alone, where each activation is the mean of its checkpoints:
        images_difference (a - b, shares), images_low, images_high, images_p, images_adjusted, images_pairs,
        images_test, images_note. Holm's correction is over all pairs.
    """
    pairs = list(combinations(names, 2))
    parts = {name: scores[scores["activation"] == name] for name in names}
    rows = [{"a": a, "b": b, **images_test(parts[a], parts[b], outcomes)} for a, b in pairs]
    return with_holm(pd.DataFrame(rows), [(joint, a, b) for a, b in pairs])


def images_test(
    own: pd.DataFrame, other: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None
) -> dict[str, Any]:
    """Return the columns of the test over images alone."""
    found = untested(NO_OUTCOMES)
    if outcomes is not None:
        x, y = (image_means(part, outcomes) for part in (own, other))
        found = columns_of(compare_images(x, y, bootstrap=False))
    return {f"images_{name}": value for name, value in found.items()}


def with_holm(table: pd.DataFrame, pairs: Sequence[tuple[Joint | None, str, str]]) -> pd.DataFrame:
    """Add the joint analysis of each row's pair, and p-values adjusted over all rows."""
    if table.empty:
        return table
    known = [(joint, a, b) for joint, a, b in pairs if joint is not None]
    if len(known) == len(pairs):
        joint = joint_pairs(known)[list(PAIR)]
    else:
        joint = pd.DataFrame(dict.fromkeys(PAIR, np.nan), index=table.index)
        joint = joint.assign(seeds=0, note=NO_OUTCOMES)
    joint.index = table.index
    return table.assign(images_adjusted=holm(table["images_p"])).join(joint.add_prefix("joint_"))


def image_means(scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over checkpoints (images,) of what is right in each image."""
    return np.asarray(np.mean([outcomes[name] for name in scores["checkpoint"]], axis=0))


def untested(note: str) -> dict[str, Any]:
    """Return the columns of a test that cannot be made, and why."""
    missing = dict.fromkeys(("difference", "low", "high", "p"), np.nan)
    return {**missing, "pairs": 0, "test": "none", "note": note}


def columns_of(found: Comparison) -> dict[str, Any]:
    """Return difference, low, high, p, pairs, test and note."""
    low, high = found.interval
    numbers = {"difference": found.difference, "low": low, "high": high, "p": found.p}
    return {**numbers, "pairs": found.pairs, "test": found.test, "note": found.note}
