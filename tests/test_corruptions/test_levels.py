"""Levels in host memory: NumPy and the libraries make the levels that `apply` makes, and write to nothing."""

import numpy as np
import pytest
import torch
from torch import Tensor

import corruptions
from corruptions import Corruption, _host, _jpeg, base, random, spatter
from corruptions.random import Stream
from tests.pairwise import each_pair

from .conftest import make_images

LEVELLED = [
    name
    for name in corruptions.list_corruptions()
    if corruptions.get_corruption(name).levels is not Corruption.levels
]
SIZES = [(8, 8), (17, 11), (32, 32), (9, 70), (97, 64), (128, 131)]


def natural(channels: int, size: tuple[int, int]) -> Tensor:
    """Smooth colours with noise; noise and extremes; few levels; a grey half; black: uint8 (5, C, *size)."""
    coarse = make_images(count=5, channels=channels, dtype=torch.float32, side=(5, 5))
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear").mul_(255).to(torch.uint8)
    noise = make_images(count=5, channels=channels, dtype=torch.uint8, side=size, seed=1)
    images = smooth // 8 * 7 + noise // 8
    images[1] = noise[1]
    images[2] = smooth[2] // 32 * 32
    images[3, :, : size[0] // 2] = images[3, :1, : size[0] // 2]
    images[4] = 0
    return images


@each_pair(
    name=LEVELLED,
    size=SIZES,
    channels=[1, 3],
    severity=[1, 2, 3, 4, 5],
    table=["32", "64", "224", "imagecorruptions"],
)
def test_equal_what_apply_makes(
    name: str, size: tuple[int, int], channels: int, severity: int, table: str
) -> None:
    images = natural(channels, size)
    corruption = corruptions.get_corruption(name).at(severity, table=table)
    stream = Stream(torch.arange(5), name=name, severity=float(severity), seed=0)
    noise = dict(corruption.draw(stream, images))
    before = {key: value.clone() for key, value in noise.items()}
    assert torch.equal(corruption.render(images, noise), base._render_levels(corruption, images, noise))
    assert torch.equal(images, natural(channels, size))
    assert all(torch.equal(noise[key], before[key]) for key in before)


def test_every_level_survives_noise_that_does_nothing() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    none = torch.zeros(levels.shape)
    for name in ("gaussian_noise", "speckle_noise"):
        corruption = corruptions.get_corruption(name).at(3, table="32")
        assert torch.equal(corruption.render(levels, {"z": none}), levels)
    flips = {"flipped": none.bool(), "salted": none.bool()}
    impulses = corruptions.get_corruption("impulse_noise").at(3, table="32")
    assert torch.equal(impulses.render(levels, flips), levels)


@pytest.mark.parametrize("count", [1, 4, 5, 300])
def test_streams_in_host_memory_are_those_of_other_devices(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = torch.tensor([0, -1, 2**40, 2**63 - 1, -(2**63)]).repeat(60)[:count]
    images = make_images(count=count, channels=3, dtype=torch.uint8)

    def draws() -> list[Tensor]:
        stream = Stream(ids, name="fog", severity=2.0, seed=1)
        return [
            stream.bits(2, 77),
            stream.bits(),
            stream.uniform(77),
            stream.normal(500),
            stream.laplace(500),
            stream.integers(0, 10, 3),
            *stream.trials(0.3, 50),
            stream.poisson(images, rate=12.0),
            stream.poisson(images / 255, rate=60.0),
        ]

    host = draws()
    monkeypatch.setattr(random, "on_host", lambda tensor: False)
    for one, other in zip(host, draws(), strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_a_library_that_makes_other_levels_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    images = natural(3, (17, 11))
    usual = corruptions.corrupt(images, "jpeg_compression", severity=3)
    by_library = _jpeg._by_library
    monkeypatch.setattr(
        _jpeg, "_by_library", lambda images, quality: by_library(images, quality) ^ np.uint8(1)
    )
    _jpeg._library_agrees.cache_clear()
    try:
        assert not _jpeg._library_agrees()
        assert torch.equal(corruptions.corrupt(images, "jpeg_compression", severity=3), usual)
    finally:
        _jpeg._library_agrees.cache_clear()


@pytest.mark.skipif(_host.opencv() is None, reason="needs an OpenCV that loads")
def test_the_library_here_is_used() -> None:
    assert _jpeg._library_agrees()
    assert spatter._library_agrees()


def test_levels_may_be_made_tile_by_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Stream(torch.arange(3), name="a", severity=1, seed=0).normal(7, 31)
    monkeypatch.setattr(random, "TILE", 50)
    assert torch.equal(Stream(torch.arange(3), name="a", severity=1, seed=0).normal(7, 31), usual)


def test_large_planes_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = make_images(count=1, channels=1, dtype=torch.uint8, side=(90, 70)).numpy()
    usual = _host.histogram(levels)
    monkeypatch.setattr(_host, "MOST_COUNTED", 10)
    assert np.array_equal(_host.histogram(levels), usual)
    assert usual[255] >= 90
