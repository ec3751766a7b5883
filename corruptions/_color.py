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
