"""From pictures of any size to what a network sees, and back for looking at."""

import math
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from robustbench_act.errors import InputError, unknown_name

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")

USUAL = {
    "mnist": ((0.1307,), (0.3081,)),
    "cifar-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar-100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""The field's usual mean and std of a data set, per channel on the [0, 1] scale."""


@dataclass(frozen=True)
class View:
    """How a picture becomes an image of a fixed size: resized, then its centre cut out.

    Attributes
    ----------
    resize
        Pixels of the shorter side, or None: not resized. As `torchvision.transforms.Resize`, antialiased.
    crop
        Pixels of the sides of the square in the centre, or None: all of it.
    interpolation
        "nearest", "bilinear", "bicubic" or "lanczos".
    source
        Who says so, for the record.

    Examples
    --------
    >>> str(View(resize=256, crop=224))
    'resized to 256, centre of 224 x 224, bilinear'
    """

    resize: int | None = None
    crop: int | None = None
    interpolation: str = "bilinear"
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", self.interpolation, INTERPOLATIONS)
        for side in (self.resize, self.crop):
            if side is not None and side < 1:
                raise InputError(f"Expected a size of at least 1 pixel to resize to or to crop, got {side}.")

    def __str__(self) -> str:
        resized = f"resized to {self.resize}, " if self.resize else ""
        cropped = f"centre of {self.crop} x {self.crop}, " if self.crop else ""
        return f"{resized}{cropped}{self.interpolation}" if resized or cropped else "as it is"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size (H, W) that a picture of this size gets."""
        return (self.crop, self.crop) if self.crop else self.resized(height, width)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size (H, W) that it has before its centre is cut out."""
        if not self.resize:
            return height, width
        long = int(self.resize * max(height, width) / min(height, width))
        return (self.resize, long) if height <= width else (long, self.resize)

    def apply(self, picture: Image.Image) -> Image.Image:
        """Return the picture as it is shown."""
        height, width = self.resized(picture.height, picture.width)
        if height * width > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise ValueError(f"{picture.height} x {picture.width} pixels become {height} x {width}")
        if self.resize:
            mode = InterpolationMode(self.interpolation)
            picture = transforms.resize(picture, [self.resize], interpolation=mode)
        if not self.crop:
            return picture
        if min(picture.size) < self.crop:
            width, height = picture.size
            raise ValueError(f"{height} x {width} pixels, fewer than the centre of {self.crop} x {self.crop}")
        return transforms.center_crop(picture, [self.crop, self.crop])  # type: ignore[no-any-return]


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Map images (..., C, H, W), uint8 or float in [0, 1], to (image - mean) / std in float32.

    >>> normalise(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), (0.5,), (0.25,)).unique()
    tensor([2.])
    """
    x = images.float() / 255 if images.dtype == torch.uint8 else images
    return (x - _per_channel(mean, x)) / _per_channel(std, x)


def denormalise(inputs: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Map network inputs (..., C, H, W) back to uint8 images, clipped and rounded.

    >>> images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    >>> torch.equal(denormalise(normalise(images, (0.1307,), (0.3081,)), (0.1307,), (0.3081,)), images)
    True
    """
    x = inputs * _per_channel(std, inputs) + _per_channel(mean, inputs)
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(-1, 1, 1)
