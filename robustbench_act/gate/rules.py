"""What must not fall, declared before it is measured."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustbench_act.errors import InputError
from robustbench_act.metrics import CELL_METRICS, METRICS, Metric
from robustbench_act.option_kinds import is_number
from robustbench_act.paths import expand
from robustbench_act.records import group_label

FORMER_ALL = "all"
CORRUPTIONS = "corruptions"
"""The group of a rule over all corruptions, input shifts apart."""

GATE_LEVEL = 0.0005
TOLERANCE = 0.3
RULE_METRICS = ("accuracy", *CELL_METRICS)


@dataclass(frozen=True)
class Rule:
    """One number of every checkpoint.

    Attributes
    ----------
    metric
        "accuracy", which is tested image by image, or another metric of cells (see `RULE_METRICS`), which
        has its tolerance alone.
    group
        "corruptions" (those of `records.headline`), "clean", or a group; "shift" are the input shifts.
    tolerance
        How far it may get worse, in the metric's unit as shown (points for shares).
    """

    metric: str = "accuracy"
    group: str = CORRUPTIONS
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if self.metric not in RULE_METRICS:
            raise InputError(f"Expected a metric of cells ({', '.join(RULE_METRICS)}), got {self.metric!r}.")
        if not is_number(self.tolerance) or not 0 <= self.tolerance < math.inf:
            raise InputError(f"Expected a tolerance of 0 or more, got {self.tolerance!r}.")

    @property
    def declared(self) -> Metric:
        """What the metric is."""
        return METRICS[self.metric]

    @property
    def tested(self) -> bool:
        """Whether there are numbers of single images to tell a drop from noise."""
        return self.metric == "accuracy"

    def __str__(self) -> str:
        where = "clean images" if self.group == "clean" else group_label(self.group)
        return f"{self.metric} on {where}"


@dataclass(frozen=True)
class Rules:
    """All rules of a gate.

    Attributes
    ----------
    rules
        Each is a test for every checkpoint.
    level
        Chance that a check of models as good as the baseline's fails: Holm's over all tests.
    """

    rules: tuple[Rule, ...] = (Rule(),)
    level: float = GATE_LEVEL

    def __post_init__(self) -> None:
        if not self.rules:
            raise InputError("Expected at least one rule.")
        names = [str(rule) for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"Expected each rule once, got {name!r} twice.")
        if not is_number(self.level) or not 0 < self.level < 0.5:
            raise InputError(f"Expected a level between 0 and 0.5, got {self.level!r}.")


DEFAULT_RULES = Rules()


def read_rules(path: str | Path) -> Rules:
    """Read rules from TOML: an optional `level`, and a [[rule]] with metric, group and tolerance for each.

    Raises InputError if the file is missing, is not TOML, or has an unknown key or value.
    """
    try:
        found = tomllib.loads(expand(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: is no TOML ({error}).") from error
    try:
        return parse_rules(found)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse_rules(found: Any) -> Rules:
    """Return the rules that a mapping `level`, `rule` means, as a TOML file has it."""
    _check_keys(found, {"level", "rule"})
    entries = found.get("rule", [{}])
    if not isinstance(entries, list):
        raise InputError("Expected [[rule]] tables.")
    for entry in entries:
        _check_keys(entry, {"metric", "group", "tolerance"})
        if not isinstance(entry.get("group", ""), str):
            raise InputError(f"Expected the name of a group of corruptions, got {entry['group']!r}.")
        if entry.get("group") == FORMER_ALL:
            raise InputError(
                f"Expected group {CORRUPTIONS!r}, got its former name {FORMER_ALL!r}, which counted input "
                f"shifts too. Write {CORRUPTIONS!r}, and renew the baseline: "
                "actrobust baseline RUN -o FILE --rules RULES"
            )
    return Rules(tuple(Rule(**entry) for entry in entries), found.get("level", GATE_LEVEL))


def _check_keys(found: Any, known: set[str]) -> None:
    if not isinstance(found, dict):
        raise InputError(f"Expected a table of {', '.join(sorted(known))}, got {found!r}.")
    unknown = sorted(set(found) - known)
    if unknown:
        raise InputError(f"Expected {', '.join(sorted(known))}, got {unknown[0]!r}.")
