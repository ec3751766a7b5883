"""Colour spaces, channel axis 1."""

import torch
from torch import Tensor


def shift_value(images: Tensor, shift: float) -> Tensor:
    """Return RGB or grey images (N, C, H, W) in [0, 1] with `shift` added to V of HSV, V clipped to [0, 1].

    H and S do not change, so that every channel, V * (1 - S * w) with w of H alone, is multiplied by
    V' / V; black, where S = 0, becomes grey V'.
    """
    value = images.amax(dim=1, keepdim=True)
    shifted = (value + shift).clamp(0, 1)
    black = value == 0
    ratio = shifted / torch.where(black, 1.0, value)
    return torch.where(black, shifted, images * ratio)


def scale_saturation(images: Tensor, factor: float, shift: float) -> Tensor:
    """Return RGB or grey images (N, C, H, W) in [0, 1] with S of HSV taken to clip(S * factor + shift, 0, 1).

    Each channel is V * (1 - S * w) with w = (V - channel) / (V - min) of the hue alone; w of red, hue 0, is
    (0, 1, 1), and so is that of grey pixels. A grey image gets the luma of the result.
    """
    if images.shape[1] == 1:
        return images * (1 - min(max(shift, 0.0), 1.0) * (0.587 + 0.114))
    value = images.amax(dim=1, keepdim=True)
    spread = value - images.amin(dim=1, keepdim=True)
    grey = spread == 0
    saturation = torch.where(grey, 0.0, spread / torch.where(value == 0, 1.0, value))
    changed = (saturation * factor + shift).clamp(0, 1)
    red = torch.tensor([0.0, 1.0, 1.0], device=images.device, dtype=images.dtype).view(3, 1, 1)
    weight = torch.where(grey, red, (value - images) / torch.where(grey, 1.0, spread))
    return value * (1 - changed * weight)


def luma(colours: Tensor) -> Tensor:
    """Return 0.299 R + 0.587 G + 0.114 B of RGB images (N, 3, H, W), as (N, 1, H, W)."""
    red, green, blue = colours.unbind(1)
    return (red * 0.299 + green * 0.587 + blue * 0.114)[:, None]
