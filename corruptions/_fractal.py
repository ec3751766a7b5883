"""The plasma fractal of the fog: a diamond-square map that wraps around."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def map_side(height: int, width: int, least: int) -> int:
    """Return the side of a map that covers an image: a power of two from `least` up.

    >>> map_side(28, 32, 32), map_side(224, 300, 256)
    (32, 512)
    """
    return max(least, 1 << (max(height, width) - 1).bit_length())


def plasma(u: Tensor, side: int, decay: float) -> Tensor:
    """Return maps (N, side, side) from 0 to 1.

    Each level doubles the grid, starting from one value: the middle of four neighbours is their mean plus
    noise, first of the squares, then of the diamonds between. The noise is w * U(-w, w); w is 100 at first
    and divided by `decay` at each level. In the end the map is shifted and scaled to [0, 1].

    U is made of u (N, side**2 - 1) in [0, 1], in the order of use: for k = 1, 2, 4, ..., side / 2 three
    arrays (k, k), for the middles of the squares, of the horizontal and of the vertical edges. `side` is a
    power of two.
    """
    grid = torch.zeros((len(u), 1, 1), dtype=u.dtype, device=u.device)
    width, used, count = 100.0, 0, 1
    while count < side:
        noise = u[:, used : used + 3 * count**2] * (2 * width * width)
        of_squares, of_rows, of_columns = noise.sub_(width * width).view(-1, 3, count, count).unbind(1)
        right = grid + grid.roll(-1, 2)
        squares = (right + right.roll(-1, 1)).mul_(0.25).add_(of_squares)
        horizontal = (squares + squares.roll(1, 1)).add_(right).mul_(0.25).add_(of_rows)
        vertical = (
            (squares + squares.roll(1, 2)).add_(grid).add_(grid.roll(-1, 1)).mul_(0.25).add_(of_columns)
        )
        finer = grid.new_empty(len(u), count, 2, count, 2)
        finer[:, :, 0, :, 0], finer[:, :, 0, :, 1] = grid, horizontal
        finer[:, :, 1, :, 0], finer[:, :, 1, :, 1] = vertical, squares
        grid = finer.view(len(u), 2 * count, 2 * count)
        width, used, count = width / decay, used + 3 * count**2, 2 * count
    grid -= grid.amin((1, 2), keepdim=True)
    return grid.div_(grid.amax((1, 2), keepdim=True))


def host_plasma(
    u: NDArray[np.float32], side: int, decay: float, corner: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the upper left corners, (N, *corner), of the maps that `plasma` makes of float32."""
    factors, shifts = _noise_range(side, decay)
    noise = u * factors
    noise -= shifts
    # The last row and column are the first ones again: a neighbour is a shifted view.
    grid = np.zeros((len(u), 2, 2), dtype=np.float32)
    used, count = 0, 1
    while count < side:
        of_squares, of_rows, of_columns = (
            noise[:, used + part * count**2 : used + (part + 1) * count**2].reshape(-1, count, count)
            for part in range(3)
        )
        finer = np.empty((len(u), 2 * count + 1, 2 * count + 1), dtype=np.float32)
        around = np.empty((len(u), count + 1, count + 1), dtype=np.float32)
        right = grid[:, :, :-1] + grid[:, :, 1:]
        squares = np.add(right[:, :-1], right[:, 1:], out=around[:, 1:, 1:])
        squares *= 0.25
        squares += of_squares
        around[:, 0, 1:], around[:, 1:, 0] = squares[:, -1], squares[:, :, -1]
        horizontal = squares + around[:, :-1, 1:]
        horizontal += right[:, :-1]
        horizontal *= 0.25
        vertical = squares + around[:, 1:, :-1]
        vertical += grid[:, :-1, :-1]
        vertical += grid[:, 1:, :-1]
        vertical *= 0.25
        finer[:, :-1:2, :-1:2], finer[:, 1::2, 1::2] = grid[:, :-1, :-1], squares
        np.add(horizontal, of_rows, out=finer[:, :-1:2, 1::2])
        np.add(vertical, of_columns, out=finer[:, 1::2, :-1:2])
        finer[:, -1] = finer[:, 0]
        finer[:, :, -1] = finer[:, :, 0]
        grid, used, count = finer, used + 3 * count**2, 2 * count
    least, greatest = (extreme((1, 2), keepdims=True) for extreme in (grid.min, grid.max))
    made: NDArray[np.float32] = grid[:, : corner[0], : corner[1]] - least
    made /= greatest - least
    return made


@lru_cache(maxsize=8)
def _noise_range(side: int, decay: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return twice w * w, and w * w, for each number of `plasma`'s u."""
    widths = []
    width, count = 100.0, 1
    while count < side:
        widths += [width * width] * (3 * count**2)
        width, count = width / decay, 2 * count
    squares = np.array(widths)
    return (squares * 2).astype(np.float32), squares.astype(np.float32)
