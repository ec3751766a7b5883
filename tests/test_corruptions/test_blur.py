"""The blur corruptions against float64 restatements."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import corruptions
from corruptions import blur, get_corruption
from corruptions.random import Stream

from ..pairwise import each_pair
from ..references import blur as oracle
from .conftest import make_images

Array = oracle.Array
Shared = Callable[[str], Path]
NAMES = ["defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur"]


@each_pair(name=NAMES, channels=[1, 3], cell=[(1, "32"), (3.5, "32"), (5, "64"), (2, "224"), (4.5, "299")])
def test_equals_the_float64_restatement(name: str, channels: int, cell: tuple[float, str]) -> None:
    severity, table = cell
    images = make_images(count=2, channels=channels, dtype=torch.float64, side=(17, 13))
    corruption = get_corruption(name).at(severity, table=table)
    noise = corruption.draw(Stream(torch.arange(2), name=name, severity=severity, seed=0), images)
    ours = corruption.apply(images, noise).numpy()
    assert np.abs(ours - restatement(corruption, images.numpy(), noise)).max() < 1e-12


def restatement(corruption: Any, x: Array, noise: Any) -> Array:
    match corruption.name:
        case "gaussian_blur":
            return oracle.gaussian(x, sigma=corruption.sigma)
        case "defocus_blur":
            kernel = oracle.disk(corruption.radius, corruption.alias_blur)
            return oracle.correlate(x, kernel, mode="reflect")
        case "zoom_blur":
            return oracle.zoom(x, factors=np.arange(1, corruption.stop, corruption.step))
        case "motion_blur":
            angles = noise["u"].double().numpy() * 90 - 45
            blurred = oracle.motion(x, angles=angles, radius=corruption.radius, sigma=corruption.sigma)
            rounded: Array = np.floor(blurred * 255 + 0.5) / 255
            return rounded
        case _:
            levels = np.floor(oracle.gaussian(x, sigma=corruption.sigma) * 255 + 2.0**-12) / 255
            moved = [
                oracle.shuffle(image, offsets.numpy(), max_delta=corruption.max_delta)
                for image, offsets in zip(levels, noise["offsets"], strict=True)
            ]
            return oracle.gaussian(np.stack(moved), sigma=corruption.sigma)


@pytest.mark.parametrize(("side", "d"), [((32, 32), 1), ((9, 31), 2), ((40, 23), 3), ((17, 30), 4)])
def test_the_copies_of_glass_blur_equal_the_loop_to_the_bit(side: tuple[int, int], d: int) -> None:
    images = torch.rand(3, 3, *side, generator=torch.Generator().manual_seed(0))
    glass = blur.GlassBlur(sigma=0.0, max_delta=d, iterations=3)
    stream = Stream(torch.arange(3), name="glass_blur", severity=1.0, seed=0)
    offsets = glass.draw(stream, images)["offsets"]
    assert offsets.shape == (3, 3, 2, side[0] - 2 * d, side[1] - 2 * d)
    ours = blur._take(images, blur._shuffle(offsets, *side, d))
    for image, one, ours_one in zip(images, offsets, ours, strict=True):
        assert np.array_equal(ours_one.numpy(), oracle.shuffle(image.numpy(), one.numpy(), max_delta=d))


def test_long_chains_of_copies_are_followed() -> None:
    """All offsets (0, 1): a row is one chain of 60 pixels; the last one's neighbour is never written."""
    image = torch.rand(1, 1, 12, 64, generator=torch.Generator().manual_seed(0))
    offsets = torch.zeros(1, 1, 2, 8, 60, dtype=torch.int32)
    offsets[:, :, 1] = 1
    ours = blur._take(image, blur._shuffle(offsets, 12, 64, 2))[0]
    assert np.array_equal(ours.numpy(), oracle.shuffle(image[0].numpy(), offsets[0].numpy(), max_delta=2))
    assert torch.equal(ours[0, 3:11, 3:63], image[0, 0, 3:11, 63:].expand(8, 60))


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_offsets_are_uniform_and_independent(d: int) -> None:
    """Chi-square of the (2d)^2 pairs: within 5 standard deviations; passes and neighbours uncorrelated."""
    glass = blur.GlassBlur(sigma=0.5, max_delta=d, iterations=2)
    images = torch.zeros(20, 1, 101, 102)
    stream = Stream(torch.arange(20), name="glass_blur", severity=1.0, seed=0)
    offsets = glass.draw(stream, images)["offsets"]
    assert (int(offsets.min()), int(offsets.max())) == (-d, d - 1)
    row, column = (offsets + d).unbind(2)
    pairs, cells = (row * 2 * d + column).flatten(), 4 * d * d
    counts = torch.bincount(pairs, minlength=cells).double()
    expected = len(pairs) / cells
    freedom = cells - 1
    assert abs(((counts - expected) ** 2 / expected).sum() - freedom) < 5 * (2 * freedom) ** 0.5
    numbers = offsets.double()
    numbers = (numbers + 0.5) / numbers.std()
    bound = 5 / (numbers.numel() / 2) ** 0.5
    for one, other in (
        (numbers[:, 0], numbers[:, 1]),
        (numbers[:, :, 0], numbers[:, :, 1]),
        (numbers[..., 1:], numbers[..., :-1]),
        (numbers[1:], numbers[:-1]),
    ):
        assert abs((one * other).mean()) < bound


