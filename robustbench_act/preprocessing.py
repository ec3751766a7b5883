"""From uint8 images to what a network sees, and back."""

import torch
from torch import Tensor


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
