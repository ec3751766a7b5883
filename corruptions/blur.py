"""Blur: what lens, motion and glass do to an image (Hendrycks & Dietterich 2019)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._compile import kernel
from ._filters import disk_filter, gaussian_filter, motion_blur, zoom_mean
from ._host import Levels, from_levels, on_host, to_levels
from .base import Corruption, HostNoise, Noise
from .random import Stream
from .registry import register


@register
@dataclass(frozen=True)
class GaussianBlur(Corruption):
    """Gaussian filter of standard deviation `sigma` pixels, ending at 4 sigma, edges replicated."""

    name: ClassVar[str] = "gaussian_blur"

    sigma: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the smoothed images."""
        return gaussian_filter(images, self.sigma)


@register
@dataclass(frozen=True)
class DefocusBlur(Corruption):
    """Correlation with a disk that a small Gaussian has smoothed; edges are mirrored.

    The disk lies on a grid from -8 to 8 pixels (-radius to radius if that is more) and is smoothed there with
    mirrored edges: 3 x 3 weights, 5 x 5 for a radius above 8. So the weights of a disk that meets the edge of
    the grid, from a radius of 8 on, sum to more than 1: images get up to 1.3 % brighter, as published.

    Parameters
    ----------
    radius : float
        Radius of the disk, pixels; below 1 only the centre is left.
    alias_blur : float
        Standard deviation of the Gaussian, pixels.
    """

    name: ClassVar[str] = "defocus_blur"

    radius: float
    alias_blur: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the correlated images."""
        return disk_filter(images, self.radius, self.alias_blur)

    def values_per_image(self, images: Tensor) -> int:
        """Return four times the image's: up to seven sums of rows are held together."""
        return 4 * super().values_per_image(images)


