"""The sentences about changes from run to run, computed from `reports.multi_run.tables`."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports.names import label
from reports.number_formats import fine_points, p_text, percent, points
from robustbench_act.comparison import LEVEL
from robustbench_act.english import count, upper_first
from robustbench_act.records import SHIFT, group_label

LISTED = 6
"""Activations that are named in a sentence, at most."""


def verdicts(
    changes: pd.DataFrame, table: pd.DataFrame, measure: str, *, images: str = "corrupted"
) -> list[str]:
    """Say of each run whether it gained or lost against an earlier one, as a whole.

    Parameters
    ----------
    changes, table : DataFrame
        `reports.multi_run.tables.run_changes` and `between_runs`.
    measure : str
        What the shares are called.
    images : str
        What the images are called: see `robustbench_act.records.HeadlineWords`.

    >>> runs = {"base": "old", "run": "new"}
    >>> changes = pd.DataFrame([{**runs, "mca": -0.02, "p": 0.001, "low": -0.03, "high": -0.01}])
    >>> changes = changes.assign(joint_p=0.01, joint_low=-0.035, joint_high=-0.005)
    >>> table = pd.DataFrame({**runs, "architecture": "net", "activation": ["relu", "silu"]})
    >>> table["mca"] = -0.02
    >>> verdicts(changes, table, "accuracy")
    ['From old to new, the mean of 2 activations loses 2.0 points of accuracy on corrupted images (95%
    interval: −3.5 to −0.5): more than chance in trainings and images would give (p = 0.01).']
    """
    rows = changes.to_dict("records")
    on = f"{measure} on {images} images"
    return [_verdict(row, table, on, first=str(rows[0]["base"])) for row in rows]


def _verdict(row: Mapping[Hashable, Any], table: pd.DataFrame, accuracy: str, *, first: str) -> str:
    own = _rows(table, row)
    moves = _moves(row["mca"])
    lacking = "" if row["base"] == first else f", of those that {first} lacks,"
    text = f"From {row['base']} to {row['run']}, {_all_of(own)}{lacking} {moves} {accuracy}"
    if math.isnan(row["p"]):
        return f"{text}. {upper_first(row['note'])}, so whether that is chance cannot be said."
    if math.isnan(row["joint_p"]):
        interval = f"95% interval over images: {points(row['low'])} to {points(row['high'])}"
        beyond = "more" if row["p"] < LEVEL else "not more"
        chance = f"than chance in images would give ({p_text(row['p'])})"
        unknown = f"Whether other trainings would show the same cannot be said: {row['joint_note']}"
        return f"{text} ({interval}): {beyond} {chance}. {unknown}."
    interval = f"95% interval: {points(row['joint_low'])} to {points(row['joint_high'])}"
    beyond = "more" if row["joint_p"] < LEVEL else "not more"
    chance = f"than chance in trainings and images would give ({p_text(row['joint_p'])})"
    return f"{text} ({interval}): {beyond} {chance}."


def _all_of(own: pd.DataFrame) -> str:
    """Return what the change is the mean of."""
    if len(own) == 1:
        return str(own["who"].iloc[0])
    architectures = len(set(own["architecture"]))
    where = f" in {architectures} architectures" if architectures > 1 else ""
    return f"the mean of {count(len(set(own['activation'])), 'activation')}{where}"


def _moves(difference: float) -> str:
    size = percent(abs(difference))
    if size == "0.0":
        return "does not change in"
    return f"{'gains' if difference > 0 else 'loses'} {size} points of"


def _of_two(table: pd.DataFrame, runs: Mapping[Hashable, Any]) -> pd.DataFrame:
    """Return the rows of the same two runs."""
    own: pd.DataFrame = table[(table["base"] == runs["base"]) & (table["run"] == runs["run"])]
    return own


def _rows(table: pd.DataFrame, runs: Mapping[Hashable, Any]) -> pd.DataFrame:
    """Return the rows of two runs, with who they are, and their change."""
    own = _of_two(table, runs)
    several = len(set(own["architecture"])) > 1
    who = [
        label(row["activation"]) + (f" ({row['architecture']})" if several else "")
        for row in own.to_dict("records")
    ]
    return own.assign(who=who, change=own["mca"])


def details(changes: pd.DataFrame, table: pd.DataFrame, by_corruption: pd.DataFrame) -> list[str]:
    """Say of each run which activations moved and what is not ruled out; then under what, and what is worst.

    Parameters
    ----------
    changes, table : DataFrame
        As in `verdicts`.
    by_corruption : DataFrame
        `reports.multi_run.tables.corruption_changes`.
    """
    said = []
    for row in changes.to_dict("records"):
        own = _rows(table, row)
        where = f"{row['run']}: " if len(changes) > 1 else ""
        under = _corruptions(_of_two(by_corruption, row), own)
        parts = (
            (_trainings(own), _one_by_one(own), _room(own)),
            (under, _worst(own, row["clean"]), _left_out(own)),
        )
        said += [where + " ".join(known) for sentences in parts if (known := [*filter(None, sentences)])]
    return said


def unpaired(found: pd.DataFrame, *, several: bool = False) -> str:
    """Say which activations were measured in one run alone: they are not compared.

    Parameters
    ----------
    found : DataFrame
        `reports.multi_run.tables.unpaired`.
    several
        Whether there are several architectures, so that they have to be named.

    >>> rows = {"architecture": "net", "activation": ["mish", "relu", "gelu"], "run": ["old", "new", "new"]}
    >>> unpaired(pd.DataFrame(rows))
    'Not compared, since measured in one run alone: Mish (old); ReLU, GELU (new).'
    >>> unpaired(pd.DataFrame())
    ''
    """
    if found.empty:
        return ""
    where = [f" in {name}" if several else "" for name in found["architecture"]]
    who = [label(name) + tail for name, tail in zip(found["activation"], where, strict=True)]
    named = [
        f"{_some(list(own['who']))} ({run})" for run, own in found.assign(who=who).groupby("run", sort=False)
    ]
    return f"Not compared, since measured in one run alone: {'; '.join(named)}."


def moved(names: Sequence[str], table: pd.DataFrame, *, who: str, things: str, tests: int) -> str:
    """Say under which corruptions, or in which classes, something moved; "" if nothing is tested.

    Parameters
    ----------
    names
        Names of the rows.
    table : DataFrame
        change (shares) and adjusted (p).
    who, things
        What moves, and what the rows are.
    tests
        Number of tests that p was adjusted for.

    >>> table = pd.DataFrame({"change": [-0.03, 0.02, -0.01], "adjusted": [0.01, 0.02, 0.2]})
    >>> moved(["a", "b", "c"], table, who="the mean", things="classes", tests=3)
    'Of 3 classes, the mean loses in 1 (a −3.0) and gains in 1 (b +2.0) more than chance in images would give
    (Holm’s correction for 3 tests).'
    """
    if len(table) == 1 or table["adjusted"].isna().all():
        return ""
    into = "in" if things == "classes" else "under"
    rows = table.assign(who=list(names)).sort_values("change", kind="stable")
    beyond = rows[rows["adjusted"] < LEVEL]
    if beyond.empty:
        said = f"{upper_first(into)} none of {len(rows):,} {things} {who} moves"
    else:
        lost, gained = beyond[beyond["change"] < 0], beyond[beyond["change"] > 0].iloc[::-1]
        gains = f"gains {into} {_listed(gained)}"
        said = f"Of {len(rows):,} {things}, {who} loses {into} {_listed(lost)} and {gains}"
    correction = f"Holm’s correction for {tests:,} tests"
    return f"{said} more than chance in images would give ({correction})."


def _one_by_one(own: pd.DataFrame) -> str:
    """Say who moved beyond other images, as these networks are; "" if there is only one, or no test."""
    if len(own) == 1 or own["images_adjusted"].isna().all():
        return ""
    tests = f"Holm’s correction for {len(own)} tests"
    moves = f"{_moved(own, 'images')} more than chance in images would give"
    return f"Of these trained networks by themselves, {moves} ({tests})."


def _moved(own: pd.DataFrame, over: str) -> str:
    """Return who lost and who gained beyond chance."""
    beyond = own[own[f"{over}_adjusted"] < LEVEL]
    lost, gained = beyond[beyond["mca"] < 0], beyond[beyond["mca"] > 0]
    return " and ".join(f"{_listed(part)} {verb}" for part, verb in ((lost, "lost"), (gained, "gained")))


def _listed(part: pd.DataFrame) -> str:
    """Return how many rows there are, and the first of them: who, and their change."""
    if part.empty:
        return "none"
    pairs = zip(part["who"], part["change"], strict=True)
    return f"{len(part)} ({_some([f'{who} {fine_points(size)}' for who, size in pairs])})"


def _some(named: list[str]) -> str:
    """Return the first LISTED, and how many more there are."""
    more = [f"{len(named) - LISTED} more"] if len(named) > LISTED else []
    return ", ".join([*named[:LISTED], *more])


def _corruptions(under: pd.DataFrame, own: pd.DataFrame) -> str:
    """Say under which corruptions the mean moved, or the only activation; input shifts apart."""
    family = under[under["name"] == under["name"].iloc[0]]
    rows = family[family["corruption"] != ""]
    who = "the mean of these networks" if len(own) > 1 else str(own["who"].iloc[0])
    shifts = rows["group"] == SHIFT
    parts = (("corruptions", rows[~shifts]), (group_label(SHIFT), rows[shifts]))
    said = [
        moved(part["corruption"], part, who=who, things=things, tests=len(family))
        for things, part in parts
        if len(part)
    ]
    return " ".join(filter(None, said))


def _trainings(own: pd.DataFrame) -> str:
    """Say who moved beyond other trainings and images; that of one activation is the verdict itself."""
    if len(own) == 1 or own["joint_adjusted"].isna().all():
        return ""
    chance = "more than chance in trainings and images would give"
    return (
        f"Activation by activation, {_moved(own, 'joint')} {chance} (Holm’s correction for {len(own)} tests)."
    )


def _room(own: pd.DataFrame) -> str:
    """Say which loss is not ruled out if none is shown: the lowest end of the intervals."""
    over = "images" if own["joint_adjusted"].isna().all() else "joint"
    shown = own[f"{over}_adjusted"] < LEVEL
    open_ones = own[~shown & (own[f"{over}_low"] < 0)].sort_values(f"{over}_low", kind="stable")
    if open_ones.empty:
        return ""
    worst = open_ones.iloc[0]
    loss = f"{percent(-worst[f'{over}_low'])} points"
    what = "These images" if over == "images" else "These seeds and images"
    if len(own) == 1:
        return f"{what} do not rule out a loss of up to {loss}."
    return f"{what} do not rule out a loss of up to {loss} ({worst['who']}) if no change is shown."


def _worst(own: pd.DataFrame, clean: float) -> str:
    worst = own.sort_values("lost_change", kind="stable").iloc[0]
    mean = " on average" if len(own) > 1 else ""
    return (
        f"Worst is {worst['who']} under {worst['lost']} ({points(worst['lost_change'])} points). "
        f"On clean images the change is {points(clean)} points{mean}."
    )


def _left_out(own: pd.DataFrame) -> str:
    amount = int(own["left_out"].sum())
    if amount == 0:
        return ""
    have, are = ("has", "is") if amount == 1 else ("have", "are")
    who = count(amount, "checkpoint")
    return f"{who} {have} no partner with the same training seed and {are} left out."
