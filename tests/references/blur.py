"""The blurs restated in float64 NumPy from their definitions, pixel by pixel where they are sequential.

Imports none of our code. Images are float64 (N, C, H, W) in [0, 1]; draws are given, nothing is random here.
"""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PadMode = Literal["edge", "symmetric", "reflect"]


def correlate(images: Array, kernel: Array, *, mode: PadMode) -> Array:
    """Correlate each channel with a kernel of odd sides."""
    rows, columns = kernel.shape
    margins = [(0, 0), (0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2)]
    padded = np.pad(images, margins, mode=mode)
    result = np.zeros(images.shape)
    height, width = images.shape[2:]
    for row in range(rows):
        for column in range(columns):
            if kernel[row, column]:
                shifted = padded[:, :, row : row + height, column : column + width]
                result += kernel[row, column] * shifted
    return result


def gaussian(images: Array, *, sigma: float, truncate: float = 4.0, mode: PadMode = "edge") -> Array:
    radius = int(truncate * sigma + 0.5)
    if radius == 0:
        return images
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    return correlate(correlate(images, kernel[:, None], mode=mode), kernel[None], mode=mode)


def disk(radius: float, alias_blur: float) -> Array:
    """The defocus kernel: a disk on a grid, its Gaussian mirrored at the edge of the grid."""
    reach = 8 if radius <= 8 else int(radius)
    grid = np.arange(-reach, reach + 1)
    kernel = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(float)
    kernel /= kernel.sum()
    size = 1 if radius <= 8 else 2
    alias = np.exp(-0.5 * (np.arange(-size, size + 1) / alias_blur) ** 2)
    alias /= alias.sum()
    smooth: Array = correlate(kernel[None, None], np.outer(alias, alias), mode="reflect")[0, 0]
    return smooth


def motion(images: Array, *, angles: Array, radius: int, sigma: float) -> Array:
    height, width = images.shape[2:]
    kernel = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    result = np.zeros(images.shape)
    for n, angle in enumerate(np.radians(angles)):
        for i, weight in enumerate(kernel):
            right, down = math.ceil(i * math.cos(angle) - 0.5), math.ceil(i * math.sin(angle) - 0.5)
            rows = np.clip(np.arange(height) + down, 0, height - 1)
            columns = np.clip(np.arange(width) + right, 0, width - 1)
            result[n] += weight / sum(kernel) * images[n][:, rows[:, None], columns]
    return result


def clipped_zoom(images: Array, *, factor: float) -> Array:
    for axis in (2, 3):
        images = np.moveaxis(_zoom_last(np.moveaxis(images, axis, 3), factor), 3, axis)
    return images


def _zoom_last(images: Array, factor: float) -> Array:
    side = images.shape[3]
    crop = math.ceil(side / factor)
    middle = images[..., (side - crop) // 2 :][..., :crop]
    size = round(crop * factor)
    places = np.linspace(0, crop - 1, size)[(size - side) // 2 :][:side]
    low = np.minimum(places.astype(int), crop - 2)
    zoomed: Array = middle[..., low] * (1 - (places - low)) + middle[..., low + 1] * (places - low)
    return zoomed


def zoom(images: Array, *, factors: Array) -> Array:
    total = images + sum(clipped_zoom(images, factor=factor) for factor in factors)
    mean: Array = total / (len(factors) + 1)
    return mean


def shuffle(image: Array, offsets: Array, *, max_delta: int) -> Array:
    """One image (C, H, W) after the copies of glass blur, one by one; offsets (passes, 2, H - 2d, W - 2d)."""
    image = image.copy()
    height, width = image.shape[1:]
    d = max_delta
    for down, right in offsets:
        for h in range(height - d, d, -1):
            for w in range(width - d, d, -1):
                dy, dx = down[h - d - 1, w - d - 1], right[h - d - 1, w - d - 1]
                image[:, h, w] = image[:, h + dy, w + dx]
    return image