@register
@dataclass(frozen=True)
class GlassBlur(Corruption):
    """Gaussian filter, pixels copied from random places nearby, Gaussian filter again.

    Each pass visits the pixels row by row, from the last to the first, except those closer to an edge than
    `max_delta`. Each takes the current colour of a pixel up to `max_delta` before or `max_delta` - 1 after
    it; a pixel after it was changed earlier in the pass. (The generator's swap of two array views copies,
    because the second view has changed by then.) The mean offset is -1/2 pixel.

    Here all pixels of a pass follow their sources at once, doubling the distance followed each time. A chain
    of more than 64 copies would be cut: its probability is below 1e-22 per pixel for d up to 4.

    Parameters
    ----------
    sigma : float
        Standard deviation of both filters, pixels.
    max_delta : int
        d: offsets are drawn from -d to d - 1, for row and column.
    iterations : int
        Number of passes.
    """

    name: ClassVar[str] = "glass_blur"

    sigma: float
    max_delta: int
    iterations: int

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `offsets`, int32 (N, passes, 2, H - 2d, W - 2d): of the row, then of the column.

        Entry [h, w] belongs to the pixel (h + d + 1, w + d + 1).
        """
        d = self.max_delta
        shape = (self.iterations, max(images.shape[2] - 2 * d, 0), max(images.shape[3] - 2 * d, 0))
        # 16 bits are enough for both offsets of a pixel: (2d)^2 choices, bias below (2d)^2 * 2**-16.
        words = stream.bits((math.prod(shape) + 1) // 2)
        return {"offsets": _offsets(words, shape, d)}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the filtered, shuffled and filtered images."""
        smooth = _floor_levels(gaussian_filter(images, self.sigma))
        height, width = images.shape[2:]
        if min(height, width) > 2 * self.max_delta:
            smooth = _take(smooth, _shuffle(noise["offsets"], height, width, self.max_delta))
        return gaussian_filter(smooth, self.sigma)

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same; levels are shuffled, and only chains that have not ended are followed further."""
        height, width = images.shape[2:]
        smooth = to_levels(self._smooth(images))
        if min(height, width) > 2 * self.max_delta:
            smooth = _shuffled_levels(smooth, noise["offsets"], self.max_delta)
        return to_levels(self._smooth(smooth))

    def _smooth(self, levels: Levels) -> NDArray[np.float32]:
        smooth: NDArray[np.float32] = gaussian_filter(
            torch.from_numpy(from_levels(levels)), self.sigma
        ).numpy()
        return smooth


def _offsets(words: Tensor, shape: tuple[int, int, int], d: int) -> Tensor:
    """Return int32 (N, passes, 2, height, width) in -d, ..., d - 1 from words (N, half as many)."""
    if on_host(words):
        return torch.from_numpy(_host_offsets(words.numpy().view(np.uint32), shape, d))
    halves = torch.cat([words, words >> 16], dim=1)[:, : math.prod(shape)]
    # Times 2d, the integer part of a 16-bit fraction is the row's choice; the remainder makes the column's.
    scaled = halves.bitwise_and_(0xFFFF).mul_(2 * d).view(len(words), *shape)
    row = scaled >> 16
    column = scaled.bitwise_and_(0xFFFF).mul_(2 * d).bitwise_right_shift_(16)
    return torch.stack([row, column], dim=2).sub_(d)


def _host_offsets(words: NDArray[np.uint32], shape: tuple[int, int, int], d: int) -> NDArray[np.int32]:
    """Return the same."""
    halves = np.concatenate([words & 0xFFFF, words >> 16], axis=1)[:, : math.prod(shape)]
    halves *= 2 * d
    scaled = halves.reshape(len(words), *shape)
    offsets = np.empty((len(words), shape[0], 2, *shape[1:]), dtype=np.uint32)
    np.right_shift(scaled, 16, out=offsets[:, :, 0])
    scaled &= 0xFFFF
    scaled *= 2 * d
    np.right_shift(scaled, 16, out=offsets[:, :, 1])
    signed = offsets.view(np.int32)
    signed -= d
    return signed


@kernel
def _floor_levels(images: Tensor) -> Tensor:
    """Quantise to n / 255 as a cast to uint8 does; see `base` for the 2**-12."""
    return (images * 255).add_(2.0**-12).floor_().div_(255)


def _shuffle(offsets: Tensor, height: int, width: int, d: int) -> Tensor:
    """Return for every pixel the index, over all images, of the pixel it takes, (N, H * W)."""
    count, passes = offsets.shape[:2]
    inner_height, inner_width = height - 2 * d, width - 2 * d
    kind = torch.int32 if count * height * width < 2**31 else torch.int64
    image = torch.arange(count, dtype=kind, device=offsets.device)[:, None, None]
    down = torch.arange(inner_height, dtype=kind, device=offsets.device)[:, None]
    across = torch.arange(inner_width, dtype=kind, device=offsets.device)
    inner = image * (inner_height * inner_width) + (down * inner_width + across)
    corner = image * (height * width) + ((d + 1) * width + d + 1)
    source = torch.arange(count * height * width, dtype=kind, device=offsets.device)
    visited = source.view(count, height, width)[:, d + 1 : height - d + 1, d + 1 : width - d + 1]
    for step in range(passes):
        row, column = offsets[:, step, 0] + down, offsets[:, step, 1] + across  # in the inner rectangle
        target = (row * width).add_(column).add_(corner).view(-1)
        if d > 1:  # else every target lies before its pixel
            move = (offsets[:, step, 0] * inner_width).add_(offsets[:, step, 1])
            ahead = (move > 0) & (row < inner_height) & (column >= 0) & (column < inner_width)
            # The source if this pass visits it earlier, else the pixel itself; then the end of the chain.
            last = move.mul_(ahead).add_(inner).view(-1)
            for _ in range(6):
                last = last.index_select(0, last)
            target = target.index_select(0, last)
        visited.copy_(source.index_select(0, target).view_as(visited))
    return source.view(count, height * width)


def _host_shuffle(offsets: NDArray[np.int32], height: int, width: int, d: int) -> NDArray[np.intp]:
    """Return the same, but the index in its own image."""
    itself = np.arange(len(offsets) * height * width)
    inner = (slice(None), slice(d + 1, height - d + 1), slice(d + 1, width - d + 1))
    visited = np.zeros((len(offsets), height, width), dtype=np.bool_)
    visited[inner] = True
    source = itself
    for step in range(offsets.shape[1]):
        target = itself.copy()
        target.reshape(visited.shape)[inner] += offsets[:, step, 0] * np.int32(width) + offsets[:, step, 1]
        if d > 1:  # else every target lies before its pixel
            ahead = np.flatnonzero((target > itself) & visited.reshape(-1).take(target, mode="clip"))
            target[ahead] = target.take(_ends(itself, ahead, target.take(ahead)), mode="clip")
        source = source.take(target, mode="clip")
    sources = source.reshape(len(offsets), height * width)
    sources -= np.arange(len(offsets))[:, None] * (height * width)
    return sources


def _ends(itself: NDArray[np.intp], links: NDArray[np.intp], onto: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where the chains from `links` end, each of which leads `onto` another place, all others nowhere.

    The distance followed doubles each time, and chains that have ended are left alone.
    """
    last, going, near = itself.copy(), links, onto
    last[links] = onto
    while len(going):
        far = last.take(near, mode="clip")
        moved = np.flatnonzero(far != near)
        going, near = going.take(moved), far.take(moved)
        last[going] = near
    return last.take(links, mode="clip")


