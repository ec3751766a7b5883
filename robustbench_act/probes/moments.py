"""Mean and variance of a stream of numbers, merged exactly (Chan, Golub & LeVeque 1983)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of samples, for many quantities at once.

    Attributes
    ----------
    count
        Samples so far.
    mean, m2
        float64 (K,), one value for each quantity.

    Examples
    --------
    >>> moments = Moments.zeros(1)
    >>> moments.add(torch.tensor([[1.0, 2.0]])); moments.add(torch.tensor([[6.0]]))
    >>> moments.count, moments.mean.item(), moments.m2.item()
    (3, 3.0, 14.0)
    """

    count: int
    mean: Tensor
    m2: Tensor

    @classmethod
    def zeros(cls, quantities: int, *, device: torch.device | None = None) -> "Moments":
        """Return the moments of no sample."""
        zero = torch.zeros(quantities, dtype=torch.float64, device=device)
        return cls(0, zero, zero.clone())

    def add(self, samples: Tensor) -> None:
        """Add `samples` (K, n)."""
        added = samples.shape[1]
        if added == 0:
            return
        samples = samples.double()
        mean = samples.mean(1)
        m2 = (samples - mean[:, None]).square().sum(1)
        total = self.count + added
        delta = mean - self.mean
        self.mean = self.mean + delta * (added / total)
        self.m2 = self.m2 + m2 + delta.square() * (self.count * added / total)
        self.count = total
