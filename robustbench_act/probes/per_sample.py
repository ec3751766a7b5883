"""Sample level: how much each sample's layer input and output move when the network's input is shifted.

For one sample with clean input y and shifted input y^ of an activation layer g with D elements (LayerAct,
arXiv 2306.04940, section 3: "activation fluctuation"):

    input fluctuation       sum_i |y^_i - y_i|
    output fluctuation      sum_i |g(y^)_i - g(y)_i|
    input relative          input fluctuation / sum_i |y_i|
    output relative         output fluctuation / sum_i |g(y)_i|
    amplification           output fluctuation / input fluctuation

Sums of absolute values are in the layer's own units, and sum_i |y_i| grows with the mean of y; a later layer
absorbs both. Without units, with the root mean square over the elements of how far they move from their clean
values (their standard deviation about these: a common shift counts):

    input disturbance           rms_i(y^_i - y_i) / sd_i(y_i)
    output disturbance          rms_i(g(y^)_i - g(y)_i) / sd_i(g(y)_i)
    scale-free amplification    output disturbance / input disturbance
"""

from typing import NamedTuple

import torch
from torch import Tensor

from robustbench_act.probes._blocks import Blocks
from robustbench_act.probes.sweep import Sweep
from robustbench_act.tally.mergeable_stats import BINS, EDGES, Moments


class SampleStatistics:
    """Moments and histograms over samples of `QUANTITIES`, for each version of the stacked batch.

    State of fixed size: up to 1024 samples are held back, see `Blocks`.
    """

    def __init__(self, versions: int, elements: int, device: torch.device) -> None:
        self._elements = elements
        self._edges = torch.from_numpy(EDGES).to(device)
        self._blocks = Blocks()  # of (8, versions, n): `_measures` of the input before those of the output
        self._reduced = self._reduce(torch.zeros(8, versions, 0, dtype=torch.float64, device=device))

    def add(self, before: Sweep, after: Sweep) -> None:
        """Add a batch: the sums of its inputs and of its outputs."""
        values = [value for found in (before, after) for value in self._measures(found)]
        for block in self._blocks.add(torch.stack(values)):
            self._reduced = self._reduced.merged(self._reduce(block))

    def _measures(self, found: Sweep) -> list[Tensor]:
        """Return how far each sample moved, its clean norm, and both as root mean squares, (versions, n)."""
        rms, spread = ((value / self._elements).sqrt() for value in (found.moved_squares, found.deviation))
        return [value.expand_as(found.moved) for value in (found.moved, found.norm, rms, spread)]

    def reduced(self) -> "Reduced":
        """Return the results of all samples so far."""
        return self._reduced.merged(self._reduce(self._blocks.rest))

    def _reduce(self, values: Tensor) -> "Reduced":
        input_moved, input_norm, input_rms, input_spread = values[:4]
        output_moved, output_norm, output_rms, output_spread = values[4:]
        always = torch.ones_like(input_moved)
        ratios = [
            (input_moved, always),
            (output_moved, always),
            (input_moved, input_norm),
            (output_moved, output_norm),
            (output_moved, input_moved),
            (input_rms, input_spread),
            (output_rms, output_spread),
            (output_rms * input_spread, input_rms * output_spread),
        ]
        return Reduced(
            [_moments_of_ratio(*ratio) for ratio in ratios],
            [self._histogram(moved) for moved in (input_moved, output_moved)],
            (~values[[0, 1, 4, 5]].isfinite()).any(0).sum(1),  # squares may overflow where values do not
        )

    def _histogram(self, moved: Tensor) -> Tensor:
        bins = torch.bucketize(moved / self._elements, self._edges)
        return bins.new_zeros(len(moved), BINS).scatter_add_(1, bins, torch.ones_like(bins))


class Reduced(NamedTuple):
    """The results of some samples.

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

    moments: list[Moments]
    histograms: list[Tensor]
    nonfinite: Tensor

    def merged(self, other: "Reduced") -> "Reduced":
        """Return those of both together."""
        return Reduced(
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
