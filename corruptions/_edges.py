"""Edges and the distance from them, as OpenCV finds them: exact, in 16-bit integers.

Masks are integers too, 0 or -1: a comparison takes torch eight times as long, a `where` longer still.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ._compile import device_constant

_TANGENT = 13573 / 2**15  # of 22.5 degrees, in OpenCV's fixed point
_ROUNDS, _STEPS = 8, 4
"""Off the CPU weak edges are followed for 32 pixels from a strong one: 360 layers needed at most 5."""

_LENGTHS = (65536 / 2**16, 91750 / 2**16, 143976 / 2**16)
"""Lengths of a straight, a diagonal and a knight's move: those of OpenCV's 5 x 5 distance."""

_UNITS = (1638, 2291, 3574)
"""The same in units that keep paths of up to 20 pixels in order of length, and fit into 16 bits."""

_LINES = (
    (1, 0, 0),
    (0, 1, 0),
    (1, 1, 1),
    (1, -1, 1),
    (1, 2, 2),
    (2, 1, 2),
    (1, -2, 2),
    (2, -1, 2),
)
"""(rows, columns, kind) of the moves."""

_EDGE = -(2**15)
"""An edge's own distance, in units: all 16 bits are needed."""

FARTHEST = 20
"""Largest distance from an edge, pixels."""


def canny(levels: Tensor, low: int, high: int) -> Tensor:
    """Return where levels (N, 1, H, W) of 0, ..., 255 have an edge: 0 or 1, uint8.

    3 x 3 Sobel derivatives, edges replicated; |dx| + |dy|; only maxima across the edge; of these, those above
    `high`, and those above `low` that are connected with one; off the CPU, over 32 pixels at most.
    """
    strong, weak = _ridges(levels, low, high)
    if strong.device.type == "cpu":  # on other devices, looking would mean waiting
        while not torch.equal(grown := _follow(strong, weak), strong):
            strong = grown
        return strong
    for _ in range(_ROUNDS):
        strong = _follow(strong, weak)
    return strong


def _ridges(levels: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
    """Return which maxima are above `high` and which above `low`."""
    edges = F.pad(levels, (1, 1, 1, 1), mode="replicate").to(torch.int16)
    down = edges[:, :, :-2] + edges[:, :, 2:] + edges[:, :, 1:-1] * 2
    across = edges[..., :-2] + edges[..., 2:] + edges[..., 1:-1] * 2
    dx = down[..., 2:] - down[..., :-2]
    dy = across[:, :, 2:] - across[:, :, :-2]
    x, y = dx.abs(), dy.abs()
    strength = x + y
    m = F.pad(strength, (1, 1, 1, 1))
    height, width = levels.shape[2:]

    def neighbour(row: int, column: int) -> Tensor:
        return m[:, :, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    # y < x tan 22.5 and y > x tan 67.5 = x (tan 22.5 + 2), all whole numbers but the tangent
    slope = (x.to(torch.float32) * _TANGENT).floor_().to(torch.int16)
    flat, steep = (y - slope - 1).clamp_(-1, 0), (slope + x * 2 - y).clamp_(-1, 0)
    opposite = dx.clamp(-1, 0) ^ dy.clamp(-1, 0)
    rising = torch.maximum(neighbour(-1, 1), neighbour(1, -1))
    falling = torch.maximum(neighbour(-1, -1), neighbour(1, 1))
    level = torch.maximum(neighbour(0, -1), neighbour(0, 1) - 1)
    upright = torch.maximum(neighbour(-1, 0), neighbour(1, 0) - 1)
    rival = _choose(flat, level, _choose(steep, upright, _choose(opposite, rising, falling)))
    strong, weak = ((strength - rival.clamp(min=least)).clamp_(0, 1).to(torch.uint8) for least in (high, low))
    return strong, weak


def _choose(mask: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return `first` where the mask is -1 and `second` where it is 0."""
    return ((first ^ second) & mask) ^ second


def _follow(strong: Tensor, weak: Tensor) -> Tensor:
    for _ in range(_STEPS):
        edges = F.pad(strong, (1, 1, 1, 1))
        lines = edges[:, :, :-2] | edges[:, :, 1:-1] | edges[:, :, 2:]
        strong = (lines[..., :-2] | lines[..., 1:-1] | lines[..., 2:]) & weak
    return strong


def chamfer_distance(edges: Tensor) -> Tensor:
    """Return the distance of each pixel from the nearest edge, at most `FARTHEST`, float32 (N, 1, H, W).

    `edges` is 1 where there is one and 0 elsewhere. The distance is the length of the shortest path of
    straight (1), diagonal (1.4) and knight's moves (2.1969). Such a path needs at most two directions, in any
    order: so one direction after the other is followed, 1, 2, 4, ... moves at a time.
    """
    limit = FARTHEST * _UNITS[0]
    units = (1 - edges).to(torch.int16) * limit + _EDGE
    # With `FARTHEST` far pixels between rows and images, a move is a shift of one long line of numbers.
    height, width = (side + FARTHEST for side in edges.shape[2:])
    line = F.pad(units, (0, FARTHEST, 0, FARTHEST), value=limit + _EDGE).flatten()
    spare = torch.empty_like(line)
    for rows, columns, kind in _LINES:
        for stride in (1, 2, 4, 8, 16):
            length = stride * _UNITS[kind]
            if length < limit and stride * max(rows, abs(columns)) < max(edges.shape[2:]):
                _shorten(line, spare, stride * (rows * width + columns), length)
    found = line.view(-1, 1, height, width)[:, :, :-FARTHEST, :-FARTHEST].to(torch.int32) - _EDGE
    lengths = device_constant(_lengths, device=edges.device)
    return lengths.index_select(0, found.flatten()).view(edges.shape)


def _shorten(line: Tensor, spare: Tensor, shift: int, length: int) -> None:
    """Set each value to the least of itself and, plus `length`, those `shift` places before and after it."""
    before, after, sums = line[:-shift], line[shift:], spare[:-shift]
    torch.minimum(before, torch.add(after, length, out=sums), out=before)
    torch.minimum(after, torch.add(before, length, out=sums), out=after)


def _lengths() -> NDArray[np.float32]:
    """Return the length of a path by its units, filled in for the paths of up to `FARTHEST` pixels."""
    lengths = np.zeros(FARTHEST * _UNITS[0] + 1, dtype=np.float32)
    for far, near in np.ndindex(FARTHEST + 1, FARTHEST + 1):
        diagonal, knight = max(2 * near - far, 0), min(near, far - near)
        moves = (far - near - knight, diagonal, knight)
        units = sum(count * unit for count, unit in zip(moves, _UNITS, strict=True))
        if near <= far and units < len(lengths):
            lengths[units] = sum(count * length for count, length in zip(moves, _LENGTHS, strict=True))
    return lengths
