"""Pixel corruptions against float64 restatements, and against the published generators' own output."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import corruptions
from corruptions import get_corruption
from corruptions.random import Stream

from ..pairwise import each_pair
from ..references import corruptions as oracle
from .conftest import make_images

Array = NDArray[Any]
Shared = Callable[[str], Path]
RANDOM = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"]
DETERMINISTIC = ["brightness", "contrast"]


def expected(name: str, images: Array, noise: dict[str, Array], constants: dict[str, Any]) -> Array:
    if name == "impulse_noise":
        return oracle.impulse_noise(images, noise["flipped"], noise["salted"])
    function: Callable[..., Array] = getattr(oracle, name)
    return function(images, *noise.values(), **constants)


@each_pair(
    name=[*RANDOM, *DETERMINISTIC],
    severity=[1, 3.5, 5],
    channels=[1, 3],
    dtype=[torch.uint8, torch.float32, torch.float64],
)
def test_equals_the_float64_restatement(
    name: str, severity: float, channels: int, dtype: torch.dtype
) -> None:
    images = make_images(count=4, channels=channels, dtype=dtype)
    corruption = get_corruption(name).at(severity, table="64")
    stream = Stream(torch.arange(4), name=name, severity=severity, seed=0)
    noise = dict(corruption.draw(stream, images))
    ours = corruption.render(images, noise).numpy()
    arrays = {key: value.numpy() for key, value in noise.items()}
    theirs = expected(name, images.numpy(), arrays, vars(corruption))
    if dtype == torch.uint8:
        assert_levels_agree(ours, oracle.truncate(theirs), equal=0.93)
    else:
        tolerance = 2e-6 if dtype == torch.float32 else 1e-7
        assert np.abs(ours - np.clip(theirs, 0, 1)).max() < tolerance


def assert_levels_agree(ours: Array, theirs: Array, *, equal: float) -> None:
    """Never more than one level apart, and at least the share `equal` the same."""
    difference = ours.astype(int) - theirs.astype(int)
    assert np.abs(difference).max() <= 1
    assert (difference == 0).mean() >= equal, (difference == 0).mean()


def to_tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("size", ["32", "64"])
def test_equals_the_published_generator_given_its_draws(shared: Shared, name: str, size: str) -> None:
    with np.load(shared(f"reference/golden/pinned_orig_{size}.npz")) as golden:
        clean, published = golden["clean"], golden[f"out__{name}"]
        for index, severity in enumerate(golden["severities"].tolist()):
            noise = published_draws(name, golden[f"draws__{name}__s{severity}"], clean.shape)
            ours = get_corruption(name).at(severity, table=size).render(to_tensor(clean), noise)
            assert_levels_agree(ours.numpy(), to_tensor(published[:, index]).numpy(), equal=0.999)


def published_draws(name: str, draws: Array, shape: tuple[int, ...]) -> dict[str, Tensor]:
    if name == "impulse_noise":
        flipped, salted = np.split(draws.astype(bool), 2, axis=1)
        return {"flipped": to_tensor(flipped.reshape(shape)), "salted": to_tensor(salted.reshape(shape))}
    if name == "shot_noise":
        return {"counts": to_tensor(draws.astype(np.int32).reshape(shape))}
    return {"z": to_tensor(draws.astype(np.float32).reshape(shape))}


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("size", ["32", "64", "224"])
def test_equals_the_published_generator(shared: Shared, name: str, size: str) -> None:
    with np.load(shared(f"reference/golden/orig_{size}.npz")) as golden:
        images, published = to_tensor(golden["clean"]), golden[f"det__{name}"]
        for index, severity in enumerate(golden["severities"].tolist()):
            ours = corruptions.corrupt(images, name, severity=severity, table=size)
            theirs = to_tensor(published[:, index]).numpy()
            # The reference's way through HSV falls just short of an integer on 3 % of the values.
            assert_levels_agree(ours.numpy(), theirs, equal=0.96 if name == "brightness" else 0.9999)


@pytest.mark.parametrize("name", RANDOM)
def test_has_the_statistics_of_the_published_generator(shared: Shared, name: str) -> None:
    """Mean squared change, mean change per channel: pooled over two images and three severities of 32 px."""
    with np.load(shared("reference/golden/orig_32.npz")) as golden:
        scalar_names = golden["scalar_names"].tolist()
        wanted = [scalar_names.index(each) for each in ("mse", "shift_r", "shift_g", "shift_b")]
        images, scalars = golden["clean"], golden[f"scalars__{name}"][..., wanted]
        severities = golden["severities"].tolist()
    distances: list[float] = []
    for image, index in itertools.product(range(2), (0, 2, 4)):
        draws = scalars[image, index]
        clean = to_tensor(images[image : image + 1]).repeat(len(draws), 1, 1, 1)
        noisy = corruptions.corrupt(clean, name, severity=severities[index], table="32")
        change = noisy.double() - clean
        ours = torch.cat([change.square().mean((1, 2, 3))[:, None], change.mean((2, 3))], dim=1).numpy()
        error = np.sqrt(ours.var(0, ddof=1) / len(ours) + draws.var(0, ddof=1) / len(draws))
        distances.extend(np.abs(ours.mean(0) - draws.mean(0)) / error)
    assert np.median(distances) < 1.0
    assert np.max(distances) < 4.3


NO_EFFECT = [
    ("gaussian_noise", {"std": 0.0}),
    ("speckle_noise", {"std": 0.0}),
    ("impulse_noise", {"amount": 0.0}),
    ("brightness", {"value_shift": 0.0}),
    ("contrast", {"factor": 1.0}),
]


@pytest.mark.parametrize(("name", "parameters"), NO_EFFECT)
def test_no_effect_gives_the_image_back(name: str, parameters: dict[str, float]) -> None:
    kind: Any = get_corruption(name)
    every_level = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    colours = torch.randint(0, 256, (50, 3, 16, 16), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )
    for images in (every_level, colours):
        assert torch.equal(kind(**parameters)(images, severity=1), images)


def test_exact_results_are_not_truncated_down() -> None:
    """Every level v must come out of v / 255, whatever the way: the trap of truncating float32."""
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    shot: Any = get_corruption("shot_noise")(rate=255.0)  # type: ignore[call-arg]
    assert torch.equal(shot.render(levels, {"counts": levels.int()}), levels)
    brighter: Any = get_corruption("brightness")(value_shift=0.2)  # type: ignore[call-arg]
    assert torch.equal(brighter(levels, severity=1).int(), (levels.int() + 51).clamp(max=255))


def test_contrast_leaves_constant_images_alone() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 17, 11)
    assert torch.equal(corruptions.corrupt(levels, "contrast", severity=5), levels)


def test_impulse_noise_replaces_the_stated_share_half_by_half() -> None:
    images = torch.full((100, 3, 50, 50), 128, dtype=torch.uint8)
    noisy = corruptions.corrupt(images, "impulse_noise", severity=5, table="224")
    count, amount = images.numel(), 0.27
    for value in (0, 255):
        share = (noisy == value).float().mean()
        assert abs(share - amount / 2) < 4 * (amount / 2 / count) ** 0.5
    assert set(noisy.flatten().tolist()) == {0, 128, 255}
    everything: Any = get_corruption("impulse_noise")(amount=1.0)  # type: ignore[call-arg]
    assert set(everything(images, severity=1).flatten().tolist()) == {0, 255}
    # channel values, not pixels
    assert (noisy != images).any(1).float().mean() > 1 - (1 - amount) ** 3 - 0.01


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_noise_has_the_variance_of_the_table(severity: int) -> None:
    images = torch.full((100, 3, 50, 50), 0.5, dtype=torch.float64)
    constants = {
        "gaussian_noise": [0.04, 0.08, 0.10][severity // 2],
        "speckle_noise": [0.06, 0.12, 0.20][severity // 2] / 2,
        "shot_noise": (0.5 / [500, 100, 50][severity // 2]) ** 0.5,
    }
    for name, std in constants.items():
        noisy = corruptions.corrupt(images, name, severity=severity, table="32")
        # 4 standard errors of a variance, of kurtosis 3
        assert abs(noisy.var() / std**2 - 1) < 4 * (2 / images.numel()) ** 0.5 + 1e-4, name
        assert abs(noisy.mean() - 0.5) < 4 * std / images.numel() ** 0.5, name


def test_grey_images_get_the_brightness_of_grey_colours() -> None:
    grey = make_images(count=3, channels=1, dtype=torch.uint8)
    colour = grey.repeat(1, 3, 1, 1)
    for severity in (1, 5):
        bright = corruptions.corrupt(grey, "brightness", severity=severity)
        assert torch.equal(
            bright.repeat(1, 3, 1, 1), corruptions.corrupt(colour, "brightness", severity=severity)
        )
