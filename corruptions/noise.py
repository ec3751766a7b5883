"""Noise: every channel value of every pixel is changed independently (Hendrycks & Dietterich 2019)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Corruption, Noise
from .random import Stream
from .registry import register


@register
@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Additive normal noise: y = x + std * z, z ~ N(0, 1), `std` on the image scale [0, 1]."""

    name: ClassVar[str] = "gaussian_noise"
    fused: ClassVar[bool] = True

    std: float

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `z`, float32 (N, C, H, W)."""
        return {"z": stream.normal(*images.shape[1:])}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return x + std * z."""
        return images + noise["z"] * self.std


@register
@dataclass(frozen=True)
class ShotNoise(Corruption):
    """Photon noise: y = Poisson(x * rate) / rate, `rate` the expected counts at value 1; lower is noisier."""

    name: ClassVar[str] = "shot_noise"
    fused: ClassVar[bool] = True

    rate: float

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `counts`, int32 (N, C, H, W)."""
        return {"counts": stream.poisson(images, rate=self.rate)}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return counts / rate."""
        return noise["counts"].to(images.dtype) / self.rate


@register
@dataclass(frozen=True)
class ImpulseNoise(Corruption):
    """Salt and pepper: a value becomes 0 or 1, equally likely, with probability `amount`.

    Values are replaced one by one, not all channels of a pixel together.
    """

    name: ClassVar[str] = "impulse_noise"

    amount: float

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `flipped` and `salted`, bool (N, C, H, W): which values are replaced, which by 1."""
        # One word serves both: its upper 24 bits and its lowest bit are independent.
        words = stream.bits(*images.shape[1:])
        return {"flipped": ((words >> 8) & 0xFFFFFF) < self.amount * 2**24, "salted": (words & 1).bool()}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return 1 where flipped and salted, 0 where flipped only, x elsewhere."""
        return torch.where(noise["flipped"], noise["salted"].to(images.dtype), images)


@register
@dataclass(frozen=True)
class SpeckleNoise(Corruption):
    """Multiplicative normal noise: y = x + x * std * z, z ~ N(0, 1), `std` as a share of the value."""

    name: ClassVar[str] = "speckle_noise"
    fused: ClassVar[bool] = True

    std: float

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `z`, float32 (N, C, H, W)."""
        return {"z": stream.normal(*images.shape[1:])}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return x + x * std * z."""
        return images + images * (noise["z"] * self.std)
