"""Noise: every channel value of every pixel is changed independently (Hendrycks & Dietterich 2019)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ._host import Levels, from_levels, to_levels
from .base import Corruption, HostNoise, Noise
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

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same."""
        noisy = noise["z"] * np.float32(self.std)
        noisy += from_levels(images)
        return to_levels(noisy)


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

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same."""
        counted = noise["counts"].astype(np.float32)
        counted /= np.float32(self.rate)
        return to_levels(counted)


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
        flipped, salted = stream.trials(self.amount, *images.shape[1:])
        return {"flipped": flipped, "salted": salted}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return 1 where flipped and salted, 0 where flipped only, x elsewhere."""
        return torch.where(noise["flipped"], noise["salted"].to(images.dtype), images)

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same by bits, a byte at a time: an eighth of the time of a choice."""
        chosen, new = (-noise[name].view(np.int8).view(np.uint8) for name in ("flipped", "salted"))
        new ^= images
        new &= chosen
        new ^= images
        return new


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

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same."""
        floats = from_levels(images)
        noisy = noise["z"] * np.float32(self.std)
        noisy *= floats
        noisy += floats
        return to_levels(noisy)
