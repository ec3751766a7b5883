"""Scores of networks with a known truth: what the product's conclusions are tried on.

The score of an image in a network is the activation's mean, plus what the seed, the image and all their
interactions add, with the standard deviations of the embedded networks. Hard images are hard for all (an
exponential distribution: most are easy, a few are very hard), and networks disagree most on them, as real
ones do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MEAN = 0.8


@dataclass(frozen=True)
class Truth:
    """Standard deviations, as shares, of the parts of a score."""

    training: float = 0.020  # activation x seed
    seed: float = 0.012
    image: float = 0.115
    activation_image: float = 0.027
    seed_image: float = 0.026
    residual: float = 0.048


def networks(
    random: np.random.Generator,
    *,
    activations: int,
    seeds: int,
    images: int,
    spreads: ArrayLike = 1.0,
    leads: ArrayLike = 0.0,
    truth: Truth = Truth(),
) -> NDArray[np.float32]:
    """Return (activations, seeds, images): scores around a mean of 0.8 plus each activation's lead.

    `spreads` are factors (activations,) of the standard deviation over trainings.
    """
    hardness = random.exponential(size=images)  # mean 1, standard deviation 1
    scale = (hardness / np.sqrt(2)).astype(np.float32)  # mean square 1

    def drawn(deviation: float, *shape: int) -> NDArray[np.float32]:
        return np.float32(deviation) * random.standard_normal(shape, dtype=np.float32)

    means = MEAN + np.broadcast_to(leads, activations)
    trained = means[:, None] + drawn(truth.seed, seeds)
    trained = trained + np.broadcast_to(spreads, activations)[:, None] * drawn(
        truth.training, activations, seeds
    )
    alike = -truth.image * (hardness - 1)
    scores = drawn(truth.residual, activations, seeds, images)
    scores += drawn(truth.activation_image, activations, 1, images) + drawn(truth.seed_image, seeds, images)
    scores *= scale
    scores += alike.astype(np.float32) + trained[:, :, None].astype(np.float32)
    return scores
