"""From uint8 images to what a network sees, and back."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_LUMA = (19595, 38470, 7471)  # ITU-R BT.601 in 1/65536: Pillow's grey, to the last bit


@dataclass(frozen=True)
class Preprocessing:
    """How images become inputs of a network: given its channels, resized to its size, normalised.

    Corruptions come before it. Inputs are the same for any batch.

    Attributes
    ----------
    mean, std
        Per channel of the network.
    size
        (H, W) of larger inputs; None: the images keep their size.
    interpolation
        How they are resized: nearest, bilinear or bicubic.

    Examples
    --------
    >>> images = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    >>> Preprocessing((0.5,) * 3, (0.5,) * 3, size=(32, 32))(images).shape
    torch.Size([2, 3, 32, 32])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    interpolation: str = "bilinear"

    def __call__(self, images: Tensor) -> Tensor:
        """Return inputs for images (N, C, H, W), uint8 or float in [0, 1]."""
        images = with_channels(images, len(self.mean))
        if self.size is not None:
            images = _resized(images, self.size, self.interpolation)
        return normalise(images, self.mean, self.std)

    def steps(self, channels: int) -> tuple[str, ...]:
        """Return what it does to images of so many channels before it normalises them, a phrase for each.

        >>> Preprocessing((0.5,) * 3, (0.5,) * 3, (224, 224)).steps(1)
        ('repeated for 3 channels', 'resized to 224 x 224 (bilinear)')
        """
        own = len(self.mean)
        turned = {1: "made grey (BT.601)", 3: "repeated for 3 channels"}.get(own, "")
        resized = f"resized to {self.size[0]} x {self.size[1]} ({self.interpolation})" if self.size else ""
        return tuple(filter(None, (turned if own != channels else "", resized)))


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Return images (..., C, H, W) with 1 or 3 channels: grey repeated, or RGB made grey as Pillow does it.

    >>> red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1)
    >>> with_channels(red, 1).item(), with_channels(red[:1], 3).flatten().tolist()
    (76, [255, 255, 255])
    """
    own = images.shape[-3]
    if own == channels:
        return images
    if own == 1:
        return images.expand(*images.shape[:-3], channels, *images.shape[-2:])
    assert (own, channels) == (3, 1)
    if images.dtype != torch.uint8:
        red, green, blue = (images.select(-3, place) * (weight / 65536) for place, weight in enumerate(_LUMA))
        return (red + green + blue).unsqueeze(-3)
    red, green, blue = (images.select(-3, place).int() * weight for place, weight in enumerate(_LUMA))
    return ((red + green + blue + 0x8000) >> 16).to(torch.uint8).unsqueeze(-3)


def _resized(images: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    x = images.float() / 255 if images.dtype == torch.uint8 else images
    if interpolation == "nearest":
        return functional.interpolate(x, size=size, mode="nearest-exact")
    wide = functional.interpolate(x, size=size, mode=interpolation, align_corners=False, antialias=True)
    return wide.clamp(0, 1)  # bicubic curves overshoot


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
