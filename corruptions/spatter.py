"""Spatter: drops of water or mud on the lens (Hendrycks & Dietterich 2019)."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ._color import luma
from ._edges import FARTHEST, canny, chamfer_distance
from ._filters import gaussian_filter, zero_below
from ._host import Levels, from_levels, opencv, to_levels
from .base import Corruption, HostNoise, Noise
from .random import Stream
from .registry import register

_WATER = (175, 238, 238)
_MUD = (63, 42, 20)
_CANNY = (50, 150)
_LIGHT = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


@register
@dataclass(frozen=True)
class Spatter(Corruption):
    """Drops of water or mud where a smooth layer of normal numbers is high.

    Mud covers: with M the smoothed mask of the layer above the threshold, 0 where below 0.8,
    y = x (1 - M) + brown M. Water adds: a relief made of the distance from the drops' edges (Canny), times
    the layer, its maximum scaled to `water_strength`, times pale turquoise. Grey images get the lumas of the
    colours.

    Parameters
    ----------
    noise_mean, noise_std : float
        Mean and standard deviation of the layer, on the image scale [0, 1].
    smooth_sigma : float
        Standard deviation of the Gaussian that smooths the layer, pixels.
    threshold : float
        Values of the layer below it become 0.
    kind : str
        "water" or "mud".
    water_strength : float
        Greatest value added by water.
    mud_sigma : float
        Standard deviation of the Gaussian that smooths the mask of mud, pixels.
    """

    name: ClassVar[str] = "spatter"

    noise_mean: float
    noise_std: float
    smooth_sigma: float
    threshold: float
    kind: str
    water_strength: float
    mud_sigma: float

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `z`, float32 normal (N, 1, H, W)."""
        return {"z": stream.normal(1, *images.shape[2:])}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the images with drops on them."""
        layer = self._layer(noise["z"].to(images.dtype))
        if self.kind == "mud":
            mask = gaussian_filter((layer > self.threshold).to(images.dtype), self.mud_sigma)
            mask = zero_below(mask, 0.8)
            return images * (1 - mask) + mask * _colour(_MUD, images)
        # The generator's cast to uint8 wraps around where the layer is above 1.
        levels = zero_below(layer, self.threshold).mul_(255).floor_()
        levels -= (levels * (1 / 256)).floor_().mul_(256)
        relief = levels * _relief(chamfer_distance(canny(levels, *_CANNY)))
        greatest = relief.amax((1, 2, 3), keepdim=True)
        water = relief / torch.where(greatest == 0, 1.0, greatest) * self.water_strength
        return images + water * _colour(_WATER, images)

    def levels(self, images: Levels, noise: HostNoise) -> Levels | None:
        """Return the same; OpenCV finds the relief of the drops, image by image, if it agrees with ours."""
        if self.kind == "mud" or not _library_agrees():
            return None
        layer = zero_below(self._layer(torch.from_numpy(noise["z"])), self.threshold).numpy()
        wrapped = np.floor(layer * np.float32(255)).astype(np.int32).astype(np.uint8)
        water = _host_relief(wrapped)
        water *= wrapped
        greatest = water.max((1, 2, 3), keepdims=True)
        water /= np.where(greatest == 0, np.float32(1), greatest)
        water *= np.float32(self.water_strength)
        floats = from_levels(images)
        floats += water * _host_colour(_WATER, floats.shape[1])
        return to_levels(floats)

    def _layer(self, z: Tensor) -> Tensor:
        return gaussian_filter(z * self.noise_std + self.noise_mean, self.smooth_sigma)


def _colour(levels: tuple[int, int, int], images: Tensor) -> Tensor:
    colour = torch.tensor(levels, dtype=images.dtype, device=images.device).view(1, 3, 1, 1) / 255
    return colour if images.shape[1] == 3 else luma(colour)


@cache
def _host_colour(levels: tuple[int, int, int], channels: int) -> NDArray[np.float32]:
    colour: NDArray[np.float32] = _colour(levels, torch.zeros(1, channels, 1, 1)).numpy()
    return colour


def _relief(distance: Tensor) -> Tensor:
    """Return a lit surface, levels (N, 1, H, W), of distances up to 20, in 8 bits like the generator's."""
    surface = _equalise(torch.floor(_sum3(distance) / 9))
    edges = F.pad(surface, (1, 1, 1, 1), mode="reflect")
    height, width = surface.shape[2:]
    lit = torch.zeros_like(surface)
    for row, line in enumerate(_LIGHT):
        for column, weight in enumerate(line):
            if weight:
                lit = lit + edges[:, :, row : row + height, column : column + width] * weight
    return torch.floor(_sum3(lit.clamp(0, 255)) / 9 + 0.5)


