"""One activation against others inside a run: in the mean, by group and by corruption."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.activations.facts import find_activation
from robustbench_act.errors import InputError
from robustbench_act.metrics.cohorts import AXES, with_axes
from robustbench_act.metrics.joint import NO_OUTCOMES, PAIR, joint_analyses, joint_pairs
from robustbench_act.metrics.scores import image_scores
from robustbench_act.records import (
    SHIFT,
    corrupted,
    group_label,
    headline,
    headline_groups,
    headline_words,
    succeeded,
)

LEVELS = ("mean", "group", "corruption", "shifts", "shift")
"""Families of tests: the mean over corruptions; each group; each corruption; input shifts: the mean, each."""

SETTING = ["architecture", *AXES]
"""What activations must share to be compared."""

ANSWER = (*SETTING, "level", "name", "a", "b", "a_accuracy", "b_accuracy", *PAIR)
"""Columns of `compare_activations`."""


def compare_activations(cells: pd.DataFrame, mine: str, *theirs: str) -> pd.DataFrame:
    """Compare one activation of `Run.cells` with others, over other trainings and other images.

    Raises InputError if a name is unknown, no network of an activation was measured without an error, or no
    architecture has two of them.

    Parameters
    ----------
    mine, theirs
        Names as in the tables, "la_silu(alpha=0.1)", or labels, "LA-SiLU (alpha=0.1)".

    Returns
    -------
    DataFrame
        A row for each architecture, level of LEVELS, thing of that level (`name`) and one of `theirs`: a
        (mine), b, their accuracies (shares; agreement without labels), then PAIR: a - b in the joint analysis
        of all activations of the architecture, see `joint_pairs`. The mean is that of `records.headline`, so
        its difference, interval and p are those of the report. `adjusted` is Holm's correction inside one
        level of one architecture: over its pairs, or its things times its pairs. With one training seed, or
        without outcomes of images, differences have no test; `note` says why.

    Examples
    --------
    >>> rows = pd.DataFrame({
    ...     "checkpoint": ["r", "r", "s", "s"], "architecture": "net", "table": "32", "error": None,
    ...     "activation": ["relu", "relu", "silu", "silu"], "corruption": ["clean", "fog"] * 2,
    ...     "group": ["clean", "weather"] * 2, "severity": [0, 3] * 2, "accuracy": [0.9, 0.5, 0.9, 0.6]})
    >>> found = compare_activations(rows, "silu", "ReLU")
    >>> found[["level", "name", "a", "b", "difference"]].round(2).to_dict("records")[0]
    {'level': 'mean', 'name': 'corruptions', 'a': 'silu', 'b': 'relu', 'difference': 0.1}
    """
    whole = with_axes(succeeded(cells))
    networks = whole.drop_duplicates("checkpoint")
    a, *others = _names(cells, networks, [mine, *theirs])
    kinds = {kind: set(own["activation"]) for kind, own in networks.groupby(SETTING)}
    pairs = {kind: [b for b in others if {a, b} <= known] for kind, known in kinds.items()}
    if not any(pairs.values()):
        raise InputError(f"No architecture has both {a} and {' or '.join(others)}.")
    tables = []
    for kind, own in pairs.items():
        rows = whole[(whole[SETTING] == list(kind)).all(axis=1)]
        tables += [_family(level, things, a, own) for level, things in _levels(rows) if own]
    return pd.concat(tables, ignore_index=True)


def _names(cells: pd.DataFrame, networks: pd.DataFrame, asked: list[str]) -> list[str]:
    """Return the names of the activations that are asked for."""
    names = [find_activation(one, cells["activation"].unique()) for one in asked]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"Expected two activations or more, each once, got {', '.join(asked)}.")
    failed = [name for name in names if name not in set(networks["activation"])]
    if failed:
        raise InputError(f"No network of {failed[0]} was measured without an error.")
    return names


def _levels(rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Yield each level with the corrupted cells of each of its things; input shifts apart."""
    bad, counted = corrupted(rows), headline(rows)
    groups, words = headline_groups(bad["group"]), headline_words(bad["group"])
    yield "mean", {words.cells: counted}
    if len(groups) > 1:
        yield "group", {group: counted[counted["group"] == group] for group in groups}
    yield "shift" if groups == [SHIFT] else "corruption", _by_corruption(counted, groups)
    apart = bad[bad["group"] == SHIFT]
    if groups != [SHIFT] and len(apart):
        yield "shifts", {group_label(SHIFT): apart}
        yield "shift", _by_corruption(apart, [SHIFT])


def _by_corruption(bad: pd.DataFrame, groups: list[str]) -> dict[str, pd.DataFrame]:
    """Return the cells of each corruption, group by group, in the order of the run."""
    return {
        str(name): own
        for group in groups
        for name, own in bad[bad["group"] == group].groupby("corruption", sort=False)
    }


def _family(level: str, things: dict[str, pd.DataFrame], a: str, others: list[str]) -> pd.DataFrame:
    """Return the rows of one level, p-values adjusted over them."""
    pairs, accuracies, known = [], [], True
    for rows in things.values():
        scores = _scores(rows)
        images = image_scores(rows)
        known = known and images is not None
        (joint,) = joint_analyses(scores, images or _as_one_image(scores)).values()
        means = dict(zip(joint.names, joint.means.tolist(), strict=True))
        pairs += [(joint, a, b) for b in others]
        accuracies += [(means[a], means[b]) for b in others]
    found = joint_pairs(pairs)
    found.insert(0, "name", [name for name in things for _ in others])
    found[["a_accuracy", "b_accuracy"]] = accuracies
    facts = {name: next(iter(things.values()))[name].iloc[0] for name in SETTING}
    return found.assign(**facts, level=level, **({} if known else {"note": NO_OUTCOMES}))[list(ANSWER)]


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the networks of corrupted cells and their accuracy, as `records.headline` averages it."""
    by_corruption = rows.groupby(["checkpoint", "corruption"])["accuracy"].mean()
    networks = rows.drop_duplicates("checkpoint")
    return networks.assign(score=networks["checkpoint"].map(by_corruption.groupby("checkpoint").mean()))


def _as_one_image(scores: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return each network's accuracy as if of one image, which `Joint` compares, but does not test."""
    return {str(row.checkpoint): np.array([row.score]) for row in scores.itertuples()}
