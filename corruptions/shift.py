"""Input shifts: perturbations of the network's normalised input, as in the LayerAct paper.

They act after the checkpoint's preprocessing, or at the input of one activation layer, on floats of any
range. Nothing is clipped: they measure how a network responds to a known change of its input.
Shapes are (N, C, ...).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import Corruption, Noise
from .random import Stream
from .registry import register


@dataclass(frozen=True)
class _AdditiveShift(Corruption):
    """y = x + std * e, e independent of mean 0 and variance 1; `std` in units of the normalised input."""

    std: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return x + std * e."""
        return images + noise["e"] * self.std


@register
@dataclass(frozen=True)
class ShiftGaussian(_AdditiveShift):
    """Additive normal noise of standard deviation `std`, unclipped."""

    name: ClassVar[str] = "shift_gaussian"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `e`, float32 like the images: standard normal."""
        return {"e": stream.normal(*images.shape[1:])}


@register
@dataclass(frozen=True)
class ShiftUniform(_AdditiveShift):
    """Additive uniform noise of standard deviation `std`, unclipped."""

    name: ClassVar[str] = "shift_uniform"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `e`, float32 like the images: uniform on [-sqrt(3), sqrt(3))."""
        return {"e": (stream.uniform(*images.shape[1:]) - 0.5) * math.sqrt(12)}


@register
@dataclass(frozen=True)
class ShiftLaplace(_AdditiveShift):
    """Additive Laplace noise of standard deviation `std`, unclipped."""

    name: ClassVar[str] = "shift_laplace"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `e`, float32 like the images: Laplace of scale 1 / sqrt(2)."""
        return {"e": stream.laplace(*images.shape[1:])}


@register
@dataclass(frozen=True)
class ShiftChannel(_AdditiveShift):
    """One normal constant of standard deviation `std` for each image and channel."""

    name: ClassVar[str] = "shift_channel"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `e`, float32 (N, C, 1, ...): standard normal."""
        return {"e": stream.normal(images.shape[1], *(1 for _ in images.shape[2:]))}


@register
@dataclass(frozen=True)
class ShiftUp(Corruption):
    """A constant added to every element: y = x + offset, in units of the normalised input."""

    name: ClassVar[str] = "shift_up"

    offset: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return x + offset."""
        return images + self.offset


@register
@dataclass(frozen=True)
class ShiftDown(Corruption):
    """A constant subtracted from every element: y = x - offset, in units of the normalised input."""

    name: ClassVar[str] = "shift_down"

    offset: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return x - offset."""
        return images - self.offset


@register
@dataclass(frozen=True)
class ShiftGainUp(Corruption):
    """Every element grows by the share `gain`: y = (1 + gain) * x."""

    name: ClassVar[str] = "shift_gain_up"

    gain: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return (1 + gain) * x."""
        return images * (1 + self.gain)


@register
@dataclass(frozen=True)
class ShiftGainDown(Corruption):
    """Every element shrinks by the share `gain`: y = (1 - gain) * x."""

    name: ClassVar[str] = "shift_gain_down"

    gain: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return (1 - gain) * x."""
        return images * (1 - self.gain)
