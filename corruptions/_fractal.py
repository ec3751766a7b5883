"""The plasma fractal of the fog: a diamond-square map that wraps around."""

import torch
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
