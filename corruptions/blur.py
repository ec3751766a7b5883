"""Blur: what lens, motion and glass do to an image (Hendrycks & Dietterich 2019)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._filters import clipped_zoom, gaussian_filter, motion_blur, pad, symmetric_filter
from .base import Corruption, Noise
from .random import Stream
from .registry import register


@register
@dataclass(frozen=True)
class GaussianBlur(Corruption):
    """Gaussian filter, edges replicated, ending at 4 standard deviations.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels.
    """

    name: ClassVar[str] = "gaussian_blur"
    group: ClassVar[str] = "extra"

    sigma: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the smoothed images."""
        return gaussian_filter(images, self.sigma)


@register
@dataclass(frozen=True)
class DefocusBlur(Corruption):
    """Correlation with a disk that a small Gaussian has smoothed; edges are mirrored.

    The disk stands on a grid from -8 to 8 pixels, or from -radius to radius where that is more, and is
    smoothed on this grid as if it went on mirrored beyond it: 3 x 3 weights, 5 x 5 for a radius above 8.

    Parameters
    ----------
    radius : float
        Radius of the disk, pixels; below 1 the centre alone is left.
    alias_blur : float
        Standard deviation of the Gaussian, pixels.
    """

    name: ClassVar[str] = "defocus_blur"
    group: ClassVar[str] = "blur"

    radius: float
    alias_blur: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the disk's mean, then the Gaussian's, then what the edge of the grid changes."""
        extents, corrections = _disk(self.radius), _grid_corrections(self.radius, self.alias_blur)
        margin = max([len(extents) - 1, *(max(row, column) for row, column, _ in corrections)])
        padded = images
        for axis in (2, 3):
            padded = pad(padded, margin, axis=axis, mode="mirror") if margin else padded
        blurred = _disk_mean(padded, extents, margin)
        blurred = symmetric_filter(blurred, _alias_weights(self.radius, self.alias_blur), mode="mirror")
        return _add_taps(blurred, padded, corrections, margin) if corrections else blurred


def _disk(radius: float) -> tuple[int, ...]:
    """Return for each row 0, 1, ... of a disk how far it reaches from its middle.

    >>> _disk(2.0)
    (2, 1, 0)
    """
    return tuple(math.isqrt(int(radius**2 - row**2)) for row in range(int(radius) + 1))


def _alias_weights(radius: float, sigma: float) -> tuple[float, ...]:
    """Return the weights of the Gaussian at distance 0, 1 (and 2 for a radius above 8)."""
    reach = 1 if radius <= 8 else 2
    weights = [math.exp(-0.5 * (distance / sigma) ** 2) for distance in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return tuple(weight / total for weight in weights)


def _disk_mean(padded: Tensor, extents: tuple[int, ...], margin: int) -> Tensor:
    """Return the mean over the disk by sums over ever longer pieces of lines: 4r instead of 3r^2 sums."""
    height, width = padded.shape[2] - 2 * margin, padded.shape[3] - 2 * margin
    area = sum((1 if row == 0 else 2) * (2 * extent + 1) for row, extent in enumerate(extents))
    line = padded.narrow(3, margin, width)
    total = torch.zeros((), dtype=padded.dtype, device=padded.device)
    for reach in range(len(extents)):
        if reach:
            sides = padded.narrow(3, margin - reach, width) + padded.narrow(3, margin + reach, width)
            line = line + sides
        for row, extent in enumerate(extents):
            if extent == reach:
                total = total + line.narrow(2, margin + row, height)
                total = total + line.narrow(2, margin - row, height) if row else total
    return total * (1 / area)


def _grid_corrections(radius: float, sigma: float) -> tuple[tuple[int, int, float], ...]:
    """Return (row, column, weight): what the mirror at the grid's edge adds to or takes from the kernel.

    Rows and columns from 0 up; a weight holds for the mirrored places too.
    """
    reach = max(8, int(radius))
    weights = _alias_weights(radius, sigma)
    spread = len(weights) - 1
    places = np.arange(-reach - spread, reach + spread + 1)
    squares = places[:, None] ** 2 + places**2
    disk = (squares <= radius**2).astype(np.float64)
    disk /= disk.sum()
    smooth = np.array([*weights[:0:-1], *weights])
    free = _smooth(disk, smooth)
    inside = slice(spread, -spread)
    mirrored = np.zeros_like(disk)
    grid = np.pad(disk[inside, inside], spread, mode="reflect")
    mirrored[inside, inside] = _smooth(np.pad(grid, spread), smooth)[
        2 * spread : -2 * spread, 2 * spread : -2 * spread
    ]
    difference = mirrored - free
    middle = reach + spread
    quarter = difference[middle:, middle:]
    return tuple(
        (int(row), int(column), float(quarter[row, column]))
        for row, column in np.argwhere(abs(quarter) > 1e-9)
    )


def _smooth(grid: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    for axis in (0, 1):
        grid = np.apply_along_axis(np.convolve, axis, grid, weights, mode="same")
    return grid


def _add_taps(
    blurred: Tensor, padded: Tensor, taps: tuple[tuple[int, int, float], ...], margin: int
) -> Tensor:
    """Add weighted pixels at the places (+-row, +-column) of each tap."""
    height, width = blurred.shape[2:]
    for row, column, weight in taps:
        rows, columns = sorted({row, -row}), sorted({column, -column})
        places = [(margin + r, margin + c) for r in rows for c in columns]
        pixels = [padded.narrow(2, r, height).narrow(3, c, width) for r, c in places]
        total = pixels[0]
        for pixel in pixels[1:]:
            total = total + pixel
        blurred = blurred + total * weight
    return blurred


@register
@dataclass(frozen=True)
class GlassBlur(Corruption):
    """Gaussian filter, pixels copied from random near places, Gaussian filter again.

    In each pass the pixels are visited from the last to the first, row by row, those closer to an edge than
    `max_delta` left out, and each takes the current colour of a pixel up to `max_delta` before and
    `max_delta` - 1 after it: of one that this pass has changed, where it lies after. (The generator's swap
    of two array views copies, as the second view has changed by then.) The mean offset is -1/2 pixel.

    Here all pixels of a pass follow their sources at once, doubling the distance followed each time. A chain
    of more than 128 copies would be cut: its probability is below 1e-45.

    Parameters
    ----------
    sigma : float
        Standard deviation of both filters, pixels.
    max_delta : int
        d: offsets are drawn from -d to d - 1, for row and column.
    iterations : int
        Passes.
    """

    name: ClassVar[str] = "glass_blur"
    group: ClassVar[str] = "blur"

    sigma: float
    max_delta: int
    iterations: int

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `offsets`, int64 (N, passes, 2, H - 2d, W - 2d): of the row, then of the column.

        Entry [h, w] belongs to the pixel (h + d + 1, w + d + 1).
        """
        d = self.max_delta
        height, width = images.shape[2] - 2 * d, images.shape[3] - 2 * d
        return {"offsets": stream.integers(-d, d, self.iterations, 2, height, width)}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the filtered, shuffled and filtered images."""
        smooth = _floor_levels(gaussian_filter(images, self.sigma))
        height, width = images.shape[2:]
        source = _shuffle(noise["offsets"], height, width, self.max_delta)
        return gaussian_filter(_take(smooth, source), self.sigma)


def _floor_levels(images: Tensor) -> Tensor:
    """Quantise to n / 255 as a cast to uint8 does; see `base` for the 2**-12."""
    return torch.floor(images * 255 + 2.0**-12) / 255


def _shuffle(offsets: Tensor, height: int, width: int, d: int) -> Tensor:
    """Return for every pixel the flat index of the pixel it ends up with, (N, height * width)."""
    count, passes = offsets.shape[:2]
    pixels = torch.arange(height * width, device=offsets.device).view(1, height, width)
    inner = pixels[:, d + 1 : height - d + 1, d + 1 : width - d + 1]
    source = pixels.expand(count, -1, -1).flatten(1)
    for step in range(passes):
        target = inner + offsets[:, step, 0] * width + offsets[:, step, 1]
        row, column = target // width, target % width
        visited = (row > d) & (column > d) & (column < width - d + 1) & (row < height - d + 1)
        # A negative number is a pixel of before this pass; another one, a visited pixel to look up.
        ahead = visited & (target > inner)
        pointer = -1 - pixels.repeat(count, 1, 1)
        pointer[:, d + 1 : height - d + 1, d + 1 : width - d + 1] = torch.where(ahead, target, -1 - target)
        pointer = pointer.flatten(1)
        for _ in range(7 if d > 1 else 0):
            followed = pointer.gather(1, pointer.clamp(min=0))
            pointer = torch.where(pointer < 0, pointer, followed)
        pointer = torch.where(pointer < 0, -1 - pointer, pointer)
        source = source.gather(1, pointer)
    return source


def _take(images: Tensor, source: Tensor) -> Tensor:
    flat = images.flatten(2)
    return flat.gather(2, source[:, None].expand_as(flat)).view_as(images)


@register
@dataclass(frozen=True)
class MotionBlur(Corruption):
    """One-sided Gaussian mean along one direction per image, in whole pixels, rounded to n / 255.

    The direction is uniform from -45 to 45 degrees; edges are replicated (ImageMagick's MotionBlur).

    Parameters
    ----------
    radius : int
        The kernel has 2 * radius + 1 taps.
    sigma : float
        Standard deviation of the Gaussian, pixels.
    rounding : str
        "nearest", or "down" as in the imagecorruptions package.
    """

    name: ClassVar[str] = "motion_blur"
    group: ClassVar[str] = "blur"

    radius: int
    sigma: float
    rounding: str = "nearest"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `u`, float32 (N,), uniform on [0, 1): the angle is -45 + 90 u degrees."""
        return {"u": stream.uniform()}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the blurred images."""
        angles = noise["u"].to(torch.float64) * 90 - 45
        blurred = motion_blur(images, angles, radius=self.radius, sigma=self.sigma)
        if self.rounding == "nearest":
            return torch.floor(blurred * 255 + 0.5) / 255
        return blurred


@register
@dataclass(frozen=True)
class ZoomBlur(Corruption):
    """Mean of the image and of its centre enlarged by 1, 1 + step, ... (so the image itself counts twice).

    Parameters
    ----------
    stop : float
        The factors end before it, as numpy.arange counts them: some lists reach it.
    step : float
        From one factor to the next.
    """

    name: ClassVar[str] = "zoom_blur"
    group: ClassVar[str] = "blur"

    stop: float
    step: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return (x + sum of the zoomed images) / (number of factors + 1)."""
        factors = np.arange(1, self.stop, self.step).tolist()
        total = images
        for factor in factors:
            total = total + clipped_zoom(images, factor)
        return total / (len(factors) + 1)
