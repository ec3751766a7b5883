"""Whether a run keeps a baseline's robustness: fell, kept or undecided, line by line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd

from robustbench_act.comparability import Measured
from robustbench_act.english import count, upper_first
from robustbench_act.errors import InputError
from robustbench_act.gate.baseline import Baseline
from robustbench_act.gate.lines import Line, Verdict
from robustbench_act.gate.rules import EACH, Rule, Unit
from robustbench_act.gate.scores import Networks, Scores, scores, tables
from robustbench_act.gate.training import training_lines
from robustbench_act.gate.units import members, refusal, same_weights
from robustbench_act.gate.weights import weights_lines
from robustbench_act.records import RunData
from robustbench_act.statistics import holm

_MOST = 3  # corruptions that a line names


@dataclass(frozen=True, eq=False)
class Check:
    """What a check found.

    Attributes
    ----------
    table
        A row for each line: against (baseline, anchor), name (a checkpoint or an activation), rule (text),
        metric, group, corruption (of a rule on single ones), baseline, value, worse (positive is worse),
        tolerance, margin, error (standard error of worse), bound (its upper 95 % bound), all in the metric's
        unit as shown (points for shares); p (one-sided: not worse than the tolerance), adjusted (for all
        tests of the check), verdict (fell, kept, undecided), seeds_before, seeds_after, text. NaN where there
        is no test.
    created
        When the baseline's run was made, and the anchor's.
    prove
        Whether undecided lines fail the check.
    """

    table: pd.DataFrame
    images: int
    level: float
    unit: Unit
    created: Mapping[str, str]
    prove: bool = False

    def amount(self, verdict: Verdict) -> int:
        """Return the number of lines with a verdict."""
        return int((self.table["verdict"] == verdict).sum())

    @property
    def verdict(self) -> Verdict:
        """That of the whole check: fell if a line fell, kept if all are kept."""
        return "fell" if self.amount("fell") else "undecided" if self.amount("undecided") else "kept"

    @property
    def passed(self) -> bool:
        """Whether nothing fell; with `prove`, whether everything is kept."""
        return self.verdict == "kept" or (self.verdict == "undecided" and not self.prove)

    @property
    def failures(self) -> "pd.Series[bool]":
        """(lines,): which lines fail the check."""
        failing = ["fell", "undecided"] if self.prove else ["fell"]
        return self.table["verdict"].isin(failing)

    @property
    def reasons(self) -> list[str]:
        """The text of each line that fails; a network that failed has one, whatever the rules."""
        return list(dict.fromkeys(self.table.loc[self.failures, "text"]))

    @property
    def sentence(self) -> str:
        """One line: the verdict, and what is sure of the lines that did not fall."""
        fell, kept, undecided = (self.amount(name) for name in ("fell", "kept", "undecided"))
        total, first = count(len(self.table), "line"), self.table.iloc[0]
        bound = self.table.loc[self.table["rule"] == first["rule"], "bound"].max()
        sure = "" if pd.isna(bound) else f" {upper_first(first['rule'])}: no worse than {max(bound, 0):.2f} "
        sure += "" if pd.isna(bound) else "points (95 % each line)."
        if fell:
            return f"Robustness fell: {fell} of {total} fell, {kept} kept, {undecided} undecided."
        if undecided:
            return f"Undecided: nothing fell, {kept} of {total} kept, {undecided} undecided.{sure}"
        return f"Robustness kept: {total}.{sure}"


def check(run: RunData, baseline: Baseline, *, anchor: Baseline | None = None, prove: bool = False) -> Check:
    """Hold a run to a baseline, and to an older one, the anchor: the same images, paired.

    What is paired, checkpoints or activations, is the baseline's `unit`. A line *fell* if its loss is more
    than its tolerance at the baseline's level, corrected for all tests of the check; it is *kept* if the
    upper 95 % bound of its loss is below its margin. A network that failed in the run fails its lines.

    Raises InputError if run and baseline are not about the same thing: images, suites, severities, seed,
    checkpoints or activations, their architecture or preprocessing; the differences are named.
    """
    sides = {"baseline": baseline} | ({} if anchor is None else {"anchor": anchor})
    if anchor is not None and anchor.unit != baseline.unit:
        raise InputError(
            f"Expected an anchor with the unit {baseline.unit}, that of the baseline, got {anchor.unit}. "
            f"Renew one of them: actrobust baseline RUN -o FILE --unit {baseline.unit}"
        )
    for against, one in sides.items():
        who = f"{run.path} and the {against}"
        if text := refusal(run, one, baseline.unit, who=who, place=f"the {against}"):
            raise InputError(text)
    level = min(one.rules.level for one in sides.values() if one.rules.level is not None)
    after, errors = _networks(run, baseline.unit)
    lines: list[Line] = []
    means: dict[str, tuple[Networks, Networks]] = {}
    for against, one in sides.items():
        before, _ = _networks(one, one.unit)
        rules = one.rules.rules
        lines += [
            Line(against=against, name=name, rule=rule, broken=error)
            for name, error in errors.items()
            for rule in rules
        ]
        whole = {name: networks for name, networks in before.items() if name not in errors}
        for rule in rules:
            pair = tables(whole, rule), tables(after, rule)
            if one.unit == "training":
                lines += training_lines(against, rule, *pair)
            else:
                lines += weights_lines(
                    against,
                    rule,
                    *pair,
                    corruptions=_rows(rule, whole),
                    same=same_weights(run.info, one.info),
                    flips=ceil(4 * (1 + len(sides)) / level),
                )
        means[against] = (before, after)
    order = {name: place for place, name in enumerate(members(run.info, baseline.unit))}
    lines.sort(key=lambda line: (line.against == "anchor", order[line.name]))
    table = decided(lines, level, means)
    created = {against: one.info.created for against, one in sides.items()}
    return Check(table, run.info.dataset.images, level, baseline.unit, created, prove)


def decided(
    lines: Sequence[Line], level: float, networks: Mapping[str, tuple[Networks, Networks]] | None = None
) -> pd.DataFrame:
    """Return the table of a check: its lines with their verdicts and texts.

    Parameters
    ----------
    level
        Of all tests together: Holm's correction over the lines, and the rules on single corruptions, which
        have their own correction, take equal parts of it.
    networks
        Of each side, before and after: for the corruptions that lost most.
    """
    p = np.array([line.p for line in lines])
    apart = np.array([line.rule.group == EACH for line in lines])
    own = {line.against for line in lines if line.rule.group == EACH and line.tested}
    tests = int((~np.isnan(p) & ~apart).sum())
    families = len(own) + (tests > 0)
    adjusted = np.minimum(np.where(apart, p, holm(np.where(apart, np.nan, p))) * max(families, 1), 1)
    share = level / max(families, 1) / max(tests, 1)
    rows = []
    for line, value in zip(lines, adjusted.tolist(), strict=True):
        verdict = line.verdict(value, level)
        most = ""
        if verdict == "fell" and networks is not None and not line.broken:
            most = _most(line, *networks[line.against])
        text = line.text(verdict, adjusted=value, tests=tests, share=share, most=most)
        rows.append({**line.row(), "adjusted": value, "verdict": verdict, "text": text})
    return pd.DataFrame(rows)


def _rows(rule: Rule, networks: Networks) -> Sequence[str]:
    """Return the names of the rows of `Scores.values`."""
    for own in networks.values():
        return list(own[0].accuracies(EACH).index) if rule.group == EACH else [""]
    return [""]


def _networks(measured: Measured, unit: Unit) -> tuple[Networks, dict[str, str]]:
    """Return the networks of each line that did not fail, and the errors of those that did."""
    found = scores(measured.cells)
    failed = measured.cells[measured.cells["error"].notna()].drop_duplicates("checkpoint")
    errors = dict(zip(failed["checkpoint"], failed["error"], strict=True))
    networks: dict[str, list[Scores]] = {}
    broken = {}
    for name, own in members(measured.info, unit).items():
        bad = [checkpoint for checkpoint in own if checkpoint in errors]
        if bad:
            broken[name] = str(errors[bad[0]]) if unit == "weights" else f"{bad[0]}: {errors[bad[0]]}"
        else:
            networks[name] = [found[checkpoint] for checkpoint in own]
    return networks, broken


def _most(line: Line, before: Networks, after: Networks) -> str:
    """Return the corruptions that lost most accuracy, with their losses in points."""
    if not line.rule.by_image or line.rule.group in (EACH, "clean"):
        return ""
    means = [
        pd.concat([one.accuracies(line.rule.group) for one in side[line.name]], axis=1).mean(axis=1)
        for side in (before, after)
    ]
    lost = (means[0] - means[1]).sort_values(ascending=False, kind="stable").head(_MOST)
    return ", ".join(f"{name} {-100 * drop:.1f}" for name, drop in lost.items() if drop > 0)
