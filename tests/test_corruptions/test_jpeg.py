"""JPEG against Pillow and the definition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features
from torch import Tensor
from torch.nn import functional as F

from corruptions import _jpeg, get_corruption

from ..references import digital as oracle
from .conftest import make_images

SHAPES = [(8, 8), (17, 11), (33, 40), (9, 23), (31, 16), (48, 32)]
QUALITIES = [1, 5, 25, 49, 50, 75, 95, 100]

needs_turbo = pytest.mark.skipif(
    not features.check_feature("libjpeg_turbo"),
    reason="needs a Pillow with libjpeg-turbo, the build we equal",
)


def photograph(height: int, width: int, *, channels: int, seed: int = 0) -> Tensor:
    """Smooth colours and some noise, uint8 (1, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    smooth = F.interpolate(
        torch.rand(1, channels, 5, 5, generator=generator), size=(height, width), mode="bilinear"
    )
    noise = torch.randn(smooth.shape, generator=generator) * 0.06
    return (smooth + noise).clamp(0, 1).mul(255).to(torch.uint8)


def compress(images: Tensor, quality: int) -> Tensor:
    kind: Any = get_corruption("jpeg_compression")
    compressed: Tensor = kind(quality=quality)(images, severity=1)
    return compressed


def by_pillow(images: Tensor, quality: int) -> Tensor:
    outputs = []
    for image in images:
        levels = image.permute(1, 2, 0).numpy()
        decoded = oracle.pillow_jpeg(levels[..., 0] if len(image) == 1 else levels, quality=quality)
        outputs.append(torch.from_numpy(decoded.reshape(levels.shape).copy()).permute(2, 0, 1))
    return torch.stack(outputs)


@needs_turbo
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_pillow_in_every_pixel(shape: tuple[int, int], channels: int) -> None:
    smooth = photograph(*shape, channels=channels)
    noise = make_images(count=1, channels=channels, dtype=torch.uint8, side=shape)
    images = torch.cat([smooth, noise])
    for quality in QUALITIES:
        assert torch.equal(compress(images, quality), by_pillow(images, quality)), quality


@needs_turbo
def test_equals_pillow_at_every_quality() -> None:
    image = photograph(17, 19, channels=3, seed=1)
    for quality in range(1, 101):
        assert torch.equal(compress(image, quality), by_pillow(image, quality)), quality


@pytest.mark.parametrize("quality", [5, 10, 25, 50])
def test_agrees_with_the_definition_in_float64(quality: int) -> None:
    """An integer transform and an exact one: rounding differs on few values, at the published qualities."""
    image = photograph(64, 48, channels=1)
    ours = compress(image, quality)[0, 0].double().numpy()
    theirs = oracle.grey_jpeg(image[0, 0].numpy(), quality=quality)
    difference = np.abs(ours - theirs)
    assert difference.mean() <= 0.4
    assert 10 * np.log10(255**2 / np.mean(difference**2)) >= 40


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 99, 100])
def test_quantisation_steps_are_pillows(tmp_path: Path, quality: int) -> None:
    path = tmp_path / "image.jpg"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path, quality=quality)
    with Image.open(path) as stored:
        tables: dict[int, list[int]] = stored.quantization  # type: ignore[attr-defined]
    for chroma in (False, True):
        steps = _jpeg.quantisation_steps(quality, chroma=chroma)
        assert sorted(steps.ravel().tolist()) == sorted(tables[int(chroma)])
        assert steps[0].tolist() == tables[int(chroma)][:8]


def test_constant_grey_images_come_back() -> None:
    levels = torch.arange(0, 256, 5, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 17, 11)
    assert torch.equal(compress(levels, 100), levels)
    assert torch.equal(compress(levels[:, :1], 100), levels[:, :1])


def test_worse_quality_is_further_from_the_image() -> None:
    image = photograph(64, 64, channels=3)
    errors = [(compress(image, quality).double() - image).square().mean() for quality in (95, 75, 40, 15, 5)]
    assert sorted(errors) == errors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_floats_are_taken_to_the_nearest_level(dtype: torch.dtype) -> None:
    levels = photograph(17, 11, channels=3)
    expected = compress(levels, 40).to(dtype) / 255
    for nudge in (0.0, 0.4 / 255, -0.4 / 255):
        floats = (levels.to(dtype) / 255 + nudge).clamp(0, 1)
        assert torch.allclose(compress(floats, 40), expected, atol=1e-7)