def _host_relief(levels: Levels) -> NDArray[np.float32]:
    """Return the relief of the distances from the edges of levels (N, 1, H, W), by OpenCV."""
    library = opencv()
    reliefs = np.empty(levels.shape, dtype=np.float32)
    fast = library.ipp.useIPP()
    library.ipp.setUseIPP(False)  # of this thread: Intel's distances are not whole numbers of 2**-16
    try:
        for plane, relief in zip(levels[:, 0], reliefs[:, 0], strict=True):
            distance = library.distanceTransform(~library.Canny(plane, *_CANNY), library.DIST_L2, 5)
            np.minimum(distance, FARTHEST, out=distance)
            mean = library.boxFilter(distance, -1, (3, 3), normalize=False) / np.float32(9)
            surface = library.equalizeHist(mean.astype(np.uint8))
            relief[...] = library.blur(library.filter2D(surface, library.CV_8U, np.array(_LIGHT)), (3, 3))
    finally:
        library.ipp.setUseIPP(fast)
    return reliefs


@cache
def _library_agrees() -> bool:
    """Compare OpenCV with `_relief` on a few layers: builds for other processors may round otherwise."""
    if opencv() is None:
        return False
    # Smooth enough for distances of every length: in 7 of 8 such layers Intel's would change a level.
    drawn = Stream(torch.arange(8), name="check of spatter", severity=0, seed=0).normal(1, 64, 96)
    layer = gaussian_filter(drawn, 4.0)
    levels = (zero_below(layer / layer.amax((1, 2, 3), keepdim=True), 0.1) * 255).to(torch.uint8)
    edges = canny(levels.to(torch.float32), *_CANNY)
    return np.array_equal(_relief(chamfer_distance(edges)).numpy(), _host_relief(levels.numpy()))


def _sum3(images: Tensor) -> Tensor:
    """Return sums over 3 x 3 pixels, mirrored beyond the edges: nine times the means."""
    edges = F.pad(images, (1, 1, 1, 1), mode="reflect")
    lines = edges[:, :, :-2] + edges[:, :, 1:-1] + edges[:, :, 2:]
    return lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:]


def _equalise(levels: Tensor) -> Tensor:
    """Spread the histogram of levels 0, ..., 20 over 0, ..., 255, as OpenCV's equalizeHist does."""
    flat = levels.flatten(1).to(torch.int64)
    bins = torch.arange(FARTHEST + 1, device=levels.device)
    ones = torch.ones((), dtype=torch.int64, device=levels.device).expand_as(flat)
    counts = torch.zeros(len(flat), len(bins), dtype=torch.int64, device=levels.device)
    below = counts.scatter_add_(1, flat, ones).cumsum(1)  # values up to each level
    total = flat.shape[1]
    least = torch.where(below > 0, below, total + 1).amin(1, keepdim=True)
    scale = 255.0 / (total - least).clamp(min=1).to(torch.float32)
    table = torch.round((below - least).clamp(min=0) * scale).to(levels.dtype)
    table = torch.where(least == total, bins.to(levels.dtype), table)  # a single level stays as it is
    return table.gather(1, flat).view_as(levels)