@pytest.mark.parametrize("side", [(8, 8), (8, 9), (10, 300)])
def test_glass_blur_of_images_too_small_to_shuffle_is_a_filter(side: tuple[int, int]) -> None:
    images = make_images(count=2, channels=3, dtype=torch.float64, side=side)
    glass = get_corruption("glass_blur").at(5, table="299")
    stream = Stream(torch.arange(2), name="glass_blur", severity=5.0, seed=0)
    ours = glass.apply(images, glass.draw(stream, images)).numpy()
    levels = np.floor(oracle.gaussian(images.numpy(), sigma=1.6) * 255 + 2.0**-12) / 255
    assert np.abs(ours - oracle.gaussian(levels, sigma=1.6)).max() < 1e-12


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", corruptions.list_tables())
def test_constant_images_stay_constant(name: str, table: str) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 12)
    for severity in (1, 2, 3, 4, 5):
        corrupted = corruptions.corrupt(levels, name, severity=severity, table=table)
        kind = get_corruption(name).at(severity, table=table)
        # A disk that meets the edge of its grid is the exception.
        total = oracle.disk(kind.radius, kind.alias_blur).sum() if isinstance(kind, blur.DefocusBlur) else 1
        assert torch.equal(corrupted, (levels * total + 2.0**-12).clamp(max=255).to(torch.uint8))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_grey_images_get_what_three_equal_channels_get(name: str, severity: float) -> None:
    grey = make_images(count=4, channels=1, dtype=torch.uint8)
    coloured = corruptions.corrupt(grey.repeat(1, 3, 1, 1), name, severity=severity)
    assert torch.equal(corruptions.corrupt(grey, name, severity=severity).repeat(1, 3, 1, 1), coloured)


def test_motion_blur_of_imagecorruptions_rounds_down() -> None:
    images = make_images(count=8, channels=3, dtype=torch.uint8, side=(32, 32))
    nearest, down = (
        corruptions.corrupt(images, "motion_blur", severity=3, table=table).int()
        for table in ("224", "imagecorruptions")
    )
    assert set((nearest - down).flatten().tolist()) == {0, 1}
    assert abs((nearest - down).double().mean() - 0.5) < 0.02


def test_motion_angles_are_uniform() -> None:
    motion = get_corruption("motion_blur").at(1, table="32")
    stream = Stream(torch.arange(10_000), name="motion_blur", severity=1.0, seed=0)
    u = motion.draw(stream, torch.zeros(10_000, 1, 8, 8))["u"].double()
    assert u.shape == (10_000,)
    steps = torch.arange(10_000, dtype=torch.float64) / 10_000
    assert (u.sort().values - steps).abs().max() < 2 / 100


@pytest.mark.parametrize("table", ["32", "64", "224", "299"])
def test_zoom_blur_has_the_published_number_of_factors(shared: Shared, table: str) -> None:
    """Some lists reach their end, as floating-point steps overshoot."""
    published = tomllib.loads(shared("reference/constants.toml").read_text(encoding="utf-8"))
    for severity, count in enumerate(published[f"size_{table}"]["zoom_blur"]["count"], start=1):
        zoom = blur.ZoomBlur.at(severity, table=table)
        assert len(zoom.factors) == count
