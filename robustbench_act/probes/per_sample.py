"""Sample level: how much each sample's layer input and output move when the network's input is shifted.

For one sample with clean input y and shifted input y^ of an activation layer g with D elements (LayerAct,
arXiv 2306.04940, section 3: "activation fluctuation"):

    input fluctuation       sum_i |y^_i - y_i|
    output fluctuation      sum_i |g(y^)_i - g(y)_i|
    input relative          input fluctuation / sum_i |y_i|
    output relative         output fluctuation / sum_i |g(y)_i|
    amplification           output fluctuation / input fluctuation
"""

from typing import NamedTuple

import torch
from torch import Tensor

from corruptions import kernel
from robustbench_act.probes._blocks import Blocks
from robustbench_act.tally.mergeable_stats import BINS, EDGES, Moments

_CACHE = 2**19  # values taken at a time


class SampleStatistics:
    """Moments and histograms over samples of `QUANTITIES`, for each version of the stacked batch.

    State of fixed size: up to 1024 samples are held back, see `Blocks`.

    Attributes
    ----------
    moments : list of Moments
        For each of QUANTITIES, float64 (versions,). Samples for which a quantity is not defined (0 / 0,
        x / 0) are left out of its count; those with NaN or infinite values are not, and make mean and m2
        NaN.
    histograms : list of Tensor
        For each of HISTOGRAMS, int64 (versions, BINS) of fluctuation / D; see `mergeable_stats.EDGES`.
    nonfinite : Tensor
        int64 (versions,): samples with a NaN or an infinite value in the layer's input or output.
    """

    def __init__(self, versions: int, elements: int, device: torch.device) -> None:
        self._elements = elements
        self._edges = torch.from_numpy(EDGES).to(device)
        self._blocks = Blocks()  # of (4, versions, n): fluctuations and clean norms, input before output
        self._reduced = self._reduce(torch.zeros(4, versions, 0, dtype=torch.float64, device=device))

    def add(self, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> None:
        """Add the `movement` of a batch's inputs and of its outputs."""
        norms = [norm.expand_as(moved) for moved, norm in (before, after)]
        for block in self._blocks.add(torch.stack([before[0], after[0], *norms])):
            self._reduced = self._reduced.merged(self._reduce(block))

    @property
    def moments(self) -> list[Moments]:
        """The moments of all samples so far."""
        return self._all().moments

    @property
    def histograms(self) -> list[Tensor]:
        """The histograms of all samples so far."""
        return self._all().histograms

    @property
    def nonfinite(self) -> Tensor:
        """The number of samples that are not finite so far."""
        return self._all().nonfinite

    def _all(self) -> "_Reduced":
        return self._reduced.merged(self._reduce(self._blocks.rest))

    def _reduce(self, values: Tensor) -> "_Reduced":
        input_moved, output_moved, input_norm, output_norm = values
        always = torch.ones_like(input_moved)
        ratios = [
            (input_moved, always),
            (output_moved, always),
            (input_moved, input_norm),
            (output_moved, output_norm),
            (output_moved, input_moved),
        ]
        return _Reduced(
            [_moments_of_ratio(*ratio) for ratio in ratios],
            [self._histogram(moved) for moved in (input_moved, output_moved)],
            (~values.isfinite()).any(0).sum(1),
        )

    def _histogram(self, moved: Tensor) -> Tensor:
        bins = torch.bucketize(moved / self._elements, self._edges)
        return bins.new_zeros(len(moved), BINS).scatter_add_(1, bins, torch.ones_like(bins))


class _Reduced(NamedTuple):
    """The results of some samples, see `SampleStatistics`."""

    moments: list[Moments]
    histograms: list[Tensor]
    nonfinite: Tensor

    def merged(self, other: "_Reduced") -> "_Reduced":
        return _Reduced(
            [old.merged(new) for old, new in zip(self.moments, other.moments, strict=True)],
            [old + new for old, new in zip(self.histograms, other.histograms, strict=True)],
            self.nonfinite + other.nonfinite,
        )


def _moments_of_ratio(over: Tensor, under: Tensor) -> Moments:
    """Return the moments along the last axis of over / under, without those whose `under` is 0."""
    defined = (under != 0).to(over.dtype)  # NaN is not 0
    values = torch.where(under != 0, over / under, 0)
    count = defined.sum(-1)
    mean = values.sum(-1) / count.clamp(min=1)
    return Moments(count, mean, ((values - mean[..., None]) * defined).square().sum(-1))


@kernel
def movement(stacked: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far each sample of a batch (versions, n, ...) is from its clean version, the first.

    `corruptions.use_compile` makes it one pass over the values.

    Returns
    -------
    moved : Tensor
        float64 (versions, n): sum_i |x^_i - x_i| of each sample; 0 for the clean version, NaN if that is
        not finite.
    norm : Tensor
        float64 (1, n): sum_i |x_i| of the clean version.
    """
    rows = stacked.flatten(3) if stacked.ndim > 3 else stacked.unsqueeze(2)
    parts = [_movement(part) for part in _in_cache(rows)]
    return torch.cat([moved for moved, _ in parts], 1), torch.cat([norm for _, norm in parts], 1)


def _in_cache(rows: Tensor) -> tuple[Tensor, ...]:
    """Return a batch (versions, n, ...) in parts, one or more samples each, that a CPU's cache holds."""
    values = len(rows) * rows.shape[2:].numel()
    if torch.compiler.is_compiling() or rows.device.type != "cpu":
        return (rows,)
    return torch.split(rows, max(1, _CACHE // max(values, 1)), 1)


def _movement(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return `movement` of a batch (versions, n, channels, values)."""
    in_parts = rows.device.type == "cpu" and not torch.compiler.is_compiling()
    if in_parts and rows.shape[2] > 1 and rows.numel() > 2 * _CACHE:
        (moved, norm), (more, more_norm) = (_movement(half) for half in rows.chunk(2, 2))
        return moved + more, norm + more_norm
    # In float32 within a channel, whose sum does not depend on the batch, in float64 over the channels.
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    moved, norm = (wide - wide[:1]).abs_().sum(-1), wide[:1].abs().sum(-1)
    return moved.sum(-1, dtype=torch.float64), norm.sum(-1, dtype=torch.float64)
