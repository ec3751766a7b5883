"""What changed from run to run, as tables: whole runs, activations, corruptions and classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.grid import Grid
from reports.names import split_run
from reports.paired_tests import columns_of, image_means, images_test, untested, with_holm
from robustbench_act.metrics import NO_OUTCOMES, group_columns, image_accuracy_by_corruption
from robustbench_act.statistics import ONE_SEED, Joint, compare_images, holm

FEWEST = 10
"""Images that a test over images needs: if very few move alike, chance looks like certainty."""


def between_runs(
    grid: Grid, scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None
) -> pd.DataFrame:
    """Compare each activation of a later run with the same one of the first run that has it.

    Parameters
    ----------
    grid
        All accuracies.
    scores, outcomes
        As in `reports.paired_tests.significance`; `reports.names.of_run` names activations of several runs.

    Returns
    -------
    DataFrame
        architecture, activation, name (of the later one), left_out (checkpoints whose training seed only
        one run has), base and run (names of runs), was and now (`mca`), the changes clean, mca and
        group_... (now - was, shares), lost (the headline's corruption that changed for the worse most) and
        lost_change; then the tests as there, Holm over the rows of two runs. The largest fall first.
    """
    tables = []
    for _, pairs in _by_runs(scores):
        rows = [{**_change(grid, pair), **images_test(pair.own, pair.base, outcomes)} for pair in pairs]
        joint = None if outcomes is None else _joint(pairs, outcomes)
        sides = [(joint, f"own {place}", f"base {place}") for place in range(len(pairs))]
        tables.append(with_holm(pd.DataFrame(rows), sides))
    if not tables:
        return pd.DataFrame()
    return pd.concat(tables).sort_values("mca", kind="stable", ignore_index=True)


def run_changes(scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None) -> pd.DataFrame:
    """Compare two runs as a whole: the mean over the activations compared, each with equal weight.

    Pairs, scores and outcomes are those of `between_runs`.

    Returns
    -------
    DataFrame
        base, run, clean and mca (mean change, shares); over other trainings and images joint_low, joint_high,
        joint_p and joint_note; over images alone difference, low, high, p, pairs, test, note.
    """
    rows = []
    for runs, pairs in _by_runs(scores):
        changes = {key: np.mean([pair.change(key) for pair in pairs]) for key in ("clean", "mca")}
        test, joint = untested(NO_OUTCOMES), {"low": np.nan, "high": np.nan, "p": np.nan, "note": NO_OUTCOMES}
        if outcomes is not None:
            test = columns_of(compare_images(*_sides(pairs, outcomes), bootstrap=False))
            joint = _joint_change(pairs, outcomes)
        joint = {f"joint_{name}": value for name, value in joint.items()}
        rows.append({**runs, **changes, **joint, **test})
    return pd.DataFrame(rows)


def _joint_change(pairs: list["_Pair"], outcomes: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Return low, high, p and note of the mean change over other trainings and images."""
    joint = _joint(pairs, outcomes)
    weights = [(1 if name.startswith("own") else -1) / len(pairs) for name in joint.names]
    _, (low, high), p = joint.contrast(weights)
    return {"low": low, "high": high, "p": p, "note": ONE_SEED if np.isnan(p) else ""}


def _joint(pairs: list["_Pair"], outcomes: Mapping[str, NDArray[np.float64]]) -> Joint:
    """Return the joint analysis of both sides of all pairs: own 0, base 0, own 1, ..."""
    cohorts = {
        f"{side} {place}": part
        for place, pair in enumerate(pairs)
        for side, part in (("own", pair.own), ("base", pair.base))
    }
    return Joint.of(
        {name: np.array([outcomes[one] for one in part["checkpoint"]]) for name, part in cohorts.items()},
        {name: part["training_seed"].tolist() for name, part in cohorts.items()},
    )


def corruption_changes(grid: Grid, scores: pd.DataFrame, cells: pd.DataFrame | None) -> pd.DataFrame:
    """Compare two runs corruption by corruption: each activation, and the mean over all of them.

    Parameters
    ----------
    grid, scores
        As in `between_runs`.
    cells : DataFrame
        The rows that they are made from; None if these do not record which images were right.

    Returns
    -------
    DataFrame
        base, run, architecture and name (of the later activation; "" both for the mean over the activations
        of two runs, if there are several), group and corruption ("" for the mean of a group that has
        several), change (shares, mean over severities), then the test over images: low, high, p, adjusted.
        Holm's correction is over the rows of two runs, those of the mean by themselves.
    """
    parts = _parts(grid)
    by_checkpoint = {} if cells is None else dict(list(cells.groupby("checkpoint", sort=False)))

    def right(own: pd.DataFrame) -> NDArray[np.float64]:
        """Return (corruptions, images): the mean over checkpoints of what is right."""
        whole = np.zeros(1)
        for name in own["checkpoint"]:
            whole = whole + image_accuracy_by_corruption(by_checkpoint[name]).loc[order].to_numpy()
        return whole / len(own)

    order = grid.corruptions["corruption"]
    tables = []
    for runs, pairs in _by_runs(scores):
        rows: list[dict[str, Any]] = []
        changes, whole = [], np.zeros(1)
        for pair in pairs:  # outcomes of images are held for one pair at a time: they may be large
            moved = right(pair.own) - right(pair.base) if cells is not None else None
            whole = whole if moved is None else whole + moved / len(pairs)
            changes.append(_by_corruption(grid, pair))
            rows += [{**runs, **pair.facts, **row} for row in _tested(parts, changes[-1], moved)]
        families = [rows]
        if len(pairs) > 1:
            means = _tested(parts, np.mean(changes, axis=0), whole if cells is not None else None)
            families.insert(0, [{**runs, "architecture": "", "name": "", **row} for row in means])
        for family in map(pd.DataFrame, families):
            tables.append(family.assign(adjusted=holm(family["p"])))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _parts(grid: Grid) -> list[tuple[str, str, NDArray[np.intp]]]:
    """Return group, corruption and places: of each group with several its mean, then its members."""
    parts = []
    for group in grid.groups:
        places = grid.places(group)
        parts += [(group, "", places)] if len(places) > 1 else []
        parts += [
            (group, grid.corruptions["corruption"][place], places[[at]]) for at, place in enumerate(places)
        ]
    return parts


def _tested(
    parts: list[tuple[str, str, NDArray[np.intp]]],
    change: NDArray[np.float64],
    moved: NDArray[np.float64] | None,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each part, from the change under each corruption, and of each image (now - was)."""
    for group, corruption, places in parts:
        test = untested(NO_OUTCOMES) if moved is None else _over_images(moved[places].mean(axis=0))
        tested = {name: test[name] for name in ("low", "high", "p")}
        yield {"group": group, "corruption": corruption, "change": change[places].mean(), **tested}


def class_changes(
    scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None, labels: "pd.Series[int]"
) -> pd.DataFrame:
    """Compare two runs class by class: the mean over the activations compared, as in `run_changes`.

    Parameters
    ----------
    scores, outcomes
        Those of `between_runs`.
    labels
        int (images,), in the order of the outcomes.

    Returns
    -------
    DataFrame
        base, run, label, change (shares), then the test over its images as in `run_changes`, and adjusted:
        Holm over the classes of two runs. Classes of fewer than FEWEST images are not tested. No rows without
        outcomes.
    """
    if outcomes is None:
        return pd.DataFrame()
    tables = []
    for runs, pairs in _by_runs(scores):
        moved, known = np.subtract(*_sides(pairs, outcomes)), labels.to_numpy()
        by_class = [(label, moved[known == label]) for label in np.unique(known)]
        table = pd.DataFrame(
            {**runs, "label": label, "change": part.mean(), **_over_images(part)} for label, part in by_class
        )
        tables.append(table.assign(adjusted=holm(table["p"])))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _over_images(moved: NDArray[np.float64]) -> dict[str, Any]:
    """Return the columns of the test over images of (images,) now - was; of FEWEST at least."""
    if len(moved) < FEWEST:
        return untested(f"fewer than {FEWEST} images")
    return columns_of(compare_images(moved, np.zeros_like(moved), bootstrap=False))


def unpaired(scores: pd.DataFrame, runs: Mapping[str, str]) -> pd.DataFrame:
    """Return the activations that were measured in one run alone: architecture, activation, run.

    `runs` gives the run of each checkpoint; it is empty for a single run.
    """
    known = scores.assign(activation=[split_run(name)[0] for name in scores["activation"]])
    known = known[known["checkpoint"].isin(set(runs))]
    known = known.assign(run=known["checkpoint"].map(runs))
    found = known[["architecture", "activation", "run"]].drop_duplicates(ignore_index=True)
    return found[~found.duplicated(["architecture", "activation"], keep=False)].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class _Pair:
    """The scores of an activation in two runs, and how many checkpoints have no partner."""

    base: pd.DataFrame
    own: pd.DataFrame
    left_out: int = 0

    @property
    def ends(self) -> tuple[tuple[str, int, str], ...]:
        """Activation, place and name of the earlier run and of the later one."""
        return tuple(split_run(part["activation"].iloc[0]) for part in (self.base, self.own))

    @property
    def runs(self) -> dict[str, str]:
        """The names of both runs."""
        return {"base": self.ends[0][2], "run": self.ends[1][2]}

    @property
    def facts(self) -> dict[str, str]:
        """The architecture, and the name of the activation in the later run."""
        return {"architecture": self.own["architecture"].iloc[0], "name": self.own["activation"].iloc[0]}

    def change(self, column: str) -> float:
        """Return now - was, means over checkpoints."""
        return float(self.own[column].mean() - self.base[column].mean())


def _pairs(scores: pd.DataFrame) -> Iterator[_Pair]:
    """Yield each activation's first run with each later one."""
    known = scores.assign(plain=[split_run(name)[0] for name in scores["activation"]])
    for _, group in known.groupby(["architecture", "plain"], sort=False):
        names = sorted(group["activation"].unique(), key=lambda name: split_run(name)[1])
        base, *later = (group[group["activation"] == name] for name in names)
        yield from (_partners(base, own) for own in later)


def _partners(base: pd.DataFrame, own: pd.DataFrame) -> _Pair:
    """Return the checkpoints of the training seeds that both have; all if seeds do not tell partners."""
    seeds = [part["training_seed"] for part in (base, own)]
    both = set(seeds[0]) & set(seeds[1])
    if not both or any(known.isna().any() or known.duplicated().any() for known in seeds):
        return _Pair(base, own)
    found, other = (part[part["training_seed"].isin(both)] for part in (base, own))
    return _Pair(found, other, len(base) + len(own) - 2 * len(both))


def _by_runs(scores: pd.DataFrame) -> list[tuple[dict[str, str], list[_Pair]]]:
    """Return the names of every two runs with their pairs of activations, in the order of the runs."""
    found: dict[tuple[int, ...], list[_Pair]] = {}
    for pair in _pairs(scores):
        found.setdefault(tuple(place for _, place, _ in pair.ends), []).append(pair)
    return [(pairs[0].runs, pairs) for _, pairs in sorted(found.items())]


def _sides(
    pairs: list[_Pair], outcomes: Mapping[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is right in each image (images,) now and before: means over pairs, each of equal weight."""
    own = np.mean([image_means(pair.own, outcomes) for pair in pairs], axis=0)
    return np.asarray(own), np.asarray(np.mean([image_means(pair.base, outcomes) for pair in pairs], axis=0))


def _by_corruption(grid: Grid, pair: _Pair) -> NDArray[np.float64]:
    """Return (corruptions,): now - was, means over severities and checkpoints."""
    own, base = (grid.of(part["checkpoint"]).means[:, :, 0].mean(axis=0) for part in (pair.own, pair.base))
    return np.asarray(own - base)


def _change(grid: Grid, pair: _Pair) -> dict[str, Any]:
    by_corruption = _by_corruption(grid, pair)
    worst = grid.counted[int(np.nanargmin(by_corruption[grid.counted]))]
    return {
        "architecture": pair.facts["architecture"],
        "activation": pair.ends[0][0],
        "name": pair.facts["name"],
        "left_out": pair.left_out,
        **pair.runs,
        "was": pair.base["mca"].mean(),
        "now": pair.own["mca"].mean(),
        **{name: pair.change(name) for name in ("clean", "mca", *group_columns(pair.own))},
        "lost": grid.corruptions["corruption"][worst],
        "lost_change": by_corruption[worst],
    }
