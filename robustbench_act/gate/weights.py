"""The unit "weights": a checkpoint against itself, over the images.

Quantised, pruned, converted or run elsewhere: the networks are what they are, and the images are drawn.
Retrained networks differ by chance too, which this does not count: see `gate.training`.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import numpy as np
from scipy.special import ndtri, stdtrit

from robustbench_act.gate.lines import Line
from robustbench_act.gate.rules import EACH, Rule
from robustbench_act.statistics import LargestDrop, are_equal, drop_bound, drop_test, largest_drops
from robustbench_act.statistics.intervals import Floats
from robustbench_act.statistics.joint import POWER

SURE = float(ndtri(POWER))
"""What would decide does so 4 times in 5, if the drop is the one that was measured."""

_MOST_IMAGES = 1e9


def weights_lines(
    against: str,
    rule: Rule,
    before: Mapping[str, Floats],
    after: Mapping[str, Floats],
    *,
    corruptions: Sequence[str] = ("",),
    same: Collection[str] = (),
    flips: int = 0,
) -> list[Line]:
    """Return the lines of a rule, one for each checkpoint.

    Parameters
    ----------
    before, after
        For each checkpoint `Scores.values`: (rows, images), or a single number.
    corruptions
        Names of the rows of a rule on single corruptions.
    same
        Checkpoints with the same weights: if no image changed, none would.
    flips
        For the p of a rule on single corruptions, which is adjusted over all of these and all checkpoints.
    """
    if not rule.by_image:
        return [_measured(against, name, rule, before[name].item(), after[name].item()) for name in before]
    drops = {name: before[name] - after[name] for name in before}
    tolerance = rule.tolerance / 100
    if rule.group == EACH and drops:
        largest = largest_drops(list(drops.values()), tolerance=tolerance, flips=flips)
    else:
        largest = [LargestDrop(0, 0.0, drop_test(rows[0], tolerance=tolerance)[0]) for rows in drops.values()]
    lines = []
    for (name, own), (place, _, p) in zip(drops.items(), largest, strict=True):
        errors = _errors(own)
        lines.append(
            Line(
                against=against,
                name=name,
                rule=rule,
                corruption=corruptions[place],
                before=100 * float(before[name][place].mean()),
                after=100 * float(after[name][place].mean()),
                worse=100 * float(own[place].mean()),
                error=100 * float(errors[place]),
                bound=100 * float(_bounds(own, errors, same=name in same).max()),
                p=p,
                needs=partial(_needs, rule, own.mean(axis=1), errors, own.shape[1]),
            )
        )
    return lines


def images_needed(
    means: Floats, spreads: Floats, *, tolerance: float, margin: float, share: float, least: int = 2
) -> float:
    """Return how many images would decide, 4 times in 5, if drops (rows,) are as measured; inf for too many.

    Parameters
    ----------
    spreads
        (rows,): standard deviations of the drops of single images.
    share
        The level of a single test.
    """
    for images in np.geomspace(least, _MOST_IMAGES, 120):
        errors, df = spreads / np.sqrt(images), images - 1
        kept = drop_bound(means, errors, images) + SURE * errors < margin
        fell = means - (stdtrit(df, 1 - share) + SURE) * errors > tolerance
        if kept.all() or fell.any():
            return float(images)
    return float("inf")


def _bounds(drops: Floats, errors: Floats, *, same: bool) -> Floats:
    """Return (rows,): 95 % upper bounds of mean drops (rows, images)."""
    means = drops.mean(axis=1)
    found = drop_bound(means, errors, drops.shape[1])
    return np.where((errors == 0) & (means == 0), 0.0, found) if same else found


def _errors(drops: Floats) -> Floats:
    return np.array([drop_test(row)[1] for row in drops])


def _measured(against: str, name: str, rule: Rule, old: float, new: float) -> Line:
    scale, sign = rule.declared.scale, -1 if rule.declared.better == "higher" else 1
    worse = 0.0 if are_equal([old, new]) else scale * sign * (new - old)
    return Line(against=against, name=name, rule=rule, before=scale * old, after=scale * new, worse=worse)


def _needs(rule: Rule, means: Floats, errors: Floats, images: int, share: float) -> str:
    found = images_needed(
        means,
        errors * np.sqrt(images),
        tolerance=rule.tolerance / 100,
        margin=(rule.margin or rule.tolerance) / 100,
        share=share,
        least=images,
    )
    if found == float("inf"):
        return "no number of images would decide, if the true loss is as measured"
    return f"about {float(f'{found:.1e}'):,.0f} images would decide, if the true loss is as measured"
