"""Digital corruptions: what processing and storing does to an image."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Corruption, Noise
from .registry import register


@register
@dataclass(frozen=True)
class Contrast(Corruption):
    """Less contrast: y = m + factor * (x - m), m the mean of the channel (Hendrycks & Dietterich 2019).

    Parameters
    ----------
    factor : float
        Ratio of the deviations from the mean, after to before.
    """

    name: ClassVar[str] = "contrast"
    group: ClassVar[str] = "digital"

    factor: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return m + factor * (x - m)."""
        # In this form factor 1 and constant channels give x back to the bit.
        return images + (_channel_means(images) - images) * (1 - self.factor)


def _channel_means(images: Tensor) -> Tensor:
    """Return the mean of each channel, (N, C, 1, 1), the same whatever the batch.

    A float sum depends on its order, which depends on the shape; a sum of integers does not: the values
    in [0, 1] are taken to multiples of 2**-31.
    """
    fixed = (images.to(torch.float64) * 2.0**31).round_().to(torch.int64)
    total = fixed.sum(dim=(2, 3), keepdim=True).to(torch.float64)
    return (total / (images.shape[2] * images.shape[3] * 2.0**31)).to(images.dtype)
