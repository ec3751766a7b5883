"""What moved between two runs beyond chance: the same images, checkpoint by checkpoint."""

import html
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustbench_act.comparability import compare_setups
from robustbench_act.errors import InputError
from robustbench_act.metrics import AXES, COHORT, PAIR, image_accuracy, image_scores, joint_pairs
from robustbench_act.records import CELL, RunData, corrupted, outcomes, succeeded
from robustbench_act.statistics import Comparison, Joint, compare_images, compare_outcomes, holm

LEVEL = 0.05
_TESTED = ["difference", "low", "high", "p", "adjusted", "effect", "effect_name", "test", "pairs", "note"]


@dataclass(frozen=True, eq=False)
class RunComparison:
    """B against A: every difference is B - A, a share (1 is 100 points).

    Attributes
    ----------
    checkpoints
        A row for each pair of checkpoints: checkpoint (A's name), other (B's), architecture, activation,
        normalization, a and b (accuracy over those cells of `records.headline` that both have), then the
        paired test over images: difference, low, high, p, adjusted (Holm over the rows), effect, effect_name,
        test, pairs, note.
    activations
        A row for each activation with its normalisation that both runs have, if one has several networks of
        it: architecture, activation, normalization, a, b (means over all its networks), then the joint
        analysis over trainings and images, `robustbench_act.metrics.PAIR`. Networks need not have the same
        name or training seed in both.
    cells
        A row for each pair and cell, the clean one too: checkpoint, other, table, corruption, group,
        severity, a, b, then McNemar's test, as above, Holm over all rows; ranked: the surest first, of equals
        the largest.
    notes
        What was left out, and what differs if unlike runs were forced together.
    """

    checkpoints: pd.DataFrame
    activations: pd.DataFrame
    cells: pd.DataFrame
    notes: tuple[str, ...]

    def moved(self) -> pd.DataFrame:
        """Return the cells that moved beyond chance: adjusted p below 0.05."""
        return self.cells[self.cells["adjusted"] < LEVEL]

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{note}</p>" for note in map(html.escape, self.notes))
        parts = ((name, getattr(self, name)) for name in ("checkpoints", "activations"))
        tables = "".join(f"<h4>{name}</h4>{table.to_html()}" for name, table in parts if len(table))
        return f"{notes}{tables}<h4>cells beyond chance</h4>{self.moved().to_html()}"


def compare_runs(a: RunData, b: RunData, *, force: bool = False) -> RunComparison:
    """Compare two runs on the same images and corruptions.

    Checkpoints are paired by name, or with each other if each run has a single one; activations with several
    networks are compared over all of them. Raises InputError if the runs differ in their corruptions,
    severities, seed or preprocessing (the difference is named), or have nothing in common. Other images
    cannot be paired: they are never compared.

    Parameters
    ----------
    force
        Compare unlike runs too, on the cells that both have; the differences become notes.
    """
    pairs = _pairs(a, b)
    verdict = compare_setups(a, b, pairs=pairs)
    if refusal := verdict.refusal(f"{a.path} and {b.path}", forced=force):
        raise InputError(refusal if verdict.images else f"{refusal} --force compares them.")
    notes = [f"unlike runs: {difference}" for difference in verdict.unlike]
    notes += [f"not compared one by one: {phrase}" for phrase in verdict.unpaired]
    good = [succeeded(run.cells) for run in (a, b)]
    whole = [set(cells["checkpoint"]) for cells in good]
    kept = [(one, other) for one, other in pairs if one in whole[0] and other in whole[1]]
    notes += [f"not compared: checkpoint {pair[0]!r} failed" for pair in pairs if pair not in kept]
    activations = _by_activation(*good)
    if not pairs and activations.empty:
        names = "no checkpoint has the same name in both, and no activation with several networks is in both"
        raise InputError(f"{a.path} and {b.path}: {names}.")
    tables = [_Pair(pair, good[0], good[1]) for pair in kept]
    return RunComparison(
        checkpoints=_tested([rows.overall() for rows in tables]),
        activations=activations,
        cells=_ranked(_tested([row for rows in tables for row in rows.by_cell()])),
        notes=tuple(notes),
    )


