"""Paired tests as columns of tables: over images, and over training seeds."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.statistics import Comparison, compare_images, compare_seeds, holm

NO_OUTCOMES = "this run does not say which images were right"


def significance(
    scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None, names: Sequence[str]
) -> pd.DataFrame:
    """Compare every two activations of one architecture: over images, and over training seeds.

    Parameters
    ----------
    scores : DataFrame
        `robustbench_act.metrics.checkpoint_scores` of that architecture.
    outcomes : Mapping
        For each checkpoint (images,): the share of the headline's cells in which each image is right;
        None if the run does not record it.
    names : sequence of str
        Activations.

    Returns
    -------
    DataFrame
        a, b, then for each of "images" and "seeds": difference (a - b, shares), low, high, p, adjusted
        (Holm over all pairs), pairs, test, note. Over images each activation is the mean of its checkpoints.
        Over seeds the pairs are the training seeds of both.
    """
    rows = []
    for first, second in combinations(names, 2):
        own, other = (scores[scores["activation"] == name] for name in (first, second))
        rows.append({"a": first, "b": second, **paired_tests(own, other, outcomes)})
    return with_holm(pd.DataFrame(rows))


def paired_tests(
    own: pd.DataFrame, other: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None
) -> dict[str, Any]:
    """Return the columns of both tests, over images and over training seeds."""
    images = untested(NO_OUTCOMES)
    if outcomes is not None:
        x, y = (image_means(part, outcomes) for part in (own, other))
        images = columns_of(compare_images(x, y, bootstrap=False))
    found = {"images": images, "seeds": _over_seeds(own, other)}
    return {f"{over}_{name}": value for over, test in found.items() for name, value in test.items()}


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Add p-values adjusted over all rows, for both tests."""
    if table.empty:
        return table
    return table.assign(**{f"{over}_adjusted": holm(table[f"{over}_p"]) for over in ("images", "seeds")})


def image_means(scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over checkpoints (images,) of what is right in each image."""
    return np.asarray(np.mean([outcomes[name] for name in scores["checkpoint"]], axis=0))


def _over_seeds(own: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    seeds = [part["training_seed"] for part in (own, other)]
    if any(known.isna().any() for known in seeds):
        return untested("not all training seeds are known")
    if any(known.duplicated().any() for known in seeds):
        return untested("a training seed comes twice")
    both = own.merge(other, on="training_seed")
    if both.empty:
        return untested("no training seed is in both")
    return columns_of(compare_seeds(both["mca_x"], both["mca_y"]))


def untested(note: str) -> dict[str, Any]:
    """Return the columns of a test that cannot be made, and why."""
    missing = dict.fromkeys(("difference", "low", "high", "p"), np.nan)
    return {**missing, "pairs": 0, "test": "none", "note": note}


def columns_of(found: Comparison) -> dict[str, Any]:
    """Return difference, low, high, p, pairs, test and note."""
    low, high = found.interval
    numbers = {"difference": found.difference, "low": low, "high": high, "p": found.p}
    return {**numbers, "pairs": found.pairs, "test": found.test, "note": found.note}
