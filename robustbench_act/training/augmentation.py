"""What training does to its images: crops and flips, and noise."""

import torch
from torch import Tensor
from torch.nn import functional as F

AUGMENTATIONS = ("none", "crop", "crop-flip")

_PAD = 4  # pixels on each side before the random crop, as in both papers


def crop_and_flip(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), uint8, after the augmentation of that name, see `Recipe.augment`."""
    if kind == "none":
        return images
    count, _, height, width = images.shape
    top = torch.randint(2 * _PAD + 1, (count, 1, 1), generator=generator)
    left = torch.randint(2 * _PAD + 1, (count, 1, 1), generator=generator)
    rows, columns = torch.arange(height).view(1, -1, 1) + top, torch.arange(width).view(1, 1, -1) + left
    if kind == "crop-flip":
        flip = torch.rand((count, 1, 1), generator=generator) < 0.5
        columns = torch.where(flip, columns.flip(-1), columns)
    padded = F.pad(images, (_PAD, _PAD, _PAD, _PAD))
    return padded[torch.arange(count).view(-1, 1, 1), :, rows, columns].permute(0, 3, 1, 2)


def add_noise(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W) on the [0, 1] scale, half of them with Gaussian noise, clipped.

    Half of each batch stays clean (Rusak et al. 2020, arXiv 2001.06057). The standard deviation is drawn for
    each noisy image, evenly from 0 to `most` (Lopes et al. 2019, arXiv 1906.02611, with the patch as large as
    the image).

    >>> images = torch.full((4, 1, 8, 8), 128, dtype=torch.uint8)
    >>> noisy = add_noise(images, 0.1, torch.Generator().manual_seed(0))
    >>> sorted(image.unique().numel() > 1 for image in noisy)
    [False, False, True, True]
    """
    noisy = images.float() / 255
    rows = torch.randperm(len(images), generator=generator)[: len(images) // 2]
    deviations = most * torch.rand((len(rows), 1, 1, 1), generator=generator)
    noise = torch.randn((len(rows), *images.shape[1:]), generator=generator)
    noisy[rows] = (noisy[rows] + deviations * noise).clamp(0, 1)
    return noisy