class _Pair:
    """Two checkpoints on the cells that both have."""

    def __init__(self, names: tuple[str, str], a: pd.DataFrame, b: pd.DataFrame) -> None:
        self.names = {"checkpoint": names[0], "other": names[1]}
        own, other = _once(a[a["checkpoint"] == names[0]]), _once(b[b["checkpoint"] == names[1]])
        common = own.index.intersection(other.index, sort=False)
        if not (own.loc[common, "severity"] > 0).any():
            raise InputError(f"{names[0]} and {names[1]}: no corrupted cell is in both runs.")
        self.a, self.b = own.loc[common], other.loc[common]

    def overall(self) -> dict[str, Any]:
        """Return the row over the cells of `records.headline`."""
        facts = {name: self.a[name].iloc[0] for name in (*COHORT, *AXES) if name in self.a}
        bad = (self.a["severity"] > 0).to_numpy()
        x, y = image_accuracy(self.a[bad]), image_accuracy(self.b[bad])
        return {**self.names, **facts, "a": x.mean(), "b": y.mean(), **_columns(compare_images(y, x))}

    def by_cell(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each cell."""
        names = ["table", "corruption", "group", "severity"]
        values = zip(self.a[names].to_numpy(), outcomes(self.a), outcomes(self.b), strict=True)
        for cell, x, y in values:
            facts = dict(zip(names, cell, strict=True))
            yield {**self.names, **facts, "a": x.mean(), "b": y.mean(), **_columns(compare_outcomes(y, x))}


def _pairs(a: RunData, b: RunData) -> list[tuple[str, str]]:
    ours, theirs = ([entry.name for entry in run.info.checkpoints] for run in (a, b))
    if len(ours) == len(theirs) == 1:
        return [(ours[0], theirs[0])]
    return [(name, name) for name in ours if name in theirs]


def _by_activation(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Compare each activation that is in both runs, and in one several times, over all its networks."""
    cells = {name: _common(*both) for name, both in (("a", (a, b)), ("b", (b, a)))}
    images = {name: image_scores(own) for name, own in cells.items()}
    firsts = {name: own.drop_duplicates("checkpoint") for name, own in cells.items()}
    keys = [*COHORT, *(axis for axis in AXES if all(_records(own, axis) for own in firsts.values()))]
    cohorts = {name: dict(list(own.groupby(keys, sort=False))) for name, own in firsts.items()}
    both = [
        key
        for key, own in cohorts["a"].items()
        if key in cohorts["b"] and max(len(own), len(cohorts["b"][key])) > 1
    ]
    if not both or not all(images.values()):  # no outcomes, or no corrupted cell that both have
        return pd.DataFrame(columns=[*COHORT, *AXES, "a", "b", *PAIR])
    values, seeds = {}, {}
    for name, known in images.items():
        for place, key in enumerate(both):
            rows = cohorts[name][key]
            values[f"{name}{place}"] = np.array([(known or {})[one] for one in rows["checkpoint"]])
            seeds[f"{name}{place}"] = rows["training_seed"].tolist()
    joint = Joint.of(values, seeds)
    found = joint_pairs([(joint, f"b{place}", f"a{place}") for place in range(len(both))])
    means = dict(zip(joint.names, joint.means.tolist(), strict=True))
    shown = {"a": found["b"].map(means), "b": found["a"].map(means)}
    facts = pd.DataFrame(both, columns=keys).reindex(columns=[*COHORT, *AXES], fill_value="")
    return facts.assign(**shown).join(found[list(PAIR)])


def _records(checkpoints: pd.DataFrame, axis: str) -> bool:
    """Tell whether a run records an axis of all its checkpoints; older ones do not."""
    return axis in checkpoints and bool((checkpoints[axis] != "").all())


def _common(cells: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that another run has too."""
    return cells[pd.MultiIndex.from_frame(cells[CELL]).isin(pd.MultiIndex.from_frame(other[CELL]))]


def _once(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the clean cell and each corrupted one once, by source, corruption and severity."""
    whole = pd.concat([cells[cells["severity"] == 0].iloc[:1], corrupted(cells)], ignore_index=True)
    return whole.set_index(["table", "corruption", "severity"], drop=False).rename_axis([None, None, None])


def _columns(found: Comparison) -> dict[str, Any]:
    facts = asdict(found)
    low, high = facts.pop("interval")
    return {**facts, "low": low, "high": high}


def _tested(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    if table.empty:
        return pd.DataFrame(columns=_TESTED)
    table["adjusted"] = holm(table["p"])
    return table[[*[name for name in table if name not in _TESTED], *_TESTED]]


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    if table.empty:
        return table
    size = -table["difference"].abs()
    order = table.assign(size=size).sort_values(["adjusted", "size"], kind="stable").index
    return table.loc[order].reset_index(drop=True)
