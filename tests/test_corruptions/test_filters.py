"""Filters and resampling against float64 restatements, and that a batch is its images to the bit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from corruptions import _filters
from corruptions._filters import (
    Mode,
    clipped_zoom,
    disk_filter,
    gaussian_filter,
    motion_blur,
    zero_below,
    zoom_mean,
)

from ..references import blur as oracle
from .conftest import make_images

SIDES = [(17, 11), (8, 40)]
PAD_MODES: dict[Mode, oracle.PadMode] = {"replicate": "edge", "symmetric": "symmetric", "mirror": "reflect"}

each_side = pytest.mark.parametrize("side", SIDES)
each_dtype = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)], ids=["float32", "float64"]
)


def images_of(side: tuple[int, int], dtype: torch.dtype = torch.float32, *, channels: int = 3) -> Tensor:
    return make_images(count=3, channels=channels, dtype=dtype, side=side)


def assert_close(ours: Tensor, theirs: oracle.Array, tolerance: float) -> None:
    assert ours.is_contiguous()
    assert np.abs(ours.numpy() - theirs).max() < tolerance


@each_side
@each_dtype
@pytest.mark.parametrize(("sigma", "truncate"), [(0.2, 4), (1.0, 4), (1.5, 3), (6.0, 4), (170.8, 3)])
def test_gaussian(
    side: tuple[int, int], dtype: torch.dtype, tolerance: float, sigma: float, truncate: float
) -> None:
    """Kernels that reach beyond the image many times over too."""
    images = images_of(side, dtype)
    array = images.double().numpy()
    for mode, pad_mode in PAD_MODES.items():
        expected = oracle.gaussian(array, sigma=sigma, truncate=truncate, mode=pad_mode)
        assert_close(gaussian_filter(images, sigma, truncate=truncate, mode=mode), expected, tolerance)


def test_a_narrow_gaussian_is_the_identity() -> None:
    images = images_of((17, 11))
    assert torch.equal(gaussian_filter(images, 0.124), images)
    assert torch.equal(gaussian_filter(images, 0.0), images)
    assert not torch.equal(gaussian_filter(images, 0.2), images)


def test_one_axis_alone() -> None:
    images = images_of((17, 11), torch.float64)
    taps = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    for axis, kernel in ((2, taps[:, None]), (3, taps[None])):
        ours = _filters._filter_axis(images, (0.4, 0.2, 0.1), axis, "mirror")
        assert_close(ours, oracle.correlate(images.numpy(), kernel, mode="reflect"), 1e-13)


@each_side
@each_dtype
@pytest.mark.parametrize(
    ("radius", "alias_blur"),
    [(0.3, 0.4), (1.0, 0.2), (1.5, 0.1), (3.0, 0.1), (6.0, 0.5), (8.0, 0.5), (8.5, 0.5), (10.0, 0.5)],
)
def test_disk(
    side: tuple[int, int], dtype: torch.dtype, tolerance: float, radius: float, alias_blur: float
) -> None:
    """8 pixels fill the grid, so that its mirror counts; 10 reach beyond an image of 8 rows."""
    images = images_of(side, dtype)
    expected = oracle.correlate(images.double().numpy(), oracle.disk(radius, alias_blur), mode="reflect")
    assert_close(disk_filter(images, radius, alias_blur), expected, tolerance)


@each_side
@each_dtype
@pytest.mark.parametrize("factor", [1.0, 1.01, 1.11, 1.3, 2.25, 4.5])
def test_clipped_zoom(side: tuple[int, int], dtype: torch.dtype, tolerance: float, factor: float) -> None:
    images = images_of(side, dtype)
    assert_close(
        clipped_zoom(images, factor), oracle.clipped_zoom(images.double().numpy(), factor=factor), tolerance
    )


@each_side
def test_zoom_mean_counts_the_image_twice(side: tuple[int, int]) -> None:
    images = images_of(side, torch.float64)
    for factors in ([1.0], [1.0, 1.01], np.arange(1, 1.26, 0.01).tolist()):
        expected = oracle.zoom(images.numpy(), factors=np.array(factors))
        assert_close(zoom_mean(images, tuple(factors)), expected, 1e-13)


@each_side
@each_dtype
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("radius", [1, 6, 20])
def test_motion(
    side: tuple[int, int], dtype: torch.dtype, tolerance: float, channels: int, radius: int
) -> None:
    sigma = 0.7 * radius
    images = images_of(side, dtype, channels=channels)
    for angles in ([-45.0, 0.0, 45.0], [13.3, 90.0, -90.0], [-135.0, 180.0, 101.0]):
        ours = motion_blur(images, torch.tensor(angles), radius=radius, sigma=sigma)
        expected = oracle.motion(images.double().numpy(), angles=np.array(angles), radius=radius, sigma=sigma)
        assert_close(ours, expected, tolerance)


def test_forward_motion_is_the_same_to_the_bit() -> None:
    images, angles = images_of((17, 11)), torch.tensor([-45.0, 0.0, 89.0])
    usual = motion_blur(images, angles, radius=7, sigma=4.0)
    assert torch.equal(motion_blur(images, angles, radius=7, sigma=4.0, forward=True), usual)


FILTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": lambda images: gaussian_filter(images, 1.3),
    "wide gaussian": lambda images: gaussian_filter(images, 50.0, mode="symmetric"),
    "disk": lambda images: disk_filter(images, 6.0, 0.5),
    "zoom": lambda images: clipped_zoom(images, 1.7),
    "zoom mean": lambda images: zoom_mean(images, (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)),
    # Every image's angle depends on the image, wherever it stands.
    "motion": lambda images: motion_blur(images, images[:, 0, 3, 3] * 300, radius=6, sigma=3.0),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
@each_dtype
def test_a_batch_is_its_images_to_the_bit(
    name: str, channels: int, dtype: torch.dtype, tolerance: float
) -> None:
    """One grey image, whose planes need no copy, in particular; and other strides."""
    images = make_images(count=9, channels=channels, dtype=dtype, side=(32, 21))
    together = FILTERS[name](images)
    assert torch.equal(together, torch.cat([FILTERS[name](one) for one in torch.split(images, 1)]))
    assert torch.equal(together, torch.cat([FILTERS[name](some) for some in torch.split(images, 4)]))
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(together, FILTERS[name](turned))
    assert FILTERS[name](images[:0]).shape == (0, channels, 32, 21)


@pytest.mark.parametrize("name", FILTERS)
def test_constant_images_stay(name: str) -> None:
    levels = torch.arange(256).view(-1, 1, 1, 1).expand(-1, 1, 12, 9) / 255
    assert torch.equal((FILTERS[name](levels) * 255 + 2.0**-12).floor(), (levels * 255).round())


def test_the_steps_of_drawn_angles_are_far_from_where_they_turn() -> None:
    """Each 256th angle of -45 + 90 u and -135 + 90 u: what the last bit of a cosine does not change."""
    u = np.arange(0, 2**24, 2**8) / 2**24
    taps = np.arange(1, 45)[:, None]
    for start in (-45, -135):
        radians = np.radians(start + 90 * u)
        for direction in (np.cos(radians), np.sin(radians)):
            place = taps * direction - 0.5
            assert np.abs(place - np.round(place)).min() > 9e-10


def test_zero_below_keeps_the_threshold_itself() -> None:
    for dtype in (torch.float32, torch.float64):
        values = torch.tensor([0.3, 0.5, 0.7], dtype=dtype)
        threshold = float(values[1])
        assert zero_below(values, threshold).tolist() == [0.0, *values[1:].tolist()]
