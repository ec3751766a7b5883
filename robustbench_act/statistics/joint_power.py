"""How many training seeds and images a lead needs to be shown by the joint analysis."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import stdtrit

from robustbench_act.errors import InputError
from robustbench_act.statistics.intervals import CONFIDENCE, Floats
from robustbench_act.statistics.joint import POWER, Joint
from robustbench_act.statistics.moderation import moderate_blocked

_STUDIES = 1000
_PAIRS = 100  # of each, at most
_AT_ONCE = 2**22  # numbers in memory at a time


@dataclass(frozen=True)
class Components:
    """Standard deviations of the score of one image in one network: shares, for all activations alike.

    Attributes
    ----------
    training
        Activation x seed: what another training of the same activation changes on all images.
    image
        Activation x image: what an image does to one activation and not to the others.
    residual
        Activation x seed x image.
    """

    training: float
    image: float
    residual: float

    def __post_init__(self) -> None:
        if not all(0 <= value < np.inf for value in (self.training, self.image, self.residual)):
            raise InputError(f"Expected standard deviations of 0 or more, got {self}.")


def components(joint: Joint) -> Components:
    """Return the components that a run shows, means over its activations; where one comes out negative, 0.

    Raises InputError if no two activations have two seeds, or there is one image.
    """
    tested = np.flatnonzero(joint.tested)
    if len(tested) < 2:
        raise InputError("Expected at least 2 activations with 2 training seeds each, and 2 images.")
    residual = _of_one(joint.residual[np.ix_(tested, tested)])
    image = _of_one(joint.over_images[np.ix_(tested, tested)]) * joint.images
    training = joint.pooled - residual / joint.images
    return Components(*(float(np.sqrt(max(value, 0.0))) for value in (training, image, residual)))


@dataclass(frozen=True, eq=False)
class Studies:
    """Many simulated studies of activations without any difference, analysed as `Joint` does.

    Each pair is held to Bonferroni's level over all pairs, the first step of Holm's correction. Random
    numbers have a standard deviation of 1 over trainings: what the components and the number of images are
    comes later, in `leads`.

    Attributes
    ----------
    apart, apart_images
        (studies, pairs): differences of the means over trainings; of what the images add.
    variance, quantile
        (studies, pairs): what the analysis takes for the variances of `apart`; the quantiles of Student's t.
    known
        The quantile if trainings do not vary at all.
    seeds
        Of each activation.
    """

    apart: Floats
    apart_images: Floats
    variance: Floats
    quantile: Floats
    known: float
    seeds: int

    @classmethod
    def of(cls, *, seeds: int, activations: int = 2, seed: int = 0) -> Self:
        """Return studies with this many seeds; InputError for fewer than 2 seeds or activations."""
        if min(seeds, activations) < 2:
            raise InputError(f"Expected at least 2 seeds and activations, got {seeds} and {activations}.")
        random = np.random.default_rng(seed)
        a, b = np.triu_indices(activations, 1)
        share = 1 - (1 - CONFIDENCE) / (2 * len(a))
        some = slice(None, None, -(-len(a) // _PAIRS))  # all are alike
        a, b, counts = a[some], b[some], np.full(activations, seeds)
        at_once, blocks = max(1, _AT_ONCE // (activations * seeds)), []
        for start in range(0, _STUDIES, at_once):
            number = min(at_once, _STUDIES - start)
            drawn = random.standard_normal((number, activations * (seeds + 1)))
            scores = drawn[:, :-activations].reshape(number, activations, seeds)
            own = scores - scores.mean(axis=1, keepdims=True)
            trainings = moderate_blocked(own.std(axis=-1, ddof=1) ** 2, counts - 1.0)
            over_seeds, df = trainings.of_pairs(a, b, counts)
            means, images = scores.mean(axis=-1), drawn[:, -activations:]
            apart = (values[:, a] - values[:, b] for values in (means, images))
            blocks.append((*apart, over_seeds, stdtrit(df, share)))
        known = float(stdtrit((activations - 1) * (seeds - 1), share))
        trained, shown, variance, quantile = (np.concatenate(own) for own in zip(*blocks, strict=True))
        return cls(trained, shown, variance, quantile, known, seeds)

    def leads(self, found: Components, *, images: int) -> Floats:
        """Return, sorted, the smallest lead that each pair of each study shows, as shares.

        A lead of X is shown with the probability (leads <= X).mean(). Raises InputError for fewer than 2
        images.
        """
        if images < 2:
            raise InputError(f"Expected at least 2 images, got {images}.")
        over_images = found.image**2 / images
        spread = float(np.hypot(found.training, found.residual / np.sqrt(images)))
        least = 2 * found.residual**2 / images / self.seeds
        error = np.sqrt(np.maximum(spread**2 * self.variance, least) + 2 * over_images)
        apart = spread * self.apart + np.sqrt(over_images) * self.apart_images
        return np.sort((self.quantile if spread else self.known) * error - apart, axis=None)


def shown_leads(found: Components, *, seeds: int, images: int, activations: int = 2) -> Floats:
    """Return `Studies.leads` of studies of one size."""
    return Studies.of(seeds=seeds, activations=activations).leads(found, images=images)


def lead_shown(leads: Floats, *, power: float = POWER) -> float:
    """Return the lead that is shown with a probability, of `Studies.leads`."""
    return float(np.quantile(leads, power))


def _of_one(covariance: Floats) -> float:
    """Return half the mean variance of the differences of two: what is one's own, without what all share."""
    count = len(covariance)
    diagonal = float(np.trace(covariance)) / count
    return diagonal - (float(covariance.sum()) / count - diagonal) / (count - 1)
