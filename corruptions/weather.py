"""Weather: what light and air do between the scene and the camera (Hendrycks & Dietterich 2019)."""

import io
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ._color import luma, shift_value, shift_value_levels
from ._compile import device_constant, kernel
from ._filters import clipped_zoom, motion_blur, zero_below
from ._fractal import host_plasma, map_side, plasma
from ._host import Levels, from_levels, to_levels
from .base import Corruption, HostNoise, Noise
from .random import Stream
from .registry import register


@register
@dataclass(frozen=True)
class Snow(Corruption):
    """Flakes in motion before a whitened image.

    A layer of normal numbers is enlarged, set to 0 below the threshold, and blurred along a direction uniform
    from -135 to -45 degrees; the image loses colour and gains light:
    x' = m x + (1 - m) max(x, 1.5 grey + 0.5), and y = x' + layer + layer turned by 180 degrees.

    Parameters
    ----------
    noise_mean, noise_std : float
        Mean and standard deviation of the layer, on the image scale [0, 1].
    zoom : float
        Factor by which the layer is enlarged about its centre.
    threshold : float
        Values of the layer below it become 0.
    blur_radius : int
        The blur has 2 * blur_radius + 1 taps.
    blur_sigma : float
        Standard deviation of the blur, pixels.
    image_mix : float
        m, the weight of the image against its whitened version.
    rounding : str
        "both": the layer has 8 bits before and after the blur. "after": as in the imagecorruptions package.
    """

    name: ClassVar[str] = "snow"

    noise_mean: float
    noise_std: float
    zoom: float
    threshold: float
    blur_radius: int
    blur_sigma: float
    image_mix: float
    rounding: str = "both"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `z`, normal (N, 1, H, W), and `u`, uniform (N,): the angle is -135 + 90 u degrees."""
        return {"z": stream.normal(1, *images.shape[2:]), "u": stream.uniform()}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the whitened image with the layer and the turned layer on it."""
        height, width = images.shape[2:]
        twice = self.rounding == "both"
        layer = noise["z"].to(images.dtype) * self.noise_std + self.noise_mean
        layer = _flakes(clipped_zoom(layer, self.zoom, trim=twice), self.threshold, twice)
        angles = noise["u"].to(torch.float64) * 90 - 135
        layer = motion_blur(layer, angles, radius=self.blur_radius, sigma=self.blur_sigma)
        layer = layer.mul_(255).add_(0.5).floor_().div_(255)[:, :, :height, :width]
        return _whiten(images, self.image_mix) + layer + layer.flip(2, 3)


def _flakes(layer: Tensor, threshold: float, whole_levels: bool) -> Tensor:
    layer = zero_below(layer, threshold).clamp_(0, 1)
    return layer.mul_(255).floor_().div_(255) if whole_levels else layer


def _whiten(images: Tensor, mix: float) -> Tensor:
    grey = luma(images) if images.shape[1] == 3 else images
    return images * mix + torch.maximum(images, grey * 1.5 + 0.5) * (1 - mix)


@register
@dataclass(frozen=True)
class Frost(Corruption):
    """A piece of a photograph of frost laid over the image: y = image_weight * x + frost_weight * texture.

    The photographs are those of the published generators, as the imagecorruptions package carries them. The
    generators draw from the first five of six, of which two are the same. One that is smaller than the
    image is enlarged to its size.

    Parameters
    ----------
    image_weight, frost_weight : float
        Weights of the image and of the texture, both on the image scale [0, 1].
    texture_resize : float
        Factor by which the texture is scaled before the crop.
    textures : int
        Number of the six photographs to draw from.
    resampling : str
        "bilinear", or "bicubic" as in the imagecorruptions package.
    """

    name: ClassVar[str] = "frost"

    image_weight: float
    frost_weight: float
    texture_resize: float
    textures: int = 5
    resampling: str = "bilinear"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `texture`, which one, and `row` and `column`, where its piece begins, int64 (N,)."""
        height, width = images.shape[2:]
        rooms = device_constant(
            _rooms, self.texture_resize, self.resampling, height, width, device=images.device
        )
        texture = stream.integers(0, self.textures)
        places = (stream.uniform(2).to(torch.float64) * rooms[texture]).to(torch.int64)
        return {"texture": texture, "row": places[:, 0], "column": places[:, 1]}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the weighted sum."""
        height, width = images.shape[2:]
        atlas = device_constant(
            _atlas, self.texture_resize, self.resampling, height, width, device=images.device
        )
        frost = _pieces(atlas, noise["texture"], noise["row"], noise["column"], size=(height, width)) / 255
        frost = frost.to(images.dtype)
        frost = frost if images.shape[1] == 3 else luma(frost)
        return images * self.image_weight + frost * self.frost_weight


