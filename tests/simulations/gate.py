"""What the gate says when the truth is known: false alarms, wrong "kept", and what it finds.

Weights: one checkpoint, changed, in 19 corruptions of five groups. Training: 13 activations, trained again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from robustbench_act.gate.power import training_power
from robustbench_act.gate.rules import CORRUPTIONS, EACH, GATE_LEVEL, TOLERANCE, TRAINING_LEVEL, Rule
from robustbench_act.gate.training import joint_of, p_and_bound
from robustbench_act.gate.weights import weights_lines
from robustbench_act.statistics import drop_bound
from tests.simulations.networks import Truth, networks

Array = NDArray[np.float64]

SIZES = {"noise": 4, "blur": 4, "weather": 4, "digital": 4, "extra": 3}
GROUPS = np.repeat(np.arange(5), list(SIZES.values()))
RULES = (CORRUPTIONS, *SIZES, EACH)
ACTIVATIONS = 13
FLIPS = round(8 / GATE_LEVEL)

# Spread of an image's change between two trainings of an embedded network: of all corruptions together 0.083,
# of a group 0.11, of a single one 0.15. They are made of these parts:
IN_ALL, IN_GROUP, IN_ONE = 0.0745, 0.055, 0.118

TRAINED = (0.018, 0.016)
"""Standard deviations over trainings, of all groups alike and of each by itself: 2.0 points of the mean."""


def changes(random: np.random.Generator, images: int, *, kind: str, drop: float = 0.0) -> Array:
    """Return (corruptions, images): what a change of the weights did to each image, a true drop in points.

    "many": as between two trainings, most on hard images. "few": 5 % of the images change, in 30 % of the
    corruptions, at one of three severities: as after quantisation.
    """
    shape = (len(GROUPS), images)
    if kind == "few":
        changed = (random.random(images) < 0.05) & (random.random(shape) < 0.3)
        return changed * np.where(random.random(shape) < 0.5 + drop, 1, -1) / 3
    hardness = random.exponential(size=images) / sqrt(2)
    parts = IN_ALL * random.standard_normal(images) + IN_GROUP * random.standard_normal((5, images))[GROUPS]
    return np.asarray(hardness * (parts + IN_ONE * random.standard_normal(shape)) + drop / 100)


def fallen(drops: Array) -> tuple[bool, bool]:
    """Return whether a check of one checkpoint fails, and by the mean; lines of all of `RULES`.

    Holm's first step over six lines, and the largest of single corruptions, take half of the level each.
    """
    p: dict[str, float] = {}
    for group in RULES:
        rows = drops if group == EACH else drops[_members(group)].mean(axis=0, keepdims=True)
        if group == EACH and min(p.values()) * 6 < GATE_LEVEL / 2:
            break  # it fails already
        names = [str(place) for place in range(len(rows))]
        sides = {"net": rows}, {"net": np.zeros_like(rows)}
        (line,) = weights_lines("baseline", Rule(group=group), *sides, corruptions=names, flips=FLIPS)
        p[group] = line.p
    each = p.pop(EACH, 1.0)
    return bool(min(min(p.values()) * 6, each) < GATE_LEVEL / 2), bool(p[CORRUPTIONS] * 6 < GATE_LEVEL / 2)


def _members(group: str) -> NDArray[np.bool_]:
    return np.full(len(GROUPS), True) if group == CORRUPTIONS else np.equal(GROUPS, list(SIZES).index(group))


def weights_alarms(*, images: int, kind: str, drop: float, experiments: int) -> float:
    """Return the share of checks of one checkpoint that fail."""
    random = np.random.default_rng([images, round(10 * drop), kind == "few"])
    fell = [fallen(changes(random, images, kind=kind, drop=drop))[0] for _ in range(experiments)]
    return float(np.mean(fell))


def hidden_drop(*, images: int, experiments: int, drop: float = 3.0) -> tuple[float, float]:
    """Return how often a loss in weather that the other groups make up for fails the check, and the mean."""
    random = np.random.default_rng([images, 7])
    lost = np.where(_members("weather"), drop, -drop * 4 / 15)[:, None] / 100
    found = [fallen(changes(random, images, kind="many") + lost) for _ in range(experiments)]
    check, mean = np.mean(found, axis=0).tolist()
    return check, mean


def weights_kept(*, images: int, kind: str, margin: float = 1.0, experiments: int = 20_000) -> float:
    """Return how often a mean that truly lost its margin is called kept.

    "lost": one image in a hundred is wrong in all cells, the others do not change.
    """
    random = np.random.default_rng([images, 3])
    if kind == "lost":
        share = random.binomial(images, margin / 100, experiments) / images
        errors = np.sqrt(share * (1 - share) / (images - 1))
        return float((drop_bound(share, errors, images) < margin / 100).mean())
    kept, spread = 0, sqrt(IN_ALL**2 + IN_GROUP**2 / 5 + IN_ONE**2 / 19)
    for _ in range(experiments):
        hardness = random.exponential(size=images) / sqrt(2)
        drops = margin / 100 + spread * hardness * random.standard_normal(images)
        error = drops.std(ddof=1) / sqrt(images)
        kept += bool(drop_bound(drops.mean(), error, images) < margin / 100)
    return kept / experiments


@dataclass(frozen=True)
class Trained:
    """What checks of an unchanged recipe say: shares.

    Attributes
    ----------
    alarms, at_tolerance
        Checks that fail without a drop, and with one as large as the tolerance everywhere.
    wrong
        Lines whose bound is below the truth: at that margin they would be called kept.
    """

    experiments: int
    alarms: float
    at_tolerance: float
    wrong: float


def trained_again(
    random: np.random.Generator, *, seeds: int, images: int, odd: float = 1.0
) -> dict[str, Array]:
    """Return (activations, 2 x seeds, images) of each group, and of their mean: the same recipes."""
    spreads = np.where(np.arange(ACTIVATIONS) == 0, odd, 1.0)

    def drawn(truth: Truth) -> Array:
        facts = {"activations": ACTIVATIONS, "seeds": 2 * seeds, "images": images}
        return networks(random, truth=truth, spreads=spreads, **facts).astype(float)

    common, own = drawn(Truth(training=TRAINED[0])), Truth(TRAINED[1], 0.0, 0.0, 0.04, 0.0, 0.06)
    found = {group: common + drawn(own) for group in SIZES}
    return {CORRUPTIONS: np.mean(list(found.values()), axis=0), **found}


def simulate_trained(*, seeds: int, images: int, odd: float = 1.0, experiments: int = 1_000) -> Trained:
    """Return what checks of an unchanged recipe say."""
    random, counted = np.random.default_rng([seeds, images, round(odd)]), []
    for _ in range(experiments):
        p, wrong = [], []
        for scores in trained_again(random, seeds=seeds, images=images, odd=odd).values():
            joint = joint_of(*_sides(scores, seeds), by_image=True)
            for name in map(str, range(ACTIVATIONS)):
                strict, _, bound, _ = p_and_bound(joint, name, sign=1, tolerance=0.0)
                p.append((p_and_bound(joint, name, sign=1, tolerance=TOLERANCE / 100)[0], strict))
                wrong.append(bound < 0)
        least = np.min(p, axis=0) * len(p)
        counted.append((*(least < TRAINING_LEVEL), np.mean(wrong)))
    return Trained(experiments, *np.mean(counted, axis=0).tolist())


def simulate_loss(*, seeds: int, images: int = 1_000, experiments: int = 1_000) -> tuple[float, float, float]:
    """Return a loss of one activation, in points, how often its mean should fail by the formula, and does."""
    truth, tests = Truth(), ACTIVATIONS * (1 + len(SIZES))
    parts = (TRAINED[0], TRAINED[1] / sqrt(5), truth.seed * sqrt(1.2), truth.residual / sqrt(images))
    deviation, tried = 100 * float(np.linalg.norm(parts)), np.arange(0, 40, 0.1)
    predicted = training_power(tried, deviation=deviation, seeds=seeds, activations=ACTIVATIONS, tests=tests)
    place = int(np.searchsorted(predicted, 0.8))
    drop, random, seen = float(tried[place]), np.random.default_rng([seeds, 5]), 0
    for _ in range(experiments):
        scores = trained_again(random, seeds=seeds, images=images)[CORRUPTIONS]
        before, after = _sides(scores, seeds)
        joint = joint_of(before, {**after, "0": after["0"] - drop / 100}, by_image=True)
        seen += p_and_bound(joint, "0", sign=1, tolerance=TOLERANCE / 100)[0] * tests < TRAINING_LEVEL
    return drop, float(predicted[place]), seen / experiments


def _sides(scores: Array, seeds: int) -> tuple[dict[str, Array], dict[str, Array]]:
    names = [str(place) for place in range(len(scores))]
    sides = (scores[:, :seeds], scores[:, seeds:])
    return dict(zip(names, sides[0], strict=True)), dict(zip(names, sides[1], strict=True))


def section() -> Iterator[str]:
    """Yield the lines of the page's section."""
    yield "## The gate"
    yield ""
    yield "### Unit weights"
    yield ""
    yield (
        "One checkpoint is changed; a check has seven lines: the mean over 19 corruptions, five groups, "
        "single corruptions. *Many* images change, as between two trainings, or *few*, as after "
        "quantisation. *Alarms*: checks that fail; in brackets two standard errors, or the 95 % upper limit "
        "of none. *Kept wrongly*: the mean truly lost its margin, 1 point, and is called kept: many images "
        "lost a little, or one in a hundred everything (20,000 experiments)."
    )
    yield ""
    yield "| | | **no drop: alarms** | | **0.3 points: alarms** | | **1 point: kept wrongly** | |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    yield "| images | experiments | many | few | many | few | many | lost |"
    for images, experiments in ((60, 10_000), (1_000, 10_000), (10_000, 2_000)):
        alarms = [
            _share(weights_alarms(images=images, kind=kind, drop=drop, experiments=experiments), experiments)
            for drop in (0.0, TOLERANCE)
            for kind in ("many", "few")
        ]
        wrong = [f"{weights_kept(images=images, kind=kind):.1%}" for kind in ("many", "lost")]
        yield f"| {images:,} | {experiments:,} | {' | '.join([*alarms, *wrong])} |"
    yield ""
    for images in (1_000, 10_000):
        check, mean = hidden_drop(images=images, experiments=1_000)
        yield (
            f"Weather loses 3 points and the other groups gain what hides it in the mean, {images:,} images: "
            f"{check:.1%} of 1,000 checks fail, {mean:.1%} by the mean."
        )
    yield ""
    yield "### Unit training"
    yield ""
    yield (
        f"{ACTIVATIONS} activations are trained again by the same recipe; a check has {ACTIVATIONS * 6} "
        "lines. *Alarms*: checks that fail, without a drop, and if everything fell by the tolerance, 0.3 "
        "points. *Kept wrongly*: lines whose bound is below the truth. *One odd*: one activation varies "
        "three times as much from training to training. 1,000 experiments a setting."
    )
    yield ""
    yield "| | | **all alike** | | | **one odd** | | |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    yield "| seeds | images | alarms | 0.3 points | kept wrongly | alarms | 0.3 points | kept wrongly |"
    for seeds in (3, 5, 10):
        for images in (60, 1_000):
            alike, odd = (simulate_trained(seeds=seeds, images=images, odd=spread) for spread in (1.0, 3.0))
            cells = [_share(share, 1_000) for share in (alike.alarms, alike.at_tolerance)]
            cells += [f"{alike.wrong:.1%}"]
            cells += [_share(share, 1_000) for share in (odd.alarms, odd.at_tolerance)] + [f"{odd.wrong:.1%}"]
            yield f"| {seeds} | {images:,} | {' | '.join(cells)} |"
    yield ""
    yield "One activation loses what the formula says is found 4 times in 5, on the mean, 1,000 images:"
    yield ""
    yield "| seeds | loss (points) | formula | found |"
    yield "|---:|---:|---:|---:|"
    for seeds in (3, 5, 10, 20):
        drop, predicted, found = simulate_loss(seeds=seeds)
        yield f"| {seeds} | {drop:.1f} | {predicted:.1%} | {found:.1%} |"


def _share(share: float, experiments: int) -> str:
    if share == 0:
        return f"0 (< {3 / experiments:.2%})"
    return f"{share:.2%} ({2 * sqrt(share * (1 - share) / experiments):.2%})"
