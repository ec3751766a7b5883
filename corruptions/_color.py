"""Colour spaces, channel axis 1."""

import numpy as np
import torch
from torch import Tensor

from ._compile import kernel
from ._host import Levels, from_levels, look_up, to_levels

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma of BT.601."""


@kernel
def shift_value(images: Tensor, shift: float) -> Tensor:
    """Return RGB or grey images (N, C, H, W) in [0, 1] with `shift` added to V of HSV, V clipped to [0, 1].

    H and S do not change, so that every channel, V * (1 - S * w) with w a function of H, is multiplied by
    V' / V; black, with S = 0, becomes grey V'.
    """
    value = images.amax(dim=1, keepdim=True)
    shifted = (value + shift).clamp(0, 1)
    black = (value == 0).to(images.dtype)  # counts as white, of which the share `shifted` is left
    return (images + black).mul_(shifted / (value + black))


def shift_value_levels(images: Levels, shift: float) -> Levels:
    """Return the same of levels (N, C, H, W)."""
    value = from_levels(np.arange(256, dtype=np.uint8))
    black = (value == 0).astype(np.float32)
    ratio = (value + np.float32(shift)).clip(0, 1) / (value + black)
    brightest = images.max(1, keepdims=True)
    shifted = from_levels(images)
    shifted *= look_up(ratio, brightest)
    if not brightest.all():
        shifted += look_up(black * ratio, brightest)
    return to_levels(shifted)


@kernel
def scale_saturation(images: Tensor, factor: float, shift: float) -> Tensor:
    """Return RGB or grey images (N, C, H, W) in [0, 1] with S of HSV as clip(factor * S + shift, 0, 1).

    H and V do not change, so every channel's distance from V = max is multiplied by S' / S. Grey, with
    S = H = 0, counts as red: with shift > 0 green and blue become V * (1 - S'). A grey image gets
    the luma of that colour.
    """
    if images.shape[1] == 1:
        return images * (1 - (1 - LUMA[0]) * min(max(shift, 0.0), 1.0))
    value = images.amax(dim=1, keepdim=True)
    spread = value - images.amin(dim=1, keepdim=True)
    grey = (spread == 0).to(images.dtype)
    distance = value - images
    distance[:, 1:] += grey
    # S' / S = clip(factor * D + shift * V, 0, V) / D with D = V * S
    scaled = torch.minimum((spread * factor).add_(value * shift).clamp_(min=0), value)
    return torch.addcmul(value, distance, scaled / (spread + grey), value=-1)


def scale_saturation_levels(images: Levels, factor: float, shift: float) -> Levels:
    """Return the same of levels (N, C, H, W)."""
    if images.shape[1] == 1:
        share = np.float32(1 - (1 - LUMA[0]) * min(max(shift, 0.0), 1.0))
        return to_levels(from_levels(images) * share)
    floats = from_levels(images)
    value, least = (from_levels(extreme(1, keepdims=True)) for extreme in (images.max, images.min))
    spread = value - least
    grey = (spread == 0).astype(np.float32)
    distance = value - floats
    distance[:, 1:] += grey
    scaled = spread * np.float32(factor)
    scaled += value * np.float32(shift)
    np.minimum(np.maximum(scaled, 0, out=scaled), value, out=scaled)
    spread += grey
    scaled /= spread
    # torch's, for the product is not rounded before it is taken away
    parts = (torch.from_numpy(part) for part in (value, distance, scaled))
    torch.addcmul(*parts, value=-1, out=torch.from_numpy(floats))
    return to_levels(floats)


def luma(colours: Tensor) -> Tensor:
    """Return 0.299 R + 0.587 G + 0.114 B of RGB images (N, 3, H, W), as (N, 1, H, W)."""
    red, green, blue = colours.unbind(1)
    return (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2])[:, None]
