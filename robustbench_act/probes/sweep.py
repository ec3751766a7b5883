"""One pass over a layer's values, which makes every sum that `per_sample` and `elements` need.

A layer's values leave the cache before the next operation reads them, so what counts is how often they are
read: a dozen operations of PyTorch cost more than the small network they watch. On a CPU a compiled loop
reads float32 values once; all else is left to PyTorch.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from corruptions import kernel
from robustbench_act.tally.mergeable_stats import Moments

_CACHE = 2**19  # values taken at a time


class Sweep(NamedTuple):
    """The sums over the elements of each sample of a batch (versions, n, ...), clean in the first version.

    Attributes
    ----------
    moved : Tensor
        float64 (versions, n): sum_i |x^_i - x_i| of each sample; 0 for the clean version, NaN if that is
        not finite.
    moved_squares : Tensor
        float64 (versions, n): sum_i (x^_i - x_i)^2.
    squares : Tensor
        float64 (versions, n): sum_i x^_i^2.
    norm : Tensor
        float64 (1, n): sum_i |x_i| of the clean version.
    deviation : Tensor
        float64 (1, n): sum_i (x_i - mean)^2 of the clean version.
    """

    moved: Tensor
    moved_squares: Tensor
    squares: Tensor
    norm: Tensor
    deviation: Tensor


def sweep(stacked: Tensor, totals: Tensor | None = None) -> Sweep:
    """Return the sums of a batch (versions, n, ...).

    `totals`, float64 (versions, ...), gets the values of each element added, sample by sample: in an order
    that does not depend on the batches, whatever their memory format.

    >>> found = sweep(torch.tensor([[[1.0, 2.0]], [[2.0, 0.0]]]))
    >>> found.moved.flatten().tolist(), found.moved_squares.flatten().tolist(), found.norm.item()
    ([0.0, 3.0], [0.0, 5.0], 3.0)
    """
    if _is_channels_last(stacked if totals is None else totals.unsqueeze(1)):
        stacked = stacked.movedim(2, -1)
        totals = None if totals is None else totals.movedim(1, -1)
    rows = stacked.flatten(3) if stacked.ndim > 3 else stacked.unsqueeze(2)
    sums = None if totals is None else totals.view(len(rows), *rows.shape[2:])
    if rows.device.type == "cpu" and rows.dtype == torch.float32:
        return _in_one_loop(rows.contiguous(), sums)
    found = _in_torch(rows)
    if sums is not None:
        for sample in rows.unbind(1):
            sums += sample
    return found


def _is_channels_last(stacked: Tensor) -> bool:
    """Tell whether (versions, n, C, H, W) lies in memory with the channels last."""
    return stacked.ndim == 5 and not stacked.is_contiguous() and stacked.movedim(2, -1).is_contiguous()


def totals_of(stacked: Tensor) -> Tensor:
    """Return zeros for `sweep` to add to, float64 (versions, ...), in the memory format of a batch."""
    shape = (len(stacked), *stacked.shape[2:])
    if _is_channels_last(stacked):
        versions, channels, *sides = shape
        last = torch.zeros((versions, *sides, channels), dtype=torch.float64, device=stacked.device)
        return last.movedim(-1, 1)
    return torch.zeros(shape, dtype=torch.float64, device=stacked.device)


def _in_one_loop(rows: Tensor, totals: Tensor | None) -> Sweep:
    versions, samples = rows.shape[:2]
    found = np.empty((3, versions, samples))
    clean = np.empty((2, samples))
    sums = np.empty((0, 0, 0)) if totals is None else totals.numpy()
    _loop()(rows.numpy(), sums, found, clean)
    whole, first = torch.from_numpy(found), torch.from_numpy(clean)[:, None]
    return Sweep(*whole, *first)


def _add_up(rows: Any, totals: Any, found: Any, clean: Any) -> None:  # noqa: C901 - numba inlines it
    """Fill in moved, moved_squares and squares, then norm and deviation; see `Sweep`. Compiled by `_loop`.

    In float32 within a channel, in float64 over the channels.
    """
    versions, samples, channels, values = rows.shape
    for version in range(versions):
        for sample in range(samples):
            moved = moved_squares = squares = 0.0
            for channel in range(channels):
                part: Any = np.float32(0)
                part_squares: Any = np.float32(0)
                part_own: Any = np.float32(0)
                for place in range(values):
                    own = rows[version, sample, channel, place]
                    change = own - rows[0, sample, channel, place]
                    part += abs(change)
                    part_squares += change * change
                    part_own += own * own
                moved += part
                moved_squares += part_squares
                squares += part_own
                if totals.size:
                    for place in range(values):
                        totals[version, channel, place] += rows[version, sample, channel, place]
            found[0, version, sample] = moved
            found[1, version, sample] = moved_squares
            found[2, version, sample] = squares
    for sample in range(samples):
        norm = mean = deviation = 0.0
        for channel in range(channels):
            for place in range(values):
                own = rows[0, sample, channel, place]
                mean += own
                norm += abs(own)
        mean /= max(channels * values, 1)
        for channel in range(channels):
            for place in range(values):
                deviation += (rows[0, sample, channel, place] - mean) ** 2
        clean[0, sample] = norm
        clean[1, sample] = deviation


@cache
def _loop() -> Callable[..., None]:
    """Compile the loop: a second, or less where the result of an earlier process can be kept."""
    from numba import njit  # noqa: PLC0415 - a third of a second to load

    signature = "void(float32[:,:,:,::1], float64[:,:,::1], float64[:,:,::1], float64[:,::1])"
    exact: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return njit(signature, cache=True, **exact)(_add_up)
    except RuntimeError:  # no folder for it that can be written to
        return njit(signature, **exact)(_add_up)


@kernel
def _in_torch(rows: Tensor) -> Sweep:
    """Return the sums by operations of PyTorch; `corruptions.use_compile` makes them one pass."""
    parts = [_sums(part) for part in _in_cache(rows)]
    return Sweep(
        torch.cat([part.moved for part in parts], 1),
        torch.cat([part.moved_squares for part in parts], 1),
        torch.cat([part.squares for part in parts], 1),
        torch.cat([part.norm for part in parts], 1),
        torch.cat([part.clean.m2 for part in parts], 1),
    )


def _in_cache(rows: Tensor) -> tuple[Tensor, ...]:
    """Return a batch (versions, n, ...) in parts, one or more samples each, that a CPU's cache holds."""
    values = len(rows) * rows.shape[2:].numel()
    if torch.compiler.is_compiling() or rows.device.type != "cpu":
        return (rows,)
    return torch.split(rows, max(1, _CACHE // max(values, 1)), 1)


class _Sums(NamedTuple):
    """Sums over some channels, see `Sweep`, and the moments of the clean x."""

    moved: Tensor
    moved_squares: Tensor
    squares: Tensor
    norm: Tensor
    clean: Moments

    def merged(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.moved + other.moved,
            self.moved_squares + other.moved_squares,
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
    mean = clean.mean(-1)
    within = _sum_of_squares(clean - mean[..., None])
    mean = mean.double()
    middle = mean.mean(-1)
    between = (mean - middle[..., None]).square().sum(-1) * rows.shape[-1]
    return _Sums(
        change.abs().sum(-1).sum(-1, dtype=torch.float64),
        _sum_of_squares(change),
        _sum_of_squares(wide),
        clean.abs().sum(-1).sum(-1, dtype=torch.float64),
        Moments(rows.shape[2:].numel(), middle, within + between),
    )


def _sum_of_squares(values: Tensor) -> Tensor:
    """Return the sum of the squares of floats (versions, n, channels, values), float64 (versions, n)."""
    return values.square().sum(-1).sum(-1, dtype=torch.float64)