def _shuffled_levels(images: Levels, offsets: NDArray[np.int32], d: int) -> Levels:
    """Return images (N, C, H, W) whose pixels have followed all passes."""
    height, width = images.shape[2:]
    flat = images.reshape(*images.shape[:2], -1)
    pairs = zip(flat, _host_shuffle(offsets, height, width, d), strict=True)
    shuffled = [image.take(source, axis=1, mode="clip") for image, source in pairs]
    return np.stack(shuffled).reshape(images.shape)


def _take(images: Tensor, source: Tensor) -> Tensor:
    """Return images (N, C, H, W) with pixels taken from `source`."""
    flat = images.flatten(2)
    first = torch.arange(len(source), device=source.device)[:, None] * source.shape[1]
    return flat.gather(2, (source - first)[:, None].expand_as(flat)).view_as(images)


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
    rounding : {"nearest", "down"}
        "down", as in the imagecorruptions package, leaves floats unrounded.
    """

    name: ClassVar[str] = "motion_blur"

    radius: int
    sigma: float
    rounding: Literal["nearest", "down"] = "nearest"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `u`, float32 (N,), uniform on [0, 1): the angle is -45 + 90 u degrees."""
        return {"u": stream.uniform()}

    def values_per_image(self, images: Tensor) -> int:
        """Return twice the image's: its table of windows is 9 to 14 times as large as the image."""
        return 2 * super().values_per_image(images)

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the blurred images."""
        angles = noise["u"].to(torch.float64) * 90 - 45
        blurred = motion_blur(images, angles, radius=self.radius, sigma=self.sigma, forward=True)
        return blurred.mul_(255).add_(0.5).floor_().div_(255) if self.rounding == "nearest" else blurred


@register
@dataclass(frozen=True)
class ZoomBlur(Corruption):
    """Mean of the image and of its centre enlarged by 1, 1 + step, ... (so the image itself counts twice).

    Parameters
    ----------
    stop : float
        The factors end before it, as in numpy.arange, which rounds: some lists reach it.
    step : float
        Difference between a factor and the next.
    """

    name: ClassVar[str] = "zoom_blur"

    stop: float
    step: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return (x + sum of the zoomed images) / (number of factors + 1)."""
        return zoom_mean(images, self.factors)

    def values_per_image(self, images: Tensor) -> int:
        """Return four times the image's: four enlarged images are held together."""
        return 4 * super().values_per_image(images)

    @property
    def factors(self) -> tuple[float, ...]:
        """The zoom factors."""
        return tuple(np.arange(1, self.stop, self.step).tolist())
