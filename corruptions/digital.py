"""Digital corruptions: what processing and storage do to an image (Hendrycks & Dietterich 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._color import scale_saturation, scale_saturation_levels
from ._compile import device_constants, kernel
from ._filters import smooth_field
from ._host import SMALL, Levels, from_levels, histogram, look_up, to_levels
from ._jpeg import jpeg, jpeg_levels
from ._sampling import affine_positions, pixelate, pixelate_levels, sample
from .base import Corruption, HostNoise, Noise
from .random import Stream
from .registry import register


@register
@dataclass(frozen=True)
class Contrast(Corruption):
    """Less contrast: y = m + factor * (x - m), m the mean of the channel."""

    name: ClassVar[str] = "contrast"
    fused: ClassVar[bool] = True

    factor: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return m + factor * (x - m)."""
        return _towards(images, _channel_means(images), 1 - self.factor)

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same: the mean of a channel from its histogram, and a table for each channel."""
        return _contrast_levels(images, np.float32(1 - self.factor))


@register
@dataclass(frozen=True)
class JpegCompression(Corruption):
    """Stored as JPEG of an IJG `quality`, 1 to 100, lower is worse, and read again; equal to Pillow's result.

    Only the lossy steps are done: 8-bit levels, BT.601 colours, chroma halved both ways, 8 x 8 DCT,
    quantisation, and back. A grey image has only luminance (Pillow's mode L).
    """

    name: ClassVar[str] = "jpeg_compression"

    quality: int

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the decoded images, multiples of 1 / 255."""
        return jpeg(images, quality=self.quality)

    def levels(self, images: Levels, noise: HostNoise) -> Levels | None:
        """Return the same by libjpeg-turbo, if this process has the one we equal."""
        return jpeg_levels(images, quality=self.quality)


@register
@dataclass(frozen=True)
class Pixelate(Corruption):
    """Larger pixels: sides reduced by the factor `scale` and enlarged again, both with Pillow's BOX filter.

    Reduced to int(H * scale) x int(W * scale) pixels, at least 1 x 1, in 8-bit levels: means are rounded
    along the rows, then along the columns.
    """

    name: ClassVar[str] = "pixelate"

    scale: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the pixelated images, multiples of 1 / 255."""
        return pixelate(images, self._reduced(images.shape))

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same in integers."""
        return pixelate_levels(images, self._reduced(images.shape))

    def _reduced(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return the size of the small image."""
        return max(1, int(shape[2] * self.scale)), max(1, int(shape[3] * self.scale))


@register
@dataclass(frozen=True)
class ElasticTransform(Corruption):
    """A random affine map, then a smooth random displacement of every pixel.

    Affine: the anchors (c + q, c + q), (c + q, c - q), (c - q, c - q) move by U(-j, j) per coordinate, with c
    the middle (W // 2, H // 2), q = min(H, W) // 3 and j = `affine_jitter`; places are rounded to 1/32 pixel
    as in OpenCV 4, beyond the edge the image is mirrored. Left out if j = 0.
    Displacement: two fields of U(-1, 1), smoothed by a Gaussian that ends at 3 sigma, times `alpha`;
    beyond the edge the image is reflected.

    Parameters
    ----------
    alpha, sigma : float
        Factor and standard deviation of the smoothed fields: in pixels, or, with unit "side", `alpha` as a
        share of the height and `sigma` as a share of each side.
    affine_jitter : float
        In pixels.
    unit : {"pixels", "side"}
        "side" as in the imagecorruptions package.
    """

    name: ClassVar[str] = "elastic_transform"

    alpha: float
    sigma: float
    affine_jitter: float
    unit: Literal["pixels", "side"] = "pixels"

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `anchors` (N, 3, 2) and `field` (N, 2, H, W), uniform on [0, 1): x before y in both."""
        return {"anchors": stream.uniform(3, 2), "field": stream.uniform(2, *images.shape[2:])}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the warped images."""
        if self.affine_jitter > 0:
            jitter = (noise["anchors"].to(torch.float64) * 2 - 1) * self.affine_jitter
            images = _warp(images, jitter)
        if self.alpha > 0:
            field = noise["field"].to(images.dtype) * 2 - 1
            images = _displace(images, self._smooth(field))
        return images

    def _smooth(self, field: Tensor) -> Tensor:
        """Return the displacements in pixels."""
        height, width = field.shape[2:]
        if self.unit == "pixels":
            return smooth_field(field, (self.sigma, self.sigma)) * self.alpha
        return smooth_field(field, (self.sigma * height, self.sigma * width)) * (self.alpha * height)


@register
@dataclass(frozen=True)
class Saturate(Corruption):
    """Changed colourfulness: S of HSV becomes clip(factor * S + shift, 0, 1).

    Grey pixels, whose hue counts as red, turn reddish if `shift` > 0; a grey image gets the luma of that.
    """

    name: ClassVar[str] = "saturate"
    fused: ClassVar[bool] = True

    factor: float
    shift: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the images with S changed."""
        return scale_saturation(images, self.factor, self.shift)

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same."""
        return scale_saturation_levels(images, self.factor, self.shift)


def _warp(images: Tensor, jitter: Tensor) -> Tensor:
    """Return the images under the affine maps that move the anchors by `jitter` (N, 3, 2), float64."""
    height, width = images.shape[2:]
    anchors, corner, signs = device_constants(_anchors, height, width, device=images.device)
    # The generator keeps the moved anchors in float32.
    moved = (jitter.to(torch.float32) + anchors).to(torch.float64)
    # Backwards, moved anchor to anchor: the edges (0, 2q) and (2q, 0) are the images of a and b.
    edges = moved[:, :2] - moved[:, 1:]
    a, b = edges.unbind(1)
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    double = 2 * (min(height, width) // 3)
    gain = torch.where(area == 0, 0.0, double / area)  # three anchors in line: one colour, not NaN
    slopes = edges.flip(2) * signs * gain[:, None, None]  # ((-a1, a0), (b1, -b0)) * gain
    offsets = corner - slopes[..., 0] * moved[:, :1, 0] - slopes[..., 1] * moved[:, :1, 1]
    x, y = affine_positions(torch.cat([slopes, offsets[..., None]], dim=2), height, width)
    return sample(images, x, y, mirror=True)


def _anchors(height: int, width: int) -> tuple[NDArray[Any], ...]:
    """Return the anchors (3, 2), float32, the first of them (2,), and the signs of the slopes, float64."""
    reach = min(height, width) // 3
    signs = np.array(((1, 1), (1, -1), (-1, -1)))
    anchors = np.array((width // 2, height // 2)) + signs * reach
    return anchors.astype(np.float32), anchors[0].astype(np.float64), np.array(((-1.0, 1.0), (1.0, -1.0)))


def _displace(images: Tensor, field: Tensor) -> Tensor:
    """Return the images sampled at (w + field[:, 0], h + field[:, 1])."""
    height, width = images.shape[2:]
    columns = torch.arange(width, dtype=field.dtype, device=field.device)
    rows = torch.arange(height, dtype=field.dtype, device=field.device)[:, None]
    return sample(images, field[:, 0] + columns, field[:, 1] + rows, mirror=False)


def _contrast_levels(images: Levels, share: np.float32) -> Levels:
    """Return what `_towards` and `_channel_means` make of levels."""
    planes = images.reshape(-1, images.shape[2] * images.shape[3])
    floats = from_levels(np.arange(256, dtype=np.uint8))
    fixed = np.rint(floats.astype(np.float64) * 2.0**31)  # whose sums are exact in float64
    if planes.shape[1] <= SMALL:
        means = _means_of_totals(look_up(fixed, planes).sum(1), planes)
        floats = from_levels(planes)
        return to_levels(floats + (means - floats) * share).reshape(images.shape)
    means = _means_of_totals(np.array([histogram(plane) @ fixed for plane in planes]), planes)
    tables = to_levels(floats + (means - floats) * share)
    made = [look_up(table, plane[None]) for table, plane in zip(tables, planes, strict=True)]
    return np.concatenate(made).reshape(images.shape)


def _means_of_totals(totals: NDArray[np.float64], planes: Levels) -> NDArray[np.float32]:
    means: NDArray[np.float64] = totals / (planes.shape[1] * 2.0**31)
    return means.astype(np.float32)[:, None]


@kernel
def _towards(images: Tensor, means: Tensor, share: float) -> Tensor:
    # In this form share 0 and constant channels give the images back to the bit.
    return images + (means - images) * share


@kernel
def _channel_means(images: Tensor) -> Tensor:
    """Return the mean of each channel, (N, C, 1, 1), the same whatever the batch.

    A float sum depends on its order, which depends on the shape; a sum of integers does not: the values
    in [0, 1] are rounded to multiples of 2**-31.
    """
    fixed = (images.to(torch.float64) * 2.0**31).round_().to(torch.int64)
    total = fixed.sum(dim=(2, 3), keepdim=True).to(torch.float64)
    return (total / (images.shape[2] * images.shape[3] * 2.0**31)).to(images.dtype)
