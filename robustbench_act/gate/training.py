"""The unit "training": an activation against itself, over trainings and images.

A retrained network differs from its predecessor by chance, on all images at once. So both sides have several
training seeds, and all activations of both go into one joint analysis (see `statistics.joint`), in which they
lend each other strength.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
from scipy.special import stdtr, stdtrit

from robustbench_act.gate.lines import Line
from robustbench_act.gate.rules import Rule
from robustbench_act.gate.weights import SURE
from robustbench_act.statistics import Joint
from robustbench_act.statistics.intervals import CONFIDENCE, Floats

_BEFORE, _AFTER = "baseline: ", "run: "
_MOST_SEEDS = 1000


def training_lines(
    against: str, rule: Rule, before: Mapping[str, Floats], after: Mapping[str, Floats]
) -> list[Line]:
    """Return the lines of a rule, one for each activation.

    `before` and `after` are for each activation (networks, images); (networks, 1) of a metric that is not
    known image by image.
    """
    joint = joint_of(before, after, by_image=rule.by_image) if before else None
    return [_line(against, name, rule, joint) for name in before] if joint else []


def joint_of(before: Mapping[str, Floats], after: Mapping[str, Floats], *, by_image: bool) -> Joint:
    """Return the joint analysis of both sides' networks; every network counts as trained by itself.

    Equal seeds on both sides are not paired: what a seed does is not the same if the recipe changed.
    """
    both = {_BEFORE + name: table for name, table in before.items()}
    both |= {_AFTER + name: table for name, table in after.items()}
    if by_image:
        return Joint.of(both)
    none = np.zeros((len(both), len(both)))  # only the trainings are drawn
    tables = [table[:, 0] for table in both.values()]
    return Joint(tuple(both), 2, tables, blocked=False, over_images=none, residual=none)


def p_and_bound(joint: Joint, name: str, *, sign: int, tolerance: float) -> tuple[float, float, float, str]:
    """Return p of "not worse than the tolerance", standard error and 95 % upper bound of the loss, a note.

    `sign` is 1 if higher is better. All but the note are NaN if one side has one training seed.
    """
    pair = joint.compare(_BEFORE + name, _AFTER + name)
    if pair.note:
        return np.nan, np.nan, np.nan, pair.note
    worse, error = sign * pair.difference, pair.error
    bound = worse + float(stdtrit(pair.df, CONFIDENCE)) * error
    p = float(stdtr(pair.df, -(worse - tolerance) / error)) if error else float(worse <= tolerance)
    return p, error, bound, ""


def _line(against: str, name: str, rule: Rule, joint: Joint) -> Line:
    scale, sign = rule.declared.scale, 1 if rule.declared.better == "higher" else -1
    places = [joint.names.index(side + name) for side in (_BEFORE, _AFTER)]
    old, new = (float(joint.means[place]) for place in places)
    p, error, bound, note = p_and_bound(joint, name, sign=sign, tolerance=rule.tolerance / scale)
    worse = sign * joint.compare(_BEFORE + name, _AFTER + name).difference
    return Line(
        against=against,
        name=name,
        rule=rule,
        before=scale * old,
        after=scale * new,
        worse=scale * worse,
        error=scale * error,
        bound=scale * bound,
        p=p,
        networks=(int(joint.seeds[places[0]]), int(joint.seeds[places[1]])),
        note=note,
        needs=partial(_needs, rule, worse, joint, places),
    )


def _needs(rule: Rule, worse: float, joint: Joint, places: list[int], share: float) -> str:
    scale, seeds = rule.declared.scale, joint.seeds[places]
    own = joint.trainings.variance[places]
    variances = np.where(np.isnan(own), joint.pooled, own)
    if np.isnan(variances).any():
        return "2 training seeds on each side are the least"
    over_images = joint.over_images
    a, b = places
    fixed = max(float(over_images[a, a] + over_images[b, b] - 2 * over_images[a, b]), 0.0)
    tolerance, margin = rule.tolerance / scale, (rule.margin or rule.tolerance) / scale
    per_seed = float(joint.trainings.most) / max(float(np.mean(joint.seeds)) - 1, 1)
    for count in range(max(2, int(seeds.min())), _MOST_SEEDS):
        error, df = np.sqrt(variances.sum() / count + fixed), per_seed * (count - 1)
        kept = worse + (stdtrit(df, CONFIDENCE) + SURE) * error < margin
        if kept or worse - (stdtrit(df, 1 - share) + SURE) * error > tolerance:
            return f"about {count} training seeds on each side would decide, if the true loss is as measured"
    return "more training seeds alone would not decide, if the true loss is as measured: take more images"
