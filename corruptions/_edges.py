"""Edges and the distance from them, as OpenCV finds them: exact, in integers that float32 holds."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ._filters import pad

_TANGENT = 13573 / 2**15  # of 22.5 degrees, in OpenCV's fixed point
_ROUNDS, _STEPS = 4, 8
"""Weak edges are followed for 32 pixels from a strong one: in 360 layers of spatter 5 were the most."""

_UNIT = 2.0**16
_LINES = (
    (1, 0, 65536),
    (0, 1, 65536),
    (1, 1, 91750),
    (1, -1, 91750),
    (1, 2, 143976),
    (2, 1, 143976),
    (1, -2, 143976),
    (2, -1, 143976),
)
"""(rows, columns, length * 2**16) of the moves that OpenCV's 5 x 5 distance is made of: 1, 1.4 and 2.1969."""


def canny(levels: Tensor, low: int, high: int) -> Tensor:
    """Return where levels (N, 1, H, W) of 0, ..., 255 have an edge, bool.

    3 x 3 Sobel derivatives, edges replicated; |dx| + |dy|; only greatest values across the edge; those above
    `high`, and those above `low` that touch one, directly or through others, 32 pixels at most.
    """
    strong, weak = _ridges(levels, low, high)
    for _ in range(_ROUNDS):
        strong = _follow(strong, weak)
    return strong


def _ridges(levels: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
    edges = pad(pad(levels, 1, axis=2, mode="replicate"), 1, axis=3, mode="replicate")
    down = edges[:, :, :-2] + 2 * edges[:, :, 1:-1] + edges[:, :, 2:]
    across = edges[:, :, :, :-2] + 2 * edges[:, :, :, 1:-1] + edges[:, :, :, 2:]
    dx = down[:, :, :, 2:] - down[:, :, :, :-2]
    dy = across[:, :, 2:] - across[:, :, :-2]
    x, y = dx.abs(), dy.abs()
    strength = x + y
    m = F.pad(strength, (1, 1, 1, 1))
    height, width = levels.shape[2:]

    def neighbour(row: int, column: int) -> Tensor:
        return m[:, :, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    flat, steep = y < x * _TANGENT, y > x * (_TANGENT + 2)
    falling = torch.where(
        (dx < 0) != (dy < 0),
        (strength > neighbour(-1, 1)) & (strength > neighbour(1, -1)),
        (strength > neighbour(-1, -1)) & (strength > neighbour(1, 1)),
    )
    level = (strength > neighbour(0, -1)) & (strength >= neighbour(0, 1))
    upright = (strength > neighbour(-1, 0)) & (strength >= neighbour(1, 0))
    weak = torch.where(flat, level, torch.where(steep, upright, falling)) & (strength > low)
    return weak & (strength > high), weak


def _follow(strong: Tensor, weak: Tensor) -> Tensor:
    for _ in range(_STEPS):
        edges = F.pad(strong, (1, 1, 1, 1))
        lines = edges[:, :, :-2] | edges[:, :, 1:-1] | edges[:, :, 2:]
        strong = (lines[..., :-2] | lines[..., 1:-1] | lines[..., 2:]) & weak
    return strong


def chamfer_distance(edges: Tensor, farthest: float) -> Tensor:
    """Return the distance of each pixel from the nearest edge, at most `farthest`, float32 (N, 1, H, W).

    The length of the shortest way of moves to a neighbour (1, diagonally 1.4) or a knight's move away
    (2.1969). Such a way has two kinds of moves at most, in any order: so one line of moves after the other
    is followed, 1, 2, 4, ... at a time.
    """
    units = torch.where(edges, 0.0, farthest * _UNIT).to(torch.float32)
    for rows, columns, length in _LINES:
        stride = 1
        while stride * length <= farthest * _UNIT and stride * max(rows, abs(columns)) < max(edges.shape[2:]):
            units = _move(units, stride * rows, stride * columns, float(stride * length))
            stride *= 2
    return units / _UNIT


def _move(units: Tensor, rows: int, columns: int, length: float) -> Tensor:
    """Return the least of a value and of those (rows, columns) before and after it plus `length`."""
    height, width = units.shape[2:]
    far, wide = min(rows, height), min(abs(columns), width)
    tall, broad = height - far, width - wide
    if columns < 0:
        first, second = units[:, :, :tall, wide:], units[:, :, far:, :broad]
    else:
        first, second = units[:, :, :tall, :broad], units[:, :, far:, wide:]
    nearer_first, nearer_second = torch.minimum(first, second + length), torch.minimum(second, first + length)
    result = units.clone()
    if columns < 0:
        result[:, :, :tall, wide:] = nearer_first
        after = result[:, :, far:, :broad]
    else:
        result[:, :, :tall, :broad] = nearer_first
        after = result[:, :, far:, wide:]
    after.copy_(torch.minimum(after, nearer_second))
    return result
