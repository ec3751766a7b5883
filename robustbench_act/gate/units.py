"""What a line is about: a checkpoint, or all networks of an activation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

import pandas as pd

from robustbench_act.comparability import Measured, compare_setups, one_sided
from robustbench_act.gate.rules import Unit
from robustbench_act.metrics import AXES, COHORT, named
from robustbench_act.records import RunInfo


def members(info: RunInfo, unit: Unit) -> dict[str, list[str]]:
    """Return the checkpoints that each line is about: one of the same name, or an activation's.

    An activation is named with its normalisation and its architecture if there are several.
    """
    if unit == "weights":
        return {entry.name: [entry.name] for entry in info.checkpoints}
    columns = [*COHORT, *AXES]
    rows = [[getattr(entry, name) for name in columns] for entry in info.checkpoints]
    cohorts = named(pd.DataFrame(rows, columns=columns))["activation"]
    several = len({entry.architecture for entry in info.checkpoints}) > 1
    found: dict[str, list[str]] = {}
    for entry, cohort in zip(info.checkpoints, cohorts, strict=True):
        name = f"{cohort} ({entry.architecture})" if several else cohort
        found.setdefault(name, []).append(entry.name)
    return found


def usual_unit(info: RunInfo) -> Unit:
    """Return the unit if none is asked for: "training" if an activation has several networks."""
    counts = map(len, members(info, "training").values())
    return "training" if max(counts, default=0) > 1 else "weights"


def refusal(run: Measured, baseline: Measured, unit: Unit, *, who: str, place: str) -> str:
    """Return why the two must not be compared, as an error has it; "" if they may.

    Parameters
    ----------
    who
        The two, as in "run and the baseline".
    place
        What the second is called.
    """
    ours, theirs = members(run.info, unit), members(baseline.info, unit)
    pairs = [pair for name in ours if name in theirs for pair in _pairs(ours[name], theirs[name])]
    places = ("the run", place)
    found = compare_setups(run, baseline, pairs=pairs, places=places)
    what = "checkpoint" if unit == "weights" else "activation"
    return replace(found, unpaired=tuple(one_sided(what, list(ours), list(theirs), places))).refusal(
        who, whole=True
    )


def _pairs(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[str, str]]:
    """Pair every network with one of the other side, so that each is looked at."""
    return [(a or ours[0], b or theirs[0]) for a, b in zip_longest(ours, theirs)]


def same_weights(run: RunInfo, baseline: RunInfo) -> set[str]:
    """Return the checkpoints whose files are the same."""
    before: Mapping[str, str] = {entry.name: entry.digest for entry in baseline.checkpoints}
    return {
        entry.name for entry in run.checkpoints if entry.digest and entry.digest == before.get(entry.name)
    }
