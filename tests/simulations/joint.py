"""What the joint analysis says when the truth is known.

Many experiments without any difference between the activations are drawn and analysed. Counted are those in
which any pair is called different (family-wise error), and the intervals that hold the truth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np

from robustbench_act.statistics import holm
from robustbench_act.statistics.joint import Joint
from robustbench_act.statistics.joint_power import Components, lead_shown, shown_leads
from tests.simulations.networks import MEAN, Truth, networks

ACTIVATIONS = 13
SEEDS = (3, 5, 10, 20)
IMAGES = (60, 1_000, 10_000)
WIDE = 3.0
"""How much more the one odd activation varies from training to training."""

EXPERIMENTS = 1_000


@dataclass(frozen=True)
class Found:
    """What was counted: shares, and their Monte Carlo standard errors.

    Attributes
    ----------
    family
        Experiments in which any pair is called different (Holm, 5 %).
    odd, others
        Intervals of pairs with the odd activation, and of all others, that hold the truth.
    levels
        Experiments in which all intervals of levels hold the truth.
    """

    experiments: int
    family: float
    odd: float
    others: float
    levels: float

    @property
    def family_limit(self) -> float:
        """The 99 % upper limit of the family-wise error (Wilson's)."""
        z, n, p = 2.326, self.experiments, self.family
        return (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def analysed(scores: np.ndarray) -> Joint:
    """Return the joint analysis of (activations, seeds, images), all trained with the same seeds."""
    names = [str(place) for place in range(len(scores))]
    seeds = range(scores.shape[1])
    return Joint.of(dict(zip(names, scores, strict=True)), dict.fromkeys(names, seeds))


def simulate(
    *, seeds: int, images: int, wide: bool, experiments: int = EXPERIMENTS, activations: int = ACTIVATIONS
) -> Found:
    """Return what is found in experiments without a difference between activations."""
    random = np.random.default_rng([seeds, images, wide])
    pairs = np.array(list(combinations(range(activations), 2)))
    odd = (pairs == 0).any(axis=1)
    spreads = np.where(np.arange(activations) == 0, WIDE if wide else 1.0, 1.0)
    rows = []
    for _ in range(experiments):
        drawn = networks(random, activations=activations, seeds=seeds, images=images, spreads=spreads)
        joint = analysed(drawn)
        found = [joint.compare(joint.names[a], joint.names[b]) for a, b in pairs]
        holds = np.array([one.interval.low <= 0 <= one.interval.high for one in found])
        low, high = joint.levels()
        levels = ((low <= MEAN) & (high >= MEAN)).all()
        called = (holm([one.p for one in found]) < 0.05).any()
        rows.append((called, holds[odd].mean(), holds[~odd].mean(), levels))
    return Found(experiments, *np.mean(rows, axis=0).tolist())


def simulate_lead(*, seeds: int, images: int, experiments: int = EXPERIMENTS) -> tuple[float, float]:
    """Return the lead that is said to be shown 4 times in 5, in points, and how often it was."""
    random, truth = np.random.default_rng([seeds, images]), Truth()
    parts = Components(truth.training, truth.activation_image, truth.residual)
    lead = lead_shown(shown_leads(parts, seeds=seeds, images=images, activations=ACTIVATIONS))
    pairs = list(combinations(range(ACTIVATIONS), 2))
    shown = []
    for _ in range(experiments):
        leads = np.where(np.arange(ACTIVATIONS) == 0, lead, 0.0)
        joint = analysed(networks(random, activations=ACTIVATIONS, seeds=seeds, images=images, leads=leads))
        adjusted = holm([joint.compare(joint.names[a], joint.names[b]).p for a, b in pairs])
        shown.append(np.mean([p < 0.05 for p, pair in zip(adjusted, pairs, strict=True) if 0 in pair]))
    return 100 * lead, float(np.mean(shown))


def section() -> Iterator[str]:
    """Yield the lines of the page's section."""
    yield "## The joint analysis"
    yield ""
    yield (
        f"{ACTIVATIONS} activations without any difference, {EXPERIMENTS:,} experiments a setting. "
        "*Any pair*: experiments in which at least one of 78 pairs is called different (Holm, 5 %), with the "
        "99 % upper limit. *Intervals*: the share of 95 % intervals of a pair that hold the truth. *Levels*: "
        "experiments in which the intervals of all 13 means hold the truth. *One odd*: one activation varies "
        f"{WIDE:g} times as much from training to training as the others; *its pairs* are those with it."
    )
    yield ""
    yield "| seeds | images | any pair | intervals | levels | any pair | its pairs | other pairs | levels |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    yield "| | | **all alike** | | | **one odd** | | | |"
    for seeds in SEEDS:
        for images in IMAGES:
            alike, odd = (simulate(seeds=seeds, images=images, wide=wide) for wide in (False, True))
            both = (2 * alike.odd + (ACTIVATIONS - 2) * alike.others) / ACTIVATIONS
            yield (
                f"| {seeds} | {images:,} | {_family(alike)} | {both:.1%} | {alike.levels:.1%} "
                f"| {_family(odd)} | {odd.odd:.1%} | {odd.others:.1%} | {odd.levels:.1%} |"
            )
    errors = [100 * sqrt(share * (1 - share) / EXPERIMENTS) for share in (0.05, 0.12)]
    yield ""
    yield (
        f"Monte Carlo error (one standard error): {errors[0]:.1f} points where 5 % is aimed at, at most "
        f"{errors[1]:.1f} in the column of the odd one's pairs."
    )
    yield ""
    yield "### Leads that are shown"
    yield ""
    yield (
        "One activation leads the 12 others by what `actrobust power` says is shown 4 times in 5; how often "
        "its pairs are then called different."
    )
    yield ""
    yield "| seeds | images | lead (points) | shown |"
    yield "|---:|---:|---:|---:|"
    for seeds in SEEDS:
        for images in IMAGES[:2]:
            lead, shown = simulate_lead(seeds=seeds, images=images)
            yield f"| {seeds} | {images:,} | {lead:.1f} | {shown:.1%} |"


def _family(found: Found) -> str:
    return f"{found.family:.1%} (< {found.family_limit:.1%})"
