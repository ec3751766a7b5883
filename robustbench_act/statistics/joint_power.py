"""How many training seeds and images a lead needs to be shown by the joint analysis."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import stdtrit

from robustbench_act.errors import InputError
from robustbench_act.statistics.intervals import CONFIDENCE, Floats
from robustbench_act.statistics.joint import POWER, Joint

_EXPERIMENTS = 1000


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


def shown_leads(found: Components, *, seeds: int, images: int, activations: int = 2, seed: int = 0) -> Floats:
    """Return, sorted, the smallest lead that each of many simulated experiments shows, as shares.

    A lead of X is shown with the probability (leads <= X).mean(). An experiment draws the trainings of all
    activations, analyses them as `Joint` does, and holds each pair to Bonferroni's level over all pairs, the
    first step of Holm's correction.

    Raises InputError for fewer than 2 seeds, images or activations.
    """
    if min(seeds, images, activations) < 2:
        raise InputError(
            f"Expected at least 2 seeds, images and activations, got {seeds}, {images} and {activations}."
        )
    random = np.random.default_rng(seed)
    a, b = np.array(list(combinations(range(activations), 2))).T
    share = 1 - (1 - CONFIDENCE) / (2 * len(a))
    over_images = np.eye(activations) * found.image**2 / images
    spread = float(np.hypot(found.training, found.residual / np.sqrt(images)))
    names, leads = tuple(map(str, range(activations))), []
    for _ in range(_EXPERIMENTS):
        scores = list(spread * random.standard_normal((activations, seeds)))
        drawn = Joint(names, images, scores, blocked=True, over_images=over_images, residual=over_images)
        error, df = drawn.errors(a, b)
        means = drawn.means + np.sqrt(np.diag(over_images)) * random.standard_normal(activations)
        leads.append(stdtrit(df, share) * error - (means[a] - means[b]))
    return np.sort(np.concatenate(leads))


def lead_shown(leads: Floats, *, power: float = POWER) -> float:
    """Return the lead that is shown with a probability, of `shown_leads`."""
    return float(np.quantile(leads, power))


def _of_one(covariance: Floats) -> float:
    """Return half the mean variance of the differences of two: what is one's own, without what all share."""
    count = len(covariance)
    diagonal = float(np.trace(covariance)) / count
    return diagonal - (float(covariance.sum()) / count - diagonal) / (count - 1)
