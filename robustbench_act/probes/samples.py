"""Sample level: how much each sample's layer input and output move when the network's input is shifted.

For one sample with clean input y and shifted input y^ of an activation layer g with D elements (LayerAct,
arXiv 2306.04940, section 3: "activation fluctuation"):

    input fluctuation       sum_i |y^_i - y_i|
    output fluctuation      sum_i |g(y^)_i - g(y)_i|
    input relative          input fluctuation / sum_i |y_i|
    output relative         output fluctuation / sum_i |g(y)_i|
    amplification           output fluctuation / input fluctuation
"""

import torch
from torch import Tensor

from robustbench_act.distributions import BINS, EDGES, Moments
from robustbench_act.quantities import HISTOGRAMS, QUANTITIES

_BLOCK = 1024  # samples that are reduced together
_CACHE = 2**19  # values taken at a time


class SampleStatistics:
    """Moments and histograms over samples of `QUANTITIES`, for each version of the stacked batch.

    State of fixed size: samples are held back until there are 1024, so that the rounding of a result does not
    depend on the batches that they came in.

    Attributes
    ----------
    moments : list of Moments
        For each of QUANTITIES, float64 (versions,). Samples for which a quantity is not defined (0 / 0,
        x / 0) are left out of its count; those with NaN or infinite values are not, so that mean and m2 are
        NaN.
    histograms : list of Tensor
        For each of HISTOGRAMS, int64 (versions, BINS) of fluctuation / D; see `distributions.EDGES`.
    nonfinite : Tensor
        int64 (versions,): samples with a NaN or an infinite value in the layer's input or output.
    """

    def __init__(self, versions: int, elements: int, device: torch.device) -> None:
        self._elements = elements
        self._held: list[Tensor] = []  # (4, versions, n): fluctuations and clean norms, input before output
        self._edges = torch.from_numpy(EDGES).to(device)
        zeros = torch.zeros(versions, dtype=torch.float64, device=device)
        self._moments = [Moments(zeros, zeros, zeros) for _ in QUANTITIES]
        self._histograms = [zeros.new_zeros(versions, BINS, dtype=torch.int64) for _ in HISTOGRAMS]
        self._nonfinite = zeros.to(torch.int64)

    def add(self, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> None:
        """Add what `movement` gives for a batch's inputs and outputs."""
        norms = [norm.expand_as(moved) for moved, norm in (before, after)]
        self._held.append(torch.stack([before[0], after[0], *norms]))
        if sum(part.shape[-1] for part in self._held) >= _BLOCK:
            *blocks, rest = torch.split(torch.cat(self._held, -1), _BLOCK, -1)
            if rest.shape[-1] == _BLOCK:
                blocks, rest = [*blocks, rest], rest[..., :0]
            self._held = [rest]
            for block in blocks:
                self._reduce(block)

    @property
    def moments(self) -> list[Moments]:
        """The moments of all samples so far."""
        self._flush()
        return self._moments

    @property
    def histograms(self) -> list[Tensor]:
        """The histograms of all samples so far."""
        self._flush()
        return self._histograms

    @property
    def nonfinite(self) -> Tensor:
        """The number of samples that are not finite so far."""
        self._flush()
        return self._nonfinite

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and sum(part.shape[-1] for part in held):
            self._reduce(torch.cat(held, -1))

    def _reduce(self, values: Tensor) -> None:
        input_moved, output_moved, input_norm, output_norm = values
        always = torch.ones_like(input_moved)
        pairs = [
            (input_moved, always),
            (output_moved, always),
            (input_moved, input_norm),
            (output_moved, output_norm),
            (output_moved, input_moved),
        ]
        self._moments = [
            old.merged(_moments_of_ratio(*pair)) for old, pair in zip(self._moments, pairs, strict=True)
        ]
        for moved, histogram in zip((input_moved, output_moved), self._histograms, strict=True):
            bins = torch.bucketize(moved / self._elements, self._edges)
            histogram.scatter_add_(1, bins, torch.ones_like(bins))
        self._nonfinite = self._nonfinite + (~values.isfinite()).any(0).sum(1)


def _moments_of_ratio(over: Tensor, under: Tensor) -> Moments:
    """Return the moments along the last axis of over / under, where under is not 0."""
    defined = (under != 0).to(over.dtype)  # NaN is not 0
    values = torch.where(under != 0, over / under, 0)
    count = defined.sum(-1)
    mean = values.sum(-1) / count.clamp(min=1)
    return Moments(count, mean, ((values - mean[..., None]) * defined).square().sum(-1))


def movement(stacked: Tensor) -> tuple[Tensor, Tensor]:
    """Return what moves between the versions of a batch (versions, n, ...), the first one clean.

    Returns
    -------
    moved : Tensor
        float64 (versions, n): sum_i |x^_i - x_i| of each sample; 0 for the clean version.
    norm : Tensor
        float64 (1, n): sum_i |x_i| of the clean version.
    """
    sums = torch.cat([_norms(part) for part in _in_cache(stacked)], 1)
    norm = sums[:1].clone()
    sums[0] *= 0  # NaN where the clean version is not finite
    return sums, norm


def _in_cache(stacked: Tensor) -> tuple[Tensor, ...]:
    """Return a batch in parts, some samples each, that a CPU's cache holds; one at least."""
    values = len(stacked) * stacked.shape[2:].numel()
    if stacked.device.type != "cpu":
        return (stacked,)
    return torch.split(stacked, max(1, _CACHE // max(values, 1)), 1)


def _norms(stacked: Tensor) -> Tensor:
    """Return the sums of |x_i| of the first version and of |x^_i - x_i| of the others."""
    if stacked.device.type == "cpu" and stacked.ndim > 3 and stacked.numel() > 2 * _CACHE:
        half = -(-stacked.shape[2] // 2)
        if half < stacked.shape[2]:
            return _norms(stacked[:, :, :half]) + _norms(stacked[:, :, half:])
    wide = torch.promote_types(stacked.dtype, torch.float32)
    moved = torch.empty_like(stacked, dtype=wide)
    moved[0] = stacked[0]
    torch.sub(stacked[1:].to(wide), moved[:1], out=moved[1:])
    moved.abs_()
    # In float32 within a channel, whose sum does not depend on the batch, in float64 over the channels.
    within = moved.flatten(3).sum(-1) if moved.ndim > 3 else moved
    return within.flatten(2).sum(-1, dtype=torch.float64)
