"""What must not fall, declared before it is measured."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from corruptions.toml_files import read_toml
from robustbench_act.errors import InputError
from robustbench_act.metrics import CELL_METRICS, METRICS, Metric
from robustbench_act.option_kinds import is_number
from robustbench_act.paths import expand
from robustbench_act.records import group_label

FORMER_ALL = "all"
CORRUPTIONS = "corruptions"
"""The group of a rule over all corruptions, input shifts apart."""
EACH = "each"
"""The group of a rule on every one of these by itself: the worst one counts."""

Unit = Literal["weights", "training"]
UNITS: tuple[Unit, ...] = ("weights", "training")
"""What is paired: a checkpoint with itself, over images; or an activation with itself, over trainings too."""

GATE_LEVEL = 0.0005
TRAINING_LEVEL = 0.005
"""Chances that a check of equal networks, or of equal recipes, fails."""
TOLERANCE = 0.3
RULE_METRICS = ("accuracy", *CELL_METRICS)


@dataclass(frozen=True)
class Rule:
    """One number of every checkpoint, or activation.

    Attributes
    ----------
    metric
        "accuracy", which is known image by image, or another metric of cells (see `RULE_METRICS`), which
        is known network by network: with the unit weights it has its tolerance alone.
    group
        "corruptions" (those of `records.headline`), "each" of them, "clean", or a group; "shift" are the
        input shifts.
    tolerance
        How far it may get worse, in the metric's unit as shown (points for shares).
    margin
        It counts as kept if it is surely no worse than this; None where nothing is proposed.
    """

    metric: str = "accuracy"
    group: str = CORRUPTIONS
    tolerance: float = TOLERANCE
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in RULE_METRICS:
            raise InputError(f"Expected a metric of cells ({', '.join(RULE_METRICS)}), got {self.metric!r}.")
        if not is_number(self.tolerance) or not 0 <= self.tolerance < math.inf:
            raise InputError(f"Expected a tolerance of 0 or more, got {self.tolerance!r}.")
        if self.margin is not None and not (is_number(self.margin) and self.margin > 0):
            raise InputError(f"Expected a margin above 0, got {self.margin!r}.")
        if self.margin is not None and self.margin < self.tolerance:
            raise InputError(
                f"Expected a margin of at least the tolerance, {self.tolerance:g}, got {self.margin:g}."
            )
        if self.group == EACH and self.metric != "accuracy":
            raise InputError(f"Expected metric 'accuracy' for the group {EACH!r}, got {self.metric!r}.")

    @property
    def declared(self) -> Metric:
        """What the metric is."""
        return METRICS[self.metric]

    @property
    def by_image(self) -> bool:
        """Whether there are numbers of single images."""
        return self.metric == "accuracy"

    def __str__(self) -> str:
        where = {"clean": "clean images", EACH: "single corruptions"}.get(self.group, group_label(self.group))
        return f"{self.metric} on {where}"


@dataclass(frozen=True)
class Rules:
    """All rules of a gate.

    Attributes
    ----------
    rules
        Each is a line for every checkpoint or activation. None: the usual ones (see `proposals`).
    level
        Chance that a check fails though nothing is worse than its tolerance: over all tests together. None:
        that of the unit.
    """

    rules: tuple[Rule, ...] = ()
    level: float | None = None

    def __post_init__(self) -> None:
        names = [str(rule) for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"Expected each rule once, got {name!r} twice.")
        if self.level is not None and not (is_number(self.level) and 0 < self.level < 0.5):
            raise InputError(f"Expected a level between 0 and 0.5, got {self.level!r}.")


def read_rules(path: str | Path) -> Rules:
    """Read rules from TOML: an optional `level`, and a [[rule]] with metric, group, tolerance and margin.

    Raises InputError if the file is missing, is not TOML, or has an unknown key or value.
    """
    found = read_toml(expand(path), what="rules")
    try:
        return parse_rules(found)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse_rules(found: Any) -> Rules:
    """Return the rules that a mapping `level`, `rule` means, as a TOML file has it."""
    _check_keys(found, {"level", "rule"})
    entries = found.get("rule", [])
    if not isinstance(entries, list):
        raise InputError("Expected [[rule]] tables.")
    if "rule" in found and not entries:
        raise InputError("Expected at least one rule.")
    for entry in entries:
        _check_keys(entry, {"metric", "group", "tolerance", "margin"})
        if not isinstance(entry.get("group", ""), str):
            raise InputError(f"Expected the name of a group of corruptions, got {entry['group']!r}.")
        if entry.get("group") == FORMER_ALL:
            raise InputError(
                f"Expected group {CORRUPTIONS!r}, got its former name {FORMER_ALL!r}, which counted input "
                f"shifts too. Write {CORRUPTIONS!r}, and renew the baseline: "
                "actrobust baseline RUN -o FILE --rules RULES"
            )
    return Rules(tuple(Rule(**entry) for entry in entries), found.get("level"))


def _check_keys(found: Any, known: set[str]) -> None:
    if not isinstance(found, dict):
        raise InputError(f"Expected a table of {', '.join(sorted(known))}, got {found!r}.")
    unknown = sorted(set(found) - known)
    if unknown:
        raise InputError(f"Expected {', '.join(sorted(known))}, got {unknown[0]!r}.")