def _pieces(atlas: Tensor, texture: Tensor, row: Tensor, column: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Return from the atlas (T, 3, H', W') pieces (N, 3, height, width), whole lines at a time."""
    _, channels, tall, wide = atlas.shape
    height, width = size
    lines = atlas.as_strided((atlas.numel() - width + 1, width), (1, 1))
    plane = texture[:, None] * channels + torch.arange(channels, device=atlas.device)
    line = row[:, None] + torch.arange(height, device=atlas.device)
    start = (plane[:, :, None] * tall + line[:, None]) * wide + column[:, None, None]
    return lines.index_select(0, start.flatten()).view(len(texture), channels, height, width)


@cache
def _photographs() -> tuple[Image.Image, ...]:
    """Return the six photographs of frost in the published order."""
    names = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg", "frost6.jpg")
    folder = files("imagecorruptions") / "frost"
    return tuple(Image.open(io.BytesIO((folder / name).read_bytes())).convert("RGB") for name in names)


def _scalings(
    resize: float, resampling: str, height: int, width: int
) -> list[tuple[tuple[int, int], tuple[float, float]]]:
    """Return the scaled size (H, W) of each photograph, and how many of its pixels go into one, per axis.

    A scaled photograph has room for more than one piece of `height` x `width`.
    """
    scalings = []
    for photograph in _photographs():
        across, down = photograph.size
        if resampling == "bicubic":
            factor = resize * max(1.0, height / down, width / across)
            size = (math.ceil(down * factor), math.ceil(across * factor))
        else:
            factor = max(resize, (height + 1) / down, (width + 1) / across)
            size = (round(down * factor), round(across * factor))
        exact = resampling == "bilinear" and factor == resize
        steps = (1 / resize, 1 / resize) if exact else (down / size[0], across / size[1])
        scalings.append(((max(size[0], height + 1), max(size[1], width + 1)), steps))
    return scalings


def _rooms(resize: float, resampling: str, height: int, width: int) -> NDArray[np.float64]:
    """Return how many places there are for the first row and column of a piece, (6, 2)."""
    scalings = _scalings(resize, resampling, height, width)
    return np.array([(down - height, across - width) for (down, across), _ in scalings], dtype=np.float64)


def _atlas(resize: float, resampling: str, height: int, width: int) -> NDArray[np.uint8]:
    """Return the scaled photographs, uint8 (6, 3, H', W'), each in the upper left corner of its plane."""
    scalings = _scalings(resize, resampling, height, width)
    tall, wide = (max(size[axis] for size, _ in scalings) for axis in (0, 1))
    atlas = np.zeros((len(scalings), 3, tall, wide), dtype=np.uint8)
    for plane, photograph, (size, steps) in zip(atlas, _photographs(), scalings, strict=True):
        pixels = np.asarray(photograph, dtype=np.float64)
        for axis in (0, 1):
            pixels = _resample(pixels, size[axis], steps[axis], axis, resampling)
        plane[:, : size[0], : size[1]] = np.moveaxis(np.floor(pixels.clip(0, 255) + 0.5), -1, 0)
    return atlas


def _resample(
    pixels: NDArray[np.float64], length: int, scale: float, axis: int, resampling: str
) -> NDArray[np.float64]:
    """Return pixels at the places (i + 0.5) * scale - 0.5 of an axis, no smoothing, edges replicated."""
    places = (np.arange(length) + 0.5) * scale - 0.5
    start = np.floor(places).astype(np.int64)
    share = places - start
    if resampling == "bilinear":
        weights = {0: 1 - share, 1: share}
    else:  # the cubic convolution kernel with a = -0.75
        near, far = share, 1 - share
        weights = {
            -1: ((-0.75 * (near + 1) + 3.75) * (near + 1) - 6) * (near + 1) + 3,
            0: (1.25 * near - 2.25) * near * near + 1,
            1: (1.25 * far - 2.25) * far * far + 1,
            2: ((-0.75 * (far + 1) + 3.75) * (far + 1) - 6) * (far + 1) + 3,
        }
    shape = [1] * pixels.ndim
    shape[axis] = -1
    parts = [
        np.take(pixels, (start + offset).clip(0, pixels.shape[axis] - 1), axis) * weight.reshape(shape)
        for offset, weight in weights.items()
    ]
    return np.asarray(sum(parts))


@register
@dataclass(frozen=True)
class Fog(Corruption):
    """A plasma fractal added to the image: y = (x + c P) * m / (m + c), m the greatest value of the image.

    Parameters
    ----------
    strength : float
        c, on the image scale [0, 1].
    wibble_decay : float
        Ratio of the noise's width from each level of the map to the next: lower is rougher.
    map_size : int
        Least side of the map; the image shows its upper left corner.
    """

    name: ClassVar[str] = "fog"

    strength: float
    wibble_decay: float
    map_size: int

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `u`, float32 uniform (N, side**2 - 1), in the order of use."""
        height, width = images.shape[2:]
        return {"u": stream.uniform(map_side(height, width, self.map_size) ** 2 - 1)}

    def values_per_image(self, images: Tensor) -> int:
        """Return the number of values of the map or of the image, whichever is larger."""
        height, width = images.shape[2:]
        return max(super().values_per_image(images), map_side(height, width, self.map_size) ** 2)

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the images in fog."""
        height, width = images.shape[2:]
        fog = plasma(noise["u"].to(images.dtype), map_side(height, width, self.map_size), self.wibble_decay)
        return _add_fog(images, fog[:, None, :height, :width], self.strength)

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same: no more of the map is finished than the image shows."""
        height, width = images.shape[2:]
        side = map_side(height, width, self.map_size)
        fog = host_plasma(noise["u"], side, self.wibble_decay, (height, width))
        fog *= np.float32(self.strength)
        brightest = from_levels(images.max((1, 2, 3), keepdims=True))
        foggy = from_levels(images)
        foggy += fog[:, None]
        foggy *= brightest / (brightest + np.float32(self.strength))
        return to_levels(foggy)


@kernel
def _add_fog(images: Tensor, fog: Tensor, strength: float) -> Tensor:
    brightest = images.amax((1, 2, 3), keepdim=True)
    return (images + fog * strength) * (brightest / (brightest + strength))


@register
@dataclass(frozen=True)
class Brightness(Corruption):
    """More light: V of HSV, on the image scale [0, 1], becomes clip(V + value_shift, 0, 1)."""

    name: ClassVar[str] = "brightness"
    fused: ClassVar[bool] = True

    value_shift: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the images with V shifted."""
        return shift_value(images, self.value_shift)

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same: the factor V' / V by table."""
        return shift_value_levels(images, self.value_shift)
