"""Images in host memory: what NumPy and OpenCV may work on, and levels as floats and back.

An operation of NumPy starts in a third of the time of torch's, and turns floats into levels in a seventh.
"""

from collections.abc import Callable
from functools import cache
from types import EllipsisType
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._threads import share

Levels: TypeAlias = NDArray[np.uint8]
Tile: TypeAlias = tuple[slice, EllipsisType, slice]

TILE = 2**18
"""Values of a tile of random numbers.

Smaller ones would stay in a core's second cache. But a thread waits for the interpreter after each operation:
in two threads, noise takes 1.4 times as long in tiles of 2**16.
"""

IMAGE_TILE = 2**19
"""The same of whole images."""

WORTH_SHARING = 2**16
"""Values of images that are worth the 50 us that several threads cost."""

T = TypeVar("T", bound=np.generic)

MOST_COUNTED = 2**24
"""Values of an array up to which OpenCV's histograms, floats, count each."""

SMALL = 4096
"""Pixels of a plane up to which it does not pay to call OpenCV for each."""

HAIR = 2.0**-12
"""In levels: see `to_levels`."""


def on_host(tensor: Tensor) -> bool:
    """Tell whether NumPy may read a tensor's memory now: it is in this host's, free of gradients.

    >>> on_host(torch.zeros(3)), on_host(torch.zeros(3, device="meta"))
    (True, False)
    """
    if type(tensor) is not Tensor or tensor.device.type != "cpu":  # the type of a fake tensor is its own
        return False
    return not (tensor.requires_grad or torch.compiler.is_compiling())


@cache
def opencv() -> Any:
    """Return OpenCV, which comes with the imagecorruptions package; None if it does not load (no libGL)."""
    try:
        import cv2  # noqa: PLC0415 - takes 50 ms, for those who corrupt images in host memory only
    except ImportError:
        return None
    return cv2


def look_up(table: NDArray[T], levels: Levels) -> NDArray[T]:
    """Return table[levels] of a table of up to 256 numbers; OpenCV takes a fifth of NumPy's time."""
    library = opencv()
    if library is None or len(table) < 256 or not levels.size:
        return table.take(levels, mode="clip")
    found: NDArray[T] = library.LUT(levels.reshape(-1, levels.shape[-1]), table)
    return found.reshape(levels.shape)


def histogram(levels: Levels) -> NDArray[np.float64]:
    """Return how often each level occurs, (256,); OpenCV takes a tenth of NumPy's time."""
    library = opencv()
    if library is None or levels.size > MOST_COUNTED:
        return np.bincount(levels.reshape(-1), minlength=256).astype(np.float64)
    counts: NDArray[np.float32] = library.calcHist([levels.reshape(1, -1)], [0], None, [256], [0, 256])
    return counts.reshape(-1).astype(np.float64)


def tiles(rows: int, columns: int, *, values: int) -> list[Tile]:
    """Return the tiles, of about `values` each, of an array (rows, ..., columns): rows, or parts of one.

    >>> [tile[0] for tile in tiles(5, 10, values=20)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    wide = max(1, min(columns, values))
    tall = max(1, values // wide)
    return [
        (slice(top, min(top + tall, rows)), ..., slice(left, min(left + wide, columns)))
        for top in range(0, rows, tall)
        for left in range(0, columns, wide)
    ]


def image_tiles(count: int, values: int) -> list[Tile]:
    """Return the tiles of `count` images, of `values` each: whole images, as many tiles for each thread."""
    total = count * values
    parts = max(1, -(-total // IMAGE_TILE))
    if total >= WORTH_SHARING:
        threads = torch.get_num_threads()
        parts = -(-parts // threads) * threads
    some = tiles(count, 1, values=max(1, -(-count // parts)))
    return [(rows, ..., slice(None)) for rows, _, _ in some]


def by_tiles(
    make: Callable[[Tile], NDArray[T]], parts: list[Tile], shape: tuple[int, ...], dtype: Any
) -> NDArray[T]:
    """Return the array whose tiles are make(tile), shared among threads; each stays in a core's caches."""
    if len(parts) == 1:
        return make(parts[0])
    made = np.empty(shape, dtype=dtype)

    def fill(tile: Tile) -> None:
        made[tile] = make(tile)

    share(fill, parts)
    return made


def turned(planes: NDArray[T]) -> NDArray[T]:
    """Return planes (P, H, W) as (P, W, H), contiguous."""
    library = opencv()
    if library is None or planes[0].size <= SMALL:
        return np.ascontiguousarray(planes.swapaxes(1, 2))
    made = np.empty((len(planes), planes.shape[2], planes.shape[1]), dtype=planes.dtype)
    for plane, target in zip(planes, made, strict=True):
        library.transpose(plane, target)
    return made


def from_levels(images: Levels) -> NDArray[np.float32]:
    """Return levels / 255."""
    floats = images.astype(np.float32)
    floats /= np.float32(255)
    return floats


def to_levels(floats: NDArray[np.float32]) -> Levels:
    """Return 255 * floats as levels, clipped and truncated.

    The published generators truncate float64. In float32 a value that should be the integer v can come out a
    few units of 2**-16 below it and would be truncated to v - 1: 2**-12 levels lift it. So "no effect" gives
    the image back, and 1 value in 4,000 is a level above the float64 result.
    """
    scaled = floats * np.float32(255)
    scaled += np.float32(HAIR)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)
