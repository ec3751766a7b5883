"""One activation against others inside a run: in the mean, by group and by corruption."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.activations.facts import find_activation
from robustbench_act.errors import InputError
from robustbench_act.metrics.cohorts import AXES, named, split_cohort, with_axes
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
"""What activations share if they are compared; an axis on which they have no value in common is ""."""

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
        A row for each SETTING, level of LEVELS, thing of that level (`name`) and one of `theirs`: a (mine),
        b, their accuracies (shares; agreement without labels), then PAIR: a - b in the joint analysis of all
        cohorts of the architecture, see `joint_pairs`. Like is compared with like: cohorts of one
        normalisation and group, unless the two activations have none in common; then a and b are names of
        cohorts, "relu ‹layer norm›". The mean is that of `records.headline`, so
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
    a, *others = _names(cells, whole, [mine, *theirs])
    tables = []
    for architecture, rows in whole.groupby("architecture", sort=False):
        for setting, pairs in _pairs(rows, a, others).items():
            facts = {"architecture": str(architecture), **dict(zip(AXES, setting, strict=True))}
            tables += [_family(things, pairs, level=level, **facts) for level, things in _levels(rows)]
    if not tables:
        raise InputError(f"No architecture has both {a} and {' or '.join(others)}.")
    return pd.concat(tables, ignore_index=True)


def _names(cells: pd.DataFrame, whole: pd.DataFrame, asked: list[str]) -> list[str]:
    """Return the names of the activations that are asked for."""
    names = [find_activation(one, cells["activation"].unique()) for one in asked]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"Expected two activations or more, each once, got {', '.join(asked)}.")
    failed = [name for name in names if name not in set(whole["activation"])]
    if failed:
        raise InputError(f"No network of {failed[0]} was measured without an error.")
    return names


def _pairs(rows: pd.DataFrame, a: str, others: list[str]) -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """Return the pairs of cohorts of one architecture, by the values of AXES that both have.

    On an axis where the two activations have a value in common, only cohorts of one value are a pair; a
    value that the two do not share is "".
    """
    keys = ["activation", *AXES]
    cohorts = rows.drop_duplicates(keys)
    cohorts = cohorts.assign(cohort=named(cohorts)["activation"])
    found = defaultdict[tuple[str, ...], list[tuple[str, str]]](list)
    for b in others:
        ours, theirs = (cohorts[cohorts["activation"] == name] for name in (a, b))
        shared = [axis for axis in AXES if {*ours[axis]} & {*theirs[axis]}]
        for x, y in product(ours.to_dict("records"), theirs.to_dict("records")):
            if all(x[axis] == y[axis] for axis in shared):
                setting = tuple(str(x[axis]) if x[axis] == y[axis] else "" for axis in AXES)
                found[setting].append((str(x["cohort"]), str(y["cohort"])))
    return found


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


def _family(things: dict[str, pd.DataFrame], cohorts: list[tuple[str, str]], **facts: str) -> pd.DataFrame:
    """Return the rows of one level, p-values adjusted over them."""
    pairs, accuracies, known = [], [], True
    for rows in things.values():
        scores = _scores(rows)
        images = image_scores(rows)
        known = known and images is not None
        (joint,) = joint_analyses(scores, images or _as_one_image(scores)).values()
        means = dict(zip(joint.names, joint.means.tolist(), strict=True))
        pairs += [(joint, a, b) for a, b in cohorts]
        accuracies += [(means[a], means[b]) for a, b in cohorts]
    found = joint_pairs(pairs)
    found.insert(0, "name", [name for name in things for _ in cohorts])
    found[["a_accuracy", "b_accuracy"]] = accuracies
    alike = found["a"].map(_rest) == found["b"].map(_rest)
    for name in ("a", "b"):  # what both share is in columns of its own
        found[name] = found[name].where(~alike, found[name].map(_activation))
    return found.assign(**facts, **({} if known else {"note": NO_OUTCOMES}))[list(ANSWER)]


def _activation(cohort: str) -> str:
    return split_cohort(cohort)[0]


def _rest(cohort: str) -> str:
    return split_cohort(cohort)[1]


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the networks of corrupted cells and their accuracy, as `records.headline` averages it."""
    by_corruption = rows.groupby(["checkpoint", "corruption"])["accuracy"].mean()
    networks = rows.drop_duplicates("checkpoint")
    return networks.assign(score=networks["checkpoint"].map(by_corruption.groupby("checkpoint").mean()))


def _as_one_image(scores: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return each network's accuracy as if of one image, which `Joint` compares, but does not test."""
    return {str(row.checkpoint): np.array([row.score]) for row in scores.itertuples()}
