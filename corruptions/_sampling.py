"""Resampling of pixels: boxes, nearest, and bilinear at places that differ from image to image."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._compile import device_constant


def pixelate_levels(levels: Tensor, *, height: int, width: int) -> Tensor:
    """Return levels (N, C, H, W) reduced to `height` x `width` by box means and enlarged again by repetition.

    As Pillow reduces 8-bit images: columns first, then rows, each mean rounded to a whole level.
    """
    full_height, full_width = levels.shape[2:]
    reduced = _box_axis(_box_axis(levels, width, axis=3), height, axis=2)
    rows = device_constant(_nearest, height, full_height, device=levels.device)
    columns = device_constant(_nearest, width, full_width, device=levels.device)
    return reduced.index_select(3, columns).index_select(2, rows)


def _box_axis(levels: Tensor, length: int, *, axis: int) -> Tensor:
    side = levels.shape[axis]
    index = device_constant(_box_index, side, length, device=levels.device)
    share = device_constant(_box_share, side, length, device=levels.device)
    return _box_means(levels, index, share, axis)


def _box_means(levels: Tensor, index: Tensor, share: Tensor, axis: int) -> Tensor:
    """Sum the pixels index[k] of each box (k, length), pixel `side` being none, and round sum * share."""
    nothing = torch.zeros_like(levels.narrow(axis, 0, 1))
    padded = torch.cat([levels, nothing], dim=axis)
    total = padded.index_select(axis, index[0])
    for part in index[1:]:
        total = total + padded.index_select(axis, part)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    # Pillow's fixed point: shares are rounded to 22 bits; sums below 2**31 are exact in float64.
    return torch.floor((total.to(torch.float64) * share.view(shape) + 2**21) / 2**22).to(levels.dtype)


def _boxes(side: int, length: int) -> list[NDArray[np.int64]]:
    """Return the pixels of each box: those whose middle lies in (middle - scale / 2, middle + scale / 2]."""
    scale = side / length
    boxes = []
    for place in range(length):
        middle = (place + 0.5) * scale
        pixels = np.arange(max(int(middle - scale / 2 + 0.5), 0), min(int(middle + scale / 2 + 0.5), side))
        distance = (pixels - middle + 0.5) * (1 / scale)
        boxes.append(pixels[(distance > -0.5) & (distance <= 0.5)])
    return boxes


def _box_index(side: int, length: int) -> NDArray[np.int64]:
    boxes = _boxes(side, length)
    index = np.full((max(map(len, boxes)), length), side)
    for place, pixels in enumerate(boxes):
        index[: len(pixels), place] = pixels
    return index


def _box_share(side: int, length: int) -> NDArray[np.float64]:
    return np.floor(2**22 / np.array([len(pixels) for pixels in _boxes(side, length)]) + 0.5)


def _nearest(length: int, side: int) -> NDArray[np.int64]:
    places: NDArray[np.int64] = np.floor((np.arange(side) + 0.5) * (length / side)).astype(np.int64)
    return places


def sample_bilinear(
    images: Tensor, rows: Tensor, columns: Tensor, boundary: Literal["mirror", "symmetric"]
) -> Tensor:
    """Return images (N, C, H, W) at fractional places (N, H, W) in pixels, interpolated linearly.

    Beyond the edges: "mirror" dcb|abcd|cba, "symmetric" cba|abcd|dcb.
    """
    height, width = images.shape[2:]
    top, left = torch.floor(rows), torch.floor(columns)
    down, right = ((rows - top)[:, None]).to(images.dtype), ((columns - left)[:, None]).to(images.dtype)
    top, left = top.to(torch.int64), left.to(torch.int64)
    above, below = (_fold(place, height, boundary) * width for place in (top, top + 1))
    before, after = (_fold(place, width, boundary) for place in (left, left + 1))
    upper = _lerp(_take(images, above + before), _take(images, above + after), right)
    lower = _lerp(_take(images, below + before), _take(images, below + after), right)
    return _lerp(upper, lower, down)


def _lerp(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    return first + (second - first) * share


def _take(images: Tensor, index: Tensor) -> Tensor:
    flat = images.flatten(2)
    return flat.gather(2, index.flatten(1)[:, None].expand_as(flat)).view_as(images)


def _fold(place: Tensor, side: int, boundary: str) -> Tensor:
    if boundary == "mirror":
        place = torch.remainder(place, 2 * side - 2)
        return torch.minimum(place, 2 * side - 2 - place)
    place = torch.remainder(place, 2 * side)
    return torch.minimum(place, 2 * side - 1 - place)
