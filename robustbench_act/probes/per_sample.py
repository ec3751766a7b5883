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
        self._blocks = (
            Blocks()
        )  # of (8, versions, n): what `movement` returns, the input's before the output's
        self._reduced = self._reduce(torch.zeros(8, versions, 0, dtype=torch.float64, device=device))

    def add(self, before: "Movement", after: "Movement") -> None:
        """Add the `movement` of a batch's inputs and of its outputs."""
        values = [value.expand_as(before[0]) for value in (*before, *after)]
        for block in self._blocks.add(torch.stack(values)):
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
        return _Reduced(
            [_moments_of_ratio(*ratio) for ratio in ratios],
            [self._histogram(moved) for moved in (input_moved, output_moved)],
            (~values[[0, 1, 4, 5]].isfinite()).any(0).sum(1),  # squares may overflow where values do not
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


Movement = tuple[Tensor, Tensor, Tensor, Tensor]
"""See `movement`."""


@kernel
def movement(stacked: Tensor) -> Movement:
    """Return how far each sample of a batch (versions, n, ...) is from its clean version, the first.

    `corruptions.use_compile` makes it one pass over the values.

    Returns
    -------
    moved : Tensor
        float64 (versions, n): sum_i |x^_i - x_i| of each sample; 0 for the clean version, NaN if that is
        not finite.
    norm : Tensor
        float64 (1, n): sum_i |x_i| of the clean version.
    rms : Tensor
        float64 (versions, n): the root of the mean square of x^_i - x_i.
    spread : Tensor
        float64 (1, n): standard deviation of the x_i of the clean version (divisor: their number).
    """
    rows = stacked.flatten(3) if stacked.ndim > 3 else stacked.unsqueeze(2)
    parts = [_sums(part) for part in _in_cache(rows)]
    elements = rows.shape[2:].numel()
    return (
        torch.cat([part.moved for part in parts], 1),
        torch.cat([part.norm for part in parts], 1),
        torch.cat([part.squares for part in parts], 1).div(elements).sqrt(),
        torch.cat([part.clean.m2 for part in parts], 1).div(elements).sqrt(),
    )


def _in_cache(rows: Tensor) -> tuple[Tensor, ...]:
    """Return a batch (versions, n, ...) in parts, one or more samples each, that a CPU's cache holds."""
    values = len(rows) * rows.shape[2:].numel()
    if torch.compiler.is_compiling() or rows.device.type != "cpu":
        return (rows,)
    return torch.split(rows, max(1, _CACHE // max(values, 1)), 1)


class _Sums(NamedTuple):
    """Sums over some channels: |x^ - x| and its square, |x|, and the moments of the clean x."""

    moved: Tensor
    squares: Tensor
    norm: Tensor
    clean: Moments

    def merged(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.moved + other.moved,
            self.squares + other.squares,
            self.norm + other.norm,
            self.clean.merged(other.clean),
        )


def _sums(rows: Tensor) -> _Sums:
    """Return the sums of a batch (versions, n, channels, values)."""
    in_parts = rows.device.type == "cpu" and not torch.compiler.is_compiling()
    if in_parts and rows.shape[2] > 1 and rows.numel() > 2 * _CACHE:
        one, other = (_sums(half) for half in rows.chunk(2, 2))
        return one.merged(other)
    # In float32 within a channel, whose sum does not depend on the batch, in float64 over the channels.
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    change, clean = wide - wide[:1], wide[:1]
    moved, norm, mean = change.abs_().sum(-1), clean.abs().sum(-1), clean.mean(-1)
    within = (clean - mean[..., None]).square_().sum(-1).sum(-1, dtype=torch.float64)
    mean = mean.double()
    middle = mean.mean(-1)
    between = (mean - middle[..., None]).square().sum(-1) * rows.shape[-1]
    return _Sums(
        moved.sum(-1, dtype=torch.float64),
        change.square_().sum(-1).sum(-1, dtype=torch.float64),
        norm.sum(-1, dtype=torch.float64),
        Moments(rows.shape[2:].numel(), middle, within + between),
    )
