"""One activation against others inside a run: in the mean, by group and by corruption."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import product

import pandas as pd

from robustbench_act.activations.names import find_activation
from robustbench_act.errors import InputError
from robustbench_act.metrics.cohorts import AXES, named, split_cohort, with_axes
from robustbench_act.metrics.joint import NO_OUTCOMES, PAIR, joint_analyses, joint_pairs
from robustbench_act.metrics.scores import image_accuracy_by_corruption
from robustbench_act.records import (
    SHIFT,
    corrupted,
    group_label,
    headline_groups,
    headline_words,
    succeeded,
)
from robustbench_act.statistics import Joint

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
        if not (pairs := _pairs(rows, a, others)):
            continue
        scores = _Scores(rows)
        for setting, cohorts in pairs.items():
            facts = {"architecture": str(architecture), **dict(zip(AXES, setting, strict=True))}
            tables += [
                _family(scores, things, cohorts, level=level, **facts) for level, things in _levels(rows)
            ]
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


def _levels(rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield each level with the corruptions of each of its things; input shifts apart."""
    bad = corrupted(rows).drop_duplicates("corruption")
    groups, words = headline_groups(bad["group"]), headline_words(bad["group"])
    of = {group: own["corruption"].to_list() for group, own in bad.groupby("group", sort=False)}
    counted = [name for group in groups for name in of[group]]
    yield "mean", {words.cells: counted}
    if len(groups) > 1:
        yield "group", {group: of[group] for group in groups}
    yield "shift" if groups == [SHIFT] else "corruption", {name: [name] for name in counted}
    if groups != [SHIFT] and SHIFT in of:
        yield "shifts", {group_label(SHIFT): of[SHIFT]}
        yield "shift", {name: [name] for name in of[SHIFT]}


class _Scores:
    """How often each network is right in each image under each corruption.

    Without outcomes of images the accuracy of a network stands for its images, as if it were a single one,
    which `Joint` compares, but does not test.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        self.networks = rows.drop_duplicates("checkpoint")
        self.known = "outcomes" in rows and bool(rows["outcomes"].notna().all())
        bad = corrupted(rows)
        mean = bad.groupby(["checkpoint", "corruption"])["accuracy"].mean().to_frame()
        self._each = {
            str(name): image_accuracy_by_corruption(own) if self.known else mean.loc[name]
            for name, own in bad.groupby("checkpoint")
        }

    def joint(self, corruptions: list[str]) -> Joint:
        """Return the joint analysis of all cohorts, over some corruptions."""
        images = {name: own.loc[corruptions].to_numpy().mean(axis=0) for name, own in self._each.items()}
        (found,) = joint_analyses(self.networks, images).values()
        return found


def _family(
    scores: _Scores, things: dict[str, list[str]], cohorts: list[tuple[str, str]], **facts: str
) -> pd.DataFrame:
    """Return the rows of one level, p-values adjusted over them."""
    pairs, accuracies = [], []
    for corruptions in things.values():
        joint = scores.joint(corruptions)
        means = dict(zip(joint.names, joint.means.tolist(), strict=True))
        pairs += [(joint, a, b) for a, b in cohorts]
        accuracies += [(means[a], means[b]) for a, b in cohorts]
    found = joint_pairs(pairs)
    found.insert(0, "name", [name for name in things for _ in cohorts])
    found[["a_accuracy", "b_accuracy"]] = accuracies
    alike = found["a"].map(_rest) == found["b"].map(_rest)
    for name in ("a", "b"):  # what both share is in columns of its own
        found[name] = found[name].where(~alike, found[name].map(_activation))
    return found.assign(**facts, **({} if scores.known else {"note": NO_OUTCOMES}))[list(ANSWER)]


def _activation(cohort: str) -> str:
    return split_cohort(cohort)[0]


def _rest(cohort: str) -> str:
    return split_cohort(cohort)[1]
