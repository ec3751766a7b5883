"""Rules and margins for a run that declares none.

A margin that is proposed is what this many images or seeds show 4 times in 5 if nothing was lost: "no worse
than that". A smaller one needs more of them.
"""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.special import ndtri, stdtrit

from robustbench_act.errors import InputError
from robustbench_act.gate.rules import CORRUPTIONS, EACH, GATE_LEVEL, TRAINING_LEVEL, Rule, Rules, Unit
from robustbench_act.gate.scores import Networks, scores, tables
from robustbench_act.gate.units import members
from robustbench_act.gate.weights import SURE
from robustbench_act.records import SHIFT, RunData, headline_groups, ordered_groups
from robustbench_act.statistics import Joint, drop_bound
from robustbench_act.statistics.intervals import CONFIDENCE
from robustbench_act.statistics.joint import POWER


def settled(run: RunData, unit: Unit, rules: Rules | None, margin: float | None) -> Rules:
    """Return rules with a level, and a margin for each that can have one.

    Without rules: accuracy on all corruptions, on each group of them and, for weights, on single ones; on
    the shifts if the run has nothing else. `margin` is that of all rules on accuracy.

    Raises InputError if a group is not in the run, or single corruptions are asked for with trainings.
    """
    present = ordered_groups(run.cells.loc[run.cells["severity"] > 0, "group"])
    groups = ["clean", *present] if present == [SHIFT] else [CORRUPTIONS, EACH, "clean", *present]
    chosen = rules.rules if rules and rules.rules else _usual(run, unit)
    for rule in chosen:
        if rule.group not in groups:
            raise InputError(
                f"{run.path}: has no group {rule.group!r} for a rule; it has {', '.join(groups)}."
            )
        if rule.group == EACH and unit == "training":
            raise InputError(f"Expected --unit weights for a rule on the group {EACH!r}, got training.")
    level = GATE_LEVEL if unit == "weights" else TRAINING_LEVEL
    single = scores(run.cells)
    networks = {name: [single[one] for one in own] for name, own in members(run.info, "training").items()}
    found = [_with_margin(rule, unit, networks, margin) for rule in chosen]
    return Rules(tuple(found), (rules and rules.level) or level)


def _usual(run: RunData, unit: Unit) -> list[Rule]:
    bad = run.cells[run.cells["severity"] > 0]
    groups = headline_groups(bad["group"])
    if groups == [SHIFT]:
        return [Rule(group=SHIFT)]
    corruptions = bad.loc[bad["group"].isin(groups), "corruption"].nunique()
    found = [Rule(), *(Rule(group=group) for group in groups if len(groups) > 1)]
    return [*found, Rule(group=EACH)] if unit == "weights" and corruptions > 1 else found


def _with_margin(rule: Rule, unit: Unit, networks: Networks, given: float | None) -> Rule:
    if rule.by_image and given is not None:
        return replace(rule, margin=given)
    if rule.margin is not None:
        return rule
    if unit == "training":
        shown = _shown_by_seeds(rule, networks)
    else:
        shown = _shown_by_images(rule, networks) if rule.by_image else math.nan
    if math.isnan(shown):
        return rule
    return replace(rule, margin=max(_rounded_up(rule.declared.scale * shown), rule.tolerance))


def _shown_by_seeds(rule: Rule, networks: Networks) -> float:
    """Return what new trainings, as many, of the same recipes are no worse than; NaN if each has one."""
    found = tables(networks, rule)
    joint = Joint.of(found)
    if math.isnan(joint.pooled):
        return math.nan
    counts = [len(table) for table in found.values()]
    least = float(np.nanmax(np.diag(joint.residual))) / joint.images if rule.by_image else 0.0
    error = math.sqrt(2 * max(joint.pooled, least) / max(counts))
    return float((stdtrit(2.0 * (sum(counts) - len(counts)), CONFIDENCE) + SURE) * error)


def _shown_by_images(rule: Rule, networks: Networks) -> float:
    """Return what changed networks that lost nothing are no worse than.

    They are taken to differ as much as two trainings of one activation, else as two activations; a single
    network as much as its images differ.
    """
    each = [[one.values(rule) for one in own] for own in networks.values()]
    pairs = [pair for own in each for pair in pairwise(own)] or list(pairwise([own[0] for own in each]))
    changes = [a - b for a, b in pairs] or each[0]
    images = changes[0].shape[1]
    errors = np.median([change.std(axis=1, ddof=1) for change in changes], axis=0) / math.sqrt(images)
    sure = float(ndtri(POWER ** (1 / len(errors))))  # of all rows together
    return float((drop_bound(0.0, errors, images) + sure * errors).max())


def _rounded_up(value: float) -> float:
    """Return a number, rounded up to two digits.

    >>> _rounded_up(0.4321), _rounded_up(4.31), _rounded_up(0.0)
    (0.44, 4.4, 0.0)
    """
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-9) * step:.3g}")
