"""How many training seeds and images a lead needs: from the spreads of a run, or of the embedded networks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from robustbench_act.errors import InputError
from robustbench_act.metrics.joint import joint_analyses
from robustbench_act.metrics.scores import checkpoint_scores, image_scores
from robustbench_act.records import RunData
from robustbench_act.statistics import Components, Interval, Studies, components, lead_shown
from robustbench_act.statistics.intervals import CONFIDENCE, Floats

SEEDS = (3, 5, 8, 12, 20, 30)
IMAGES = (100, 300, 1_000, 3_000, 10_000)

MOST_SEEDS, MOST_IMAGES = 200, 1_000_000
"""Where searches end."""


@dataclass(frozen=True)
class Spreads:
    """What studies are planned from.

    Attributes
    ----------
    components
        See `robustbench_act.statistics.Components`.
    df
        Degrees of freedom of the standard deviation over trainings.
    activations
        How many were compared.
    source
        Where they were measured.
    """

    components: Components
    df: float
    activations: int
    source: str

    @property
    def training(self) -> Interval:
        """The 95 % interval of the standard deviation over trainings: few seeds hardly show it."""
        tail = (1 - CONFIDENCE) / 2
        ends = (np.sqrt(self.df / chdtri(self.df, share)) for share in (tail, 1 - tail))
        return Interval(*(float(self.components.training * end) for end in ends))


EMBEDDED = Spreads(
    Components(0.0237, 0.0223, 0.0520), 24.0, 13, "the embedded networks (ResNet-8 on MNIST, 3 seeds)"
)
"""Measured by `run_spreads` on 300 images of mnist-1k: the mean over c19 at severities 1, 3 and 5.

On 60 of them, the default run: 0.0196, 0.0288, 0.0523.
"""


def run_spreads(run: RunData) -> Spreads:
    """Return the spreads that a run shows: means over its architectures, by their degrees of freedom.

    Raises InputError if no architecture has two activations with two training seeds each, there is one image,
    or the run does not say which images were right.
    """
    images = image_scores(run.cells)
    if images is None:
        raise InputError(f"{run.path}: does not say which images were right; evaluate again.")
    analyses = joint_analyses(checkpoint_scores(run.cells), images).values()
    able = [joint for joint in analyses if joint.tested.sum() > 1]
    if not able:
        names = max((len(joint.names) for joint in analyses), default=0)
        seeds = max((int(joint.seeds.max()) for joint in analyses), default=0)
        raise InputError(
            f"{run.path}: expected at least 2 activations with 2 training seeds each, and 2 images, got "
            f"{names} activations, {seeds} seeds and {run.info.dataset.images} images."
        )
    parts = np.array([[*vars(components(joint)).values()] for joint in able])
    df = [joint.trainings.most for joint in able]
    means = np.sqrt(np.average(parts**2, axis=0, weights=df))
    activations = max(len(joint.names) for joint in able)
    return Spreads(Components(*means.tolist()), float(sum(df)), activations, str(run.path))


class Planned:
    """Studies of a number of activations, all trained with the same seeds.

    Attributes
    ----------
    components
        Standard deviations of their scores.
    activations
        How many are compared, each with each.
    """

    def __init__(self, components: Components, activations: int) -> None:
        self.components, self.activations = components, activations
        self._studies: dict[int, Studies] = {}

    def lead(self, seeds: int, images: int) -> float:
        """Return the smallest lead that is shown 4 times in 5, a share."""
        return lead_shown(self._leads(seeds, images))

    def chance(self, lead: float, *, seeds: int, images: int) -> float:
        """Return the probability that a lead is shown."""
        return float((self._leads(seeds, images) <= lead).mean())

    def fewest_seeds(self, lead: float, *, images: int) -> int | None:
        """Return the fewest seeds that show a lead 4 times in 5; None if `MOST_SEEDS` do not."""
        return _fewest(lambda seeds: self.lead(seeds, images) <= lead, MOST_SEEDS)

    def fewest_images(self, lead: float, *, seeds: int) -> int | None:
        """Return the fewest images that show a lead 4 times in 5; None if `MOST_IMAGES` do not."""
        return _fewest(lambda images: self.lead(seeds, images) <= lead, MOST_IMAGES)

    def _leads(self, seeds: int, images: int) -> Floats:
        if seeds not in self._studies:
            self._studies[seeds] = Studies.of(seeds=seeds, activations=self.activations)
        return self._studies[seeds].leads(self.components, images=images)


def _fewest(enough: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest number from 2 up that is enough; None if `most` is not.

    >>> _fewest(lambda number: number >= 37, 100), _fewest(lambda number: number >= 101, 100)
    (37, None)
    """
    low, high = 1, 2
    while not enough(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
