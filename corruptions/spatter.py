"""Spatter: drops of water or mud on the lens (Hendrycks & Dietterich 2019)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ._color import luma
from ._edges import FARTHEST, canny, chamfer_distance
from ._filters import gaussian_filter, zero_below
from .base import Corruption, Noise
from .random import Stream
from .registry import register

_WATER = (175, 238, 238)
_MUD = (63, 42, 20)


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
        layer = noise["z"].to(images.dtype) * self.noise_std + self.noise_mean
        layer = gaussian_filter(layer, self.smooth_sigma)
        if self.kind == "mud":
            mask = gaussian_filter((layer > self.threshold).to(images.dtype), self.mud_sigma)
            mask = zero_below(mask, 0.8)
            return images * (1 - mask) + mask * _colour(_MUD, images)
        # The generator's cast to uint8 wraps around where the layer is above 1.
        levels = zero_below(layer, self.threshold).mul_(255).floor_()
        levels -= (levels * (1 / 256)).floor_().mul_(256)
        relief = levels * _relief(chamfer_distance(canny(levels, 50, 150)))
        greatest = relief.amax((1, 2, 3), keepdim=True)
        water = relief / torch.where(greatest == 0, 1.0, greatest) * self.water_strength
        return images + water * _colour(_WATER, images)


def _colour(levels: tuple[int, int, int], images: Tensor) -> Tensor:
    colour = torch.tensor(levels, dtype=images.dtype, device=images.device).view(1, 3, 1, 1) / 255
    return colour if images.shape[1] == 3 else luma(colour)


def _relief(distance: Tensor) -> Tensor:
    """Return a lit surface, levels (N, 1, H, W), of distances up to 20, in 8 bits like the generator's."""
    surface = _equalise(torch.floor(_sum3(distance) / 9))
    edges = F.pad(surface, (1, 1, 1, 1), mode="reflect")
    height, width = surface.shape[2:]
    weights = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
    lit = torch.zeros_like(surface)
    for row, line in enumerate(weights):
        for column, weight in enumerate(line):
            if weight:
                lit = lit + edges[:, :, row : row + height, column : column + width] * weight
    return torch.floor(_sum3(lit.clamp(0, 255)) / 9 + 0.5)


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
