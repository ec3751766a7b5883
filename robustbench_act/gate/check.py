"""Whether a run keeps a baseline's robustness, beyond tolerance and beyond noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from robustbench_act.comparability import compare_setups
from robustbench_act.english import count
from robustbench_act.errors import InputError
from robustbench_act.gate.baseline import Baseline
from robustbench_act.gate.rules import CORRUPTIONS, Rule
from robustbench_act.metrics import image_accuracy
from robustbench_act.records import RunData, corrupted, headline, succeeded
from robustbench_act.statistics import are_equal, drop_test, holm

_MOST = 3  # corruptions that a reason names


@dataclass(frozen=True, eq=False)
class Check:
    """What a check found.

    Attributes
    ----------
    table
        A row for each checkpoint and rule: checkpoint, rule (text), metric, group, baseline, value, worse
        (how much, positive is worse), tolerance, all in the metric's unit as shown (points for shares); p
        (one-sided), error (standard error of worse), reason ("" where it passed), adjusted (Holm over the
        tested rows), detectable (the smallest drop that could have failed). NaN where there is no test.
    """

    table: pd.DataFrame
    images: int
    level: float

    @property
    def passed(self) -> bool:
        """Whether nothing fell."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """A line for each thing that fell; a checkpoint that failed has one, whatever the rules."""
        return list(dict.fromkeys(reason for reason in self.table["reason"] if reason))

    @property
    def failures(self) -> int:
        """Number of checks that failed."""
        return int((self.table["reason"] != "").sum())

    @property
    def verdict(self) -> str:
        """One line: what held, and what would have been seen."""
        if not self.passed:
            return f"Robustness fell: {self.failures} of {count(len(self.table), 'check')} failed."
        text = f"Robustness kept: {count(len(self.table), 'check')} passed."
        seen = self.table.loc[self.table["error"] > 0, "detectable"]
        if seen.empty:
            return f"{text} No image changed." if self.table["p"].notna().any() else text
        low, high = f"{seen.min():.2f}", f"{seen.max():.2f}"
        range_ = low if low == high else f"{low} to {high}"
        return f"{text} A measured drop of accuracy beyond {range_} points would have failed."


def check(run: RunData, baseline: Baseline) -> Check:
    """Hold a run to a baseline: the same images, paired.

    A rule on accuracy fails where the mean drop is larger than its tolerance and the paired, one-sided t-test
    over the images rejects "no drop" at the baseline's level, Holm-corrected over checkpoints and rules.
    Other metrics have no numbers of single images: they fail beyond their tolerance. A checkpoint that failed
    in the run fails the check. Raises InputError if run and baseline are not about the same thing: images,
    suites, severities, seed, checkpoints, their networks or preprocessing; the differences are named.
    """
    verdict = compare_setups(run, baseline, places=("the run", "the baseline"))
    if refusal := verdict.refusal(f"{run.path} and the baseline", whole=True):
        raise InputError(refusal)
    failed = run.cells[run.cells["error"].notna()].drop_duplicates("checkpoint")
    broken = dict(zip(failed["checkpoint"], failed["error"], strict=True))
    before, after = _by_checkpoint(baseline.cells), _by_checkpoint(succeeded(run.cells))
    rows = []
    for name, own in before.items():
        for rule in baseline.rules.rules:
            if name in broken:
                rows.append(_row(name, rule, reason=f"{name}: failed: {broken[name]}"))
            else:
                rows.append(_measure(name, rule, own, after[name]))
    table = pd.DataFrame(rows)
    table["adjusted"] = holm(table["p"])
    tests = int(table["p"].notna().sum())
    level, images = baseline.rules.level, run.info.dataset.images
    table["detectable"] = np.maximum(
        table["tolerance"], stdtrit(images - 1, 1 - level / max(tests, 1)) * table["error"]
    )
    beyond_noise = table["p"].isna() | (table["adjusted"] < level)
    fell = ~(table["worse"] <= table["tolerance"]) & beyond_noise  # NaN is no number to pass with
    for index in table.index[fell & (table["reason"] == "")]:
        table.loc[index, "reason"] = _reason(table.loc[index], tests, before, after)
    return Check(table, images, level)


def _by_checkpoint(cells: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): rows for name, rows in cells.groupby("checkpoint", sort=False)}


def _measure(name: str, rule: Rule, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Any]:
    scale = rule.declared.scale
    if not rule.tested:
        old, new = _mean(before, rule), _mean(after, rule)
        sign = -1 if rule.declared.better == "higher" else 1
        worse = 0.0 if are_equal([old, new]) else scale * sign * (new - old)
        return _row(name, rule, scale * old, scale * new, worse=worse)
    first, second = (image_accuracy(_of_group(rows, rule.group)) for rows in (before, after))
    p, error = drop_test(first - second)
    means = scale * float(first.mean()), scale * float(second.mean())
    return _row(name, rule, *means, worse=scale * float((first - second).mean()), p=p, error=scale * error)


def _row(
    name: str,
    rule: Rule,
    before: float = np.nan,
    after: float = np.nan,
    *,
    worse: float = np.nan,
    p: float = np.nan,
    error: float = np.nan,
    reason: str = "",
) -> dict[str, Any]:
    facts = {"checkpoint": name, "rule": str(rule), "metric": rule.metric, "group": rule.group}
    numbers = {"baseline": before, "value": after, "worse": worse, "tolerance": float(rule.tolerance), "p": p}
    return {**facts, **numbers, "error": error, "reason": reason}


def _of_group(cells: pd.DataFrame, group: str) -> pd.DataFrame:
    if group == "clean":
        return cells[cells["severity"] == 0].iloc[:1]
    if group == CORRUPTIONS:
        return headline(cells)
    bad = corrupted(cells)
    return bad[bad["group"] == group]


def _mean(cells: pd.DataFrame, rule: Rule) -> float:
    by_corruption = _of_group(cells, rule.group).groupby("corruption")[rule.metric].mean()
    return float(by_corruption.mean())


def _reason(
    row: "pd.Series[Any]", tests: int, before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame]
) -> str:
    declared = Rule(row["metric"], row["group"]).declared
    unit = f" {declared.unit}".replace(" %", "%")
    text = (
        f"{row['checkpoint']}: {row['rule']} got worse by {row['worse']:.2f} {declared.shown_unit} "
        f"({row['baseline']:.2f}{unit} to {row['value']:.2f}{unit}), tolerance {row['tolerance']:g}"
    )
    if pd.notna(row["p"]):
        text += f", p = {row['adjusted']:.1g} (Holm over {tests} test{'s' if tests > 1 else ''})"
    if row["metric"] == "accuracy" and row["group"] != "clean":
        own, other = (_of_group(cells[row["checkpoint"]], row["group"]) for cells in (before, after))
        text += f"; most: {', '.join(_worst(own, other))}"
    return text


def _worst(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[str]:
    means = [cells.groupby("corruption")["accuracy"].mean() for cells in (before, after)]
    lost = (means[0] - means[1]).sort_values(ascending=False, kind="stable")
    for corruption, drop in lost.head(_MOST).items():
        if drop > 0:
            yield f"{corruption} {-100 * drop:.1f}"
