"""Digital corruptions: what processing and storing does to an image."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ._color import scale_saturation
from ._filters import gaussian_filter
from ._jpeg import jpeg
from ._sampling import pixelate_levels, sample_bilinear
from .base import Corruption, Noise
from .random import Stream
from .registry import register


@register
@dataclass(frozen=True)
class Contrast(Corruption):
    """Less contrast: y = m + factor * (x - m), m the mean of the channel (Hendrycks & Dietterich 2019).

    Parameters
    ----------
    factor : float
        Ratio of the deviations from the mean, after to before.
    """

    name: ClassVar[str] = "contrast"
    group: ClassVar[str] = "digital"

    factor: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return m + factor * (x - m)."""
        # In this form factor 1 and constant channels give x back to the bit.
        return images + (_channel_means(images) - images) * (1 - self.factor)


@register
@dataclass(frozen=True)
class ElasticTransform(Corruption):
    """The image is tilted, then every pixel moves by a smooth random field (Hendrycks & Dietterich 2019).

    Three anchor points, a third of the shorter side from the middle, move at random and fix an affine map;
    the image is sampled through it at places rounded to 1/32 pixel, mirrored beyond its edges (as OpenCV 4
    does). Then y[h, w] = x[h + dy, w + dx], the fields being uniform numbers smoothed by a Gaussian that ends
    at 3 standard deviations, times alpha. The imagecorruptions package leaves the affine map out, and its
    field scales with the side.

    Parameters
    ----------
    alpha : float
        Multiplies the smoothed field.
    sigma : float
        Standard deviation of the Gaussian, pixels.
    affine_jitter : float
        j: each anchor point moves by U(-j, j) pixels per coordinate.
    field_per_side : float
        The field is drawn from U(-a, a) with a this share of the height; 0: a is 1.
    sigma_per_side : float
        Added to sigma, as a share of each side.
    """

    name: ClassVar[str] = "elastic_transform"
    group: ClassVar[str] = "digital"

    alpha: float
    sigma: float
    affine_jitter: float
    field_per_side: float = 0.0
    sigma_per_side: float = 0.0

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return uniform numbers on [0, 1).

        `jitter` (N, 3, 2), of the points' x and y, and `field` (N, 2, H, W), of dx and dy.
        """
        return {"jitter": stream.uniform(3, 2), "field": stream.uniform(2, *images.shape[2:])}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the tilted and warped images."""
        height, width = images.shape[2:]
        if self.affine_jitter:
            images = sample_bilinear(images, *self._tilt(noise["jitter"], height, width), "mirror")
        amplitude = self.field_per_side * height or 1.0
        field = noise["field"].to(images.dtype) * (2 * amplitude) - amplitude
        sigmas = (self.sigma + self.sigma_per_side * height, self.sigma + self.sigma_per_side * width)
        smooth = gaussian_filter(field, sigmas, truncate=3, mode="symmetric") * self.alpha
        rows = torch.arange(height, device=images.device).view(-1, 1) + smooth[:, 1]
        columns = torch.arange(width, device=images.device) + smooth[:, 0]
        return sample_bilinear(images, rows, columns, "symmetric")

    def _tilt(self, jitter: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return rows and columns (N, H, W), multiples of 1/32, that the affine map takes each pixel from."""
        third = min(height, width) // 3
        x, y = width // 2, height // 2
        anchors = torch.tensor(
            [[x + third, y + third], [x + third, y - third], [x - third, y - third]],
            dtype=torch.float64,
            device=jitter.device,
        )
        first, second, last = (anchors + (jitter.to(torch.float64) * 2 - 1) * self.affine_jitter).unbind(1)
        (a, d), (b, e) = ((pair / (2 * third)).unbind(-1) for pair in (second - last, first - second))
        c, f = (first - torch.stack([a, d], -1) * (x + third) - torch.stack([b, e], -1) * (y + third)).unbind(
            -1
        )
        size = a * e - b * d
        across, down = (
            _fixed_places(height, width, of_x / size, of_y / size, constant / size)
            for of_x, of_y, constant in ((e, -b, b * f - e * c), (-d, a, d * c - a * f))
        )
        return down, across


def _fixed_places(height: int, width: int, of_x: Tensor, of_y: Tensor, constant: Tensor) -> Tensor:
    """Return of_x * x + of_y * y + constant, (N, H, W), in OpenCV's fixed point: 10 bits, then 5."""
    x = torch.arange(width, device=of_x.device)
    y = torch.arange(height, device=of_x.device)
    start = torch.round((of_y[:, None] * y + constant[:, None]) * 1024) + 16
    step = torch.round(of_x[:, None] * x * 1024)
    return torch.floor((start[:, :, None] + step[:, None]) / 32) / 32


@register
@dataclass(frozen=True)
class Pixelate(Corruption):
    """Reduced by box means, enlarged by repetition, on whole grey levels (Hendrycks & Dietterich 2019).

    Parameters
    ----------
    scale : float
        Side of the reduced image to the side; the product is truncated, per axis.
    """

    name: ClassVar[str] = "pixelate"
    group: ClassVar[str] = "digital"

    scale: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the coarse images, multiples of 1 / 255."""
        height, width = (int(side * self.scale) for side in images.shape[2:])
        return pixelate_levels(torch.round(images * 255), height=height, width=width) / 255


@register
@dataclass(frozen=True)
class JpegCompression(Corruption):
    """Stored as JPEG and read again (Hendrycks & Dietterich 2019): equal to what Pillow makes of it.

    Only the steps that lose something are done: 8-bit levels, BT.601 colours, chroma halved both ways, 8 x 8
    DCT, quantisation, and all of it back. A grey image has luminance alone (Pillow's mode L).

    Parameters
    ----------
    quality : int
        IJG quality, 1 to 100; lower is worse.
    """

    name: ClassVar[str] = "jpeg_compression"
    group: ClassVar[str] = "digital"

    quality: int

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the decoded images, multiples of 1 / 255."""
        return jpeg(images, quality=self.quality)


@register
@dataclass(frozen=True)
class Saturate(Corruption):
    """More or less colour: S of HSV becomes clip(S * factor + shift, 0, 1) (Hendrycks & Dietterich 2019).

    A grey pixel has hue 0, so that a positive shift makes it red; of a grey image the luma comes back.

    Parameters
    ----------
    factor : float
        Multiplies S.
    shift : float
        Then added to S, on the image scale [0, 1].
    """

    name: ClassVar[str] = "saturate"
    group: ClassVar[str] = "extra"

    factor: float
    shift: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the images with S changed."""
        return scale_saturation(images, self.factor, self.shift)


def _channel_means(images: Tensor) -> Tensor:
    """Return the mean of each channel, (N, C, 1, 1), the same whatever the batch.

    A float sum depends on its order, which depends on the shape; a sum of integers does not: the values
    in [0, 1] are taken to multiples of 2**-31.
    """
    fixed = (images.to(torch.float64) * 2.0**31).round_().to(torch.int64)
    total = fixed.sum(dim=(2, 3), keepdim=True).to(torch.float64)
    return (total / (images.shape[2] * images.shape[3] * 2.0**31)).to(images.dtype)
