"""Resampling of batches: boxes, affine maps, displacements; images are independent, to the bit."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ._compile import device_constant, kernel
from ._host import Levels, turned

WEIGHT_BITS = 22
"""Fraction bits of Pillow's resampling weights."""


def pixelate(images: Tensor, reduced: tuple[int, int]) -> Tensor:
    """Return images (N, C, H, W) in [0, 1] resized to `reduced` and back by Pillow's BOX filter.

    A pixel of the small image is the mean of those whose centres lie in its window, (middle - s / 2,
    middle + s / 2] for the scale s: no pixel counts in part. Values are rounded to 256 levels; means are
    taken along the rows, then along the columns, and each time rounded to a level (recent Pillow does the
    columns first if H > 2 W; we do not). Back, a pixel is that of the small image it lies in.
    """
    small = _nearest_levels(images)
    for axis, side in ((3, reduced[1]), (2, reduced[0])):
        constants = (
            device_constant(build, images.shape[axis], side, device=images.device)
            for build in (_box_index, _box_inside, _box_weight)
        )
        small = _box_axis(small, *constants, axis=axis)
    small = small.to(images.dtype) / 255
    for axis, side in ((3, reduced[1]), (2, reduced[0])):
        index = device_constant(_box_index, side, images.shape[axis], device=images.device)
        small = _take(small, index[0], axis)
    return small


def pixelate_levels(images: Levels, reduced: tuple[int, int]) -> Levels:
    """Return the same of levels (N, C, H, W), in integers: whole rows at a time, columns as rows."""
    height, width = images.shape[2:]
    small = turned(_box_rows(turned(images.reshape(-1, height, width)), reduced[1]))
    small = turned(_box_rows(small, reduced[0]))
    wide = turned(small.take(_box_index(reduced[1], width)[0], axis=1))
    made: Levels = wide.take(_box_index(reduced[0], height)[0], axis=1)
    return made.reshape(images.shape)


def _box_rows(planes: Levels, reduced: int) -> Levels:
    """Return planes (P, side, W) with the means of `reduced` windows of rows."""
    side = planes.shape[1]
    index, inside, weight = (build(side, reduced) for build in (_box_index, _box_inside, _box_weight))
    total = planes.take(index[0], axis=1).astype(np.uint16 if len(index) <= 2**16 // 255 else np.uint32)
    for tap in range(1, len(index)):
        has = np.flatnonzero(inside[tap])
        if len(has) == reduced:
            total += planes.take(index[tap], axis=1)
        else:
            total[:, has] += planes.take(index[tap][has], axis=1)
    fixed = total * weight.astype(np.uint32)[:, None]
    fixed += np.uint32(1 << (WEIGHT_BITS - 1))
    fixed >>= WEIGHT_BITS
    means: Levels = fixed.astype(np.uint8)
    return means


def _box_axis(levels: Tensor, index: Tensor, inside: Tensor, weight: Tensor, *, axis: int) -> Tensor:
    # Not a kernel: it would be compiled again for every number of taps.
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    total = _take(levels, index[0], axis)
    for tap in range(1, len(index)):
        total += _take(levels, index[tap], axis).mul_(inside[tap].view(shape))
    return _fixed_mean(total, weight.view(shape))


@kernel
def _nearest_levels(images: Tensor) -> Tensor:
    return (images * 255).round_().to(torch.float32)


@kernel
def _fixed_mean(total: Tensor, weight: Tensor) -> Tensor:
    fixed = total.to(torch.int32).mul_(weight).add_(1 << (WEIGHT_BITS - 1))
    return fixed.bitwise_right_shift_(WEIGHT_BITS).to(total.dtype)


def _take(images: Tensor, index: Tensor, axis: int) -> Tensor:
    """Return images.index_select(axis, index); along rows a gather is twice as fast."""
    if axis != 3:
        return images.index_select(axis, index)
    return images.gather(3, index.expand(*images.shape[:3], -1))


@lru_cache(maxsize=16)
def _box_windows(side: int, reduced: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first source pixel of each of `reduced` windows and how many pixels it has."""
    # Centres often lie on the edge of a window, up to the last bit: Pillow's operations in its order.
    scale = side / reduced
    stretch = max(scale, 1.0)
    middle = ((np.arange(reduced) + 0.5) * scale)[:, None]
    pixel = np.arange(side)
    offset = (pixel - middle + 0.5) * (1 / stretch)
    first, last = (middle - stretch / 2 + 0.5).astype(int), (middle + stretch / 2 + 0.5).astype(int)
    inside = (offset > -0.5) & (offset <= 0.5) & (pixel >= first) & (pixel < last)
    return inside.argmax(1), inside.sum(1)


@lru_cache(maxsize=16)
def _box_index(side: int, reduced: int) -> NDArray[np.int64]:
    """Return the source pixels of each window, (taps, reduced); a tap it lacks gets any pixel."""
    first, count = _box_windows(side, reduced)
    return np.minimum(first + np.arange(count.max())[:, None], side - 1)


@lru_cache(maxsize=16)
def _box_inside(side: int, reduced: int) -> NDArray[np.float32]:
    """Return 1 if a window has the tap and 0 if it lacks it, (taps, reduced)."""
    _, count = _box_windows(side, reduced)
    return (np.arange(count.max())[:, None] < count).astype(np.float32)


@lru_cache(maxsize=16)
def _box_weight(side: int, reduced: int) -> NDArray[np.int32]:
    """Return 1 / count of each window in Pillow's fixed point."""
    _, count = _box_windows(side, reduced)
    return np.floor(2.0**WEIGHT_BITS / count + 0.5).astype(np.int32)


@kernel
def affine_positions(matrix: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return where output pixels lie in the input, (N, H, W) float32 each: x and y, multiples of 1/32 pixel.

    As OpenCV 4 computes them: the terms of `matrix` (N, 2, 3), float64, for the column and for the row are
    each rounded to 1/1024, and their sum, half a step added, is cut to 1/32.
    """
    columns = torch.arange(width, dtype=torch.float64, device=matrix.device)
    rows = torch.arange(height, dtype=torch.float64, device=matrix.device)[:, None]
    slope_x, slope_y, offset = (matrix * 1024)[..., None, None].unbind(2)
    fixed = torch.round(slope_x * columns) + torch.round(slope_y * rows + offset)
    x, y = fixed.add_(16).mul_(2.0**-5).floor_().mul_(2.0**-5).to(torch.float32).unbind(1)
    return x, y


def sample(images: Tensor, x: Tensor, y: Tensor, *, mirror: bool) -> Tensor:
    """Return images (N, C, H, W) bilinearly interpolated at the places x, y (N, H, W).

    Beyond the edges the image is reflected: about the middle of the last pixel (`mirror`, dcb|abcd|cba), or
    about its outer edge (symmetric, cba|abcd|dcb).
    """
    grid = _grid(x, y, mirror).to(images.dtype)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=mirror)


@kernel
def _grid(x: Tensor, y: Tensor, mirror: bool) -> Tensor:
    """Return (N, H, W, 2) for `grid_sample`: from -1 to 1 between the end pixels' middles or edges."""
    height, width = x.shape[1:]
    if mirror:
        return torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=3)
    return torch.stack([(x * 2 + 1) * (1 / width) - 1, (y * 2 + 1) * (1 / height) - 1], dim=3)
