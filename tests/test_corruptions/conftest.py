"""Images for the tests of the corruptions."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import corruptions
from corruptions.registry import forget

HEIGHT, WIDTH = 17, 11
"""Odd and not square: swapped axes show."""


def make_images(
    *, count: int, channels: int, dtype: torch.dtype, side: tuple[int, int] = (HEIGHT, WIDTH), seed: int = 0
) -> Tensor:
    """Return uniform random images, (count, channels, *side), with every kind of extreme among them."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, channels, *side), generator=generator, dtype=torch.uint8)
    images[..., 0] = 0
    images[..., 1] = 255
    return images if dtype == torch.uint8 else (images / 255).to(dtype)


def make_input(name: str, *, count: int, channels: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return images of the domain of the corruption `name`; shifts get values below 0 and above 1."""
    if corruptions.get_corruption(name).domain == "pixels":
        return make_images(count=count, channels=channels, dtype=dtype)
    work = torch.float32 if dtype == torch.uint8 else dtype
    return make_images(count=count, channels=channels, dtype=torch.float32).sub(0.5).mul(6).to(work)


@pytest.fixture
def images() -> Tensor:
    """uint8 (5, 3, 17, 11)."""
    return make_images(count=5, channels=3, dtype=torch.uint8)


@pytest.fixture
def only_ours() -> Iterator[None]:
    """Forget what a test registers."""
    before = set(corruptions.list_corruptions())
    yield
    for name in set(corruptions.list_corruptions()) - before:
        forget(name)
