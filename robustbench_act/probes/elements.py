"""Element level: what each element of a layer does on average over samples.

For element i of a layer with input y and output a over M samples (LayerAct, arXiv 2306.04940, section 3):

    activation mean     mu_i = (1 / M) sum_m a_{m,i}       "zero-like" if |mu_i| is small
    input mean          (1 / M) sum_m y_{m,i}
    activation offset   sum_i mu_i^2 / sum_i s_i^2 - 1 / M      s_i^2: variance over samples, divisor M - 1
    input offset        the same of the input means
    saturated           element i of sample m is, if |d a_{m,i} / d y_{m,i}| < 0.1
    dead                element i is, if it is saturated on every sample

How small |mu_i| is depends on the layer's units, and a mean over M samples of an element whose true mean is 0
is off by s_i / sqrt(M). The offset has no units, and what that chance adds is taken off: E[mu_i^2] is the
square of the true mean + the variance / M. So it estimates (true mean / standard deviation)^2 of the layer's
elements, around 0 for a zero-like layer of any number of samples; single estimates may be below 0.
"""

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from robustbench_act.probes._blocks import Blocks
from robustbench_act.probes.sweep import Sweep, sweep, totals_of
from robustbench_act.tally.layer_columns import mean_columns
from robustbench_act.tally.mergeable_stats import QUANTILES

SATURATED_SLOPE = 0.1
"""An element that passes on less than this share of a small change is saturated."""


class ElementStatistics:
    """Sums over samples of every element, for each version of the stacked batch: O(versions x D) of state."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sums: dict[str, _Sum] = {}
        self._saturated: Tensor | None = None  # int32 (versions, D)

    def swept(self, side: str, stacked: Tensor) -> Sweep:
        """Add a batch (versions, n, ...) of inputs ("activation_input") or outputs ("activation").

        Returns the sums of each sample, which are made in the same pass.
        """
        if side not in self._sums:
            self._sums[side] = _Sum(stacked)
        own = self._sums[side]
        found = sweep(stacked, own.total)
        own.add_squares(found.squares)
        self._counts[side] += stacked.shape[1]
        return found

    def add_slope(self, slope: Tensor) -> None:
        """Add d a / d y of a batch (versions, n, ...)."""
        saturated = (slope.flatten(2).abs() < SATURATED_SLOPE).sum(1, dtype=torch.int32)
        self._counts["slope"] += slope.shape[1]
        self._saturated = saturated if self._saturated is None else self._saturated + saturated

    def drop_slopes(self) -> None:
        """Forget the slopes: they could not be measured on all samples."""
        self._saturated = None

    def columns(self) -> dict[str, Tensor]:
        """Return MEAN_COLUMNS and SLOPE_COLUMNS, as far as they were measured, each float64 (versions,).

        activation_mean, _abs_mean : mean over elements of mu_i and of |mu_i|
        activation_offset : see above; NaN for one sample, or if no element varies
        activation_q05, ... : quantiles of mu_i over the elements
        activation_input_... : the same of the input means
        saturated : share of (sample, element) pairs
        dead : share of the elements
        """
        found: dict[str, Tensor] = {}
        for side, total in self._sums.items():
            mu = total.total.flatten(1) / self._counts[side]
            offset = _offset(mu, total.squares(), self._counts[side])
            values = [mu.mean(1), mu.abs().mean(1), offset, *_quantiles(mu)]
            found |= dict(zip(mean_columns(side), values, strict=True))
        if self._saturated is not None:
            found["saturated"] = self._saturated.double().mean(1) / self._counts["slope"]
            found["dead"] = (self._saturated == self._counts["slope"]).double().mean(1)
        return found


def _offset(mu: Tensor, squares: Tensor, count: int) -> Tensor:
    """Return the offset, (versions,), from means (versions, D) and the sum of all squares (versions,)."""
    of_means = mu.square().sum(1)
    variance = (squares - count * of_means) / max(count - 1, 1)
    varies = variance * count > 1e-6 * squares  # the squares are sums of float32
    return torch.where(varies, of_means / variance - 1 / count, torch.nan)


def _quantiles(values: Tensor) -> Tensor:
    """Return the QUANTILES of each row, (quantiles, rows), to the bit as `numpy.quantile` does.

    >>> _quantiles(torch.tensor([[3.0, 1.0, 2.0]], dtype=torch.float64)).flatten().tolist()
    [1.1, 1.5, 2.0, 2.5, 2.9]
    """
    if values.device.type == "cpu":  # where NumPy sorts 20 times as fast as PyTorch
        ordered = torch.from_numpy(np.sort(values.numpy(), axis=1))
    else:
        ordered = values.sort(1).values
    place = torch.tensor(QUANTILES, dtype=torch.float64, device=values.device) * (values.shape[1] - 1)
    below = place.long()
    share = place - below
    low, high = ordered[:, below], ordered[:, (below + 1).clamp(max=values.shape[1] - 1)]
    step = high - low
    found = torch.where(share < 0.5, low + step * share, high - step * (1 - share))
    return torch.where(ordered[:, -1:].isnan(), torch.nan, found).T  # NaN comes last


class _Sum:
    """The sums over samples, in an order that does not depend on the batches."""

    def __init__(self, like: Tensor) -> None:
        self.total = totals_of(like)
        self._squares = Blocks()
        self._total_squares = torch.zeros(len(like), dtype=torch.float64, device=like.device)

    def add_squares(self, squares: Tensor) -> None:
        """Add the sums of squares of some samples, (versions, n)."""
        for block in self._squares.add(squares):
            self._total_squares += block.sum(1)

    def squares(self) -> Tensor:
        """Return the sum of squares over samples and elements, float64 (versions,)."""
        return self._total_squares + self._squares.rest.sum(1)
