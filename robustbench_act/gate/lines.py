"""A line of a check: one number before and after, what is sure of it, and in which words."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from robustbench_act.gate.rules import EACH, Rule

Verdict = Literal["fell", "kept", "undecided"]
NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class Line:
    """One rule of one checkpoint or activation. Numbers are in the metric's unit as shown: points for shares.

    Attributes
    ----------
    against
        "baseline" or "anchor".
    name
        Of the checkpoint, or the activation.
    corruption
        The one that a rule on single corruptions is about: the most certain drop.
    before, after
        The baseline's value and the run's.
    worse
        How much worse it got; negative is better.
    error
        Standard error of `worse`: over images, or over trainings and images.
    bound
        Upper 95 % bound of `worse`: no worse than that. Of a rule on single corruptions: of all of them.
    p
        One-sided p-value of "not worse than the tolerance".
    networks
        Of the baseline and of the run.
    broken
        The error of a network that failed.
    note
        Why there is no test.
    needs
        From the level of a single test to what would decide: how many images or seeds.
    """

    against: str
    name: str
    rule: Rule
    corruption: str = ""
    before: float = NAN
    after: float = NAN
    worse: float = NAN
    error: float = NAN
    bound: float = NAN
    p: float = NAN
    networks: tuple[int, int] = (1, 1)
    broken: str = ""
    note: str = ""
    needs: Callable[[float], str] | None = field(default=None, compare=False, repr=False)

    @property
    def tested(self) -> bool:
        """Whether more is known than the two values."""
        return not math.isnan(self.p)

    def verdict(self, adjusted: float, level: float) -> Verdict:
        """Return what is sure: *fell* beyond the tolerance, *kept* within the margin, or neither.

        `adjusted` is p, corrected for all tests of the check. A number without a test fell if it is worse
        than the tolerance, and is kept otherwise; with trainings that cannot be tested it is undecided.
        """
        if self.broken or (math.isnan(self.worse) and not self.note):
            return "fell"
        if self.tested:
            if adjusted < level:
                return "fell"
            margin = self.rule.margin
            return "kept" if margin is not None and self.bound < margin else "undecided"
        if self.note:
            return "undecided"
        return "fell" if self.worse > self.rule.tolerance else "kept"

    def row(self) -> dict[str, Any]:
        """Return its row of `Check.table`, as far as it is known before all tests are."""
        return {
            "against": self.against,
            "name": self.name,
            "rule": str(self.rule),
            "metric": self.rule.metric,
            "group": self.rule.group,
            "corruption": self.corruption,
            "baseline": self.before,
            "value": self.after,
            "worse": self.worse,
            "tolerance": float(self.rule.tolerance),
            "margin": NAN if self.rule.margin is None else float(self.rule.margin),
            "error": self.error,
            "bound": self.bound,
            "p": self.p,
            "seeds_before": self.networks[0],
            "seeds_after": self.networks[1],
        }

    @property
    def bound_text(self) -> str:
        """What is sure of the loss: "no worse than 1.80 points (95 %)"; "" without a test."""
        if math.isnan(self.bound):
            return ""
        unit = self.rule.declared.shown_unit
        which = "no corruption is worse by more than" if self.rule.group == EACH else "no worse than"
        if self.bound < 0 and self.rule.group != EACH:
            return f"at least {-self.bound:.2f} {unit} better (95 %)"
        return f"{which} {max(self.bound, 0.0):.2f} {unit} (95 %)"

    @property
    def change_text(self) -> str:
        """What was measured: "0.60 points worse (76.91% to 76.31%)"."""
        unit = self.rule.declared.unit
        tail = f" {unit}".replace(" %", "%") if unit else ""
        if abs(self.worse) < 0.005:
            return f"unchanged at {self.after:.2f}{tail}"
        way = "worse" if self.worse > 0 else "better"
        values = f"({self.before:.2f}{tail} to {self.after:.2f}{tail})"
        return f"{abs(self.worse):.2f} {self.rule.declared.shown_unit} {way} {values}"

    def text(self, verdict: Verdict, *, adjusted: float, tests: int, share: float, most: str = "") -> str:
        """Return the line in words.

        Parameters
        ----------
        tests, share
            How many Holm's correction is over; the level of one of them.
        most
            The corruptions that lost most.
        """
        if self.broken:
            return f"{self.name}: failed: {self.broken}"
        against = ", against the anchor," if self.against == "anchor" else ""
        what, at = f"{self.name}: {self.rule}{against}", f" on {self.corruption}" if self.corruption else ""
        margin = self.rule.margin
        parts = [f"{what} {verdict}"]
        if verdict == "fell":
            parts = [f"{what} fell: {self.change_text}{at}, tolerance {self.rule.tolerance:g}"]
            if self.tested:
                family = "of all corruptions" if self.rule.group == EACH else f"Holm over {tests}"
                parts = [f"{parts[0]}, p = {adjusted:.1g} ({family})", self.bound_text]
            return "; ".join([*parts, *([f"most: {most}"] if most else [])])
        if self.tested:
            sure = "" if margin is None else f", margin {margin:g}"
            parts = [f"{what} {verdict}: {self.bound_text}{sure}"]
        parts += [] if math.isnan(self.worse) else [f"measured {self.change_text}{at}"]
        parts += [self.note] if self.note else []
        if verdict == "undecided" and self.needs is not None:
            parts += [self.needs(share)]
        return "; ".join(parts)
