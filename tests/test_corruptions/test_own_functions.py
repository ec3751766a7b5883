"""Corruptions of one's own that are functions of one image."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import corruptions
from corruptions import Corruption, InputError, check_corruption, from_function

from .conftest import make_images

pytestmark = pytest.mark.usefixtures("only_ours")
Image = NDArray[np.uint8]


def rain(image: Image, rng: np.random.Generator, length: int) -> Image:
    """Draw streaks by albumentations, whose own random numbers are seeded by ours."""
    import albumentations

    drops = albumentations.RandomRain(slant_range=(-5, 5), drop_length=length, p=1)
    drops.set_random_seed(int(rng.integers(2**31)))
    made: Image = drops(image=image)["image"]
    return made


def register_rain() -> type[Corruption]:
    return from_function(rain, name="rain", group="weather", severities={"length": (3, 5, 7, 9, 11)})


def rained(ids: list[int]) -> Image:
    """Corrupt some images in a process of its own."""
    register_rain()
    images = make_images(count=8, channels=3, dtype=torch.uint8)[ids]
    return corruptions.corrupt(images, "rain", severity=3, ids=torch.tensor(ids)).numpy()


def test_a_function_gets_images_its_generator_and_the_constants() -> None:
    seen: list[tuple[Image, float, float]] = []

    def look(image: Image, rng: np.random.Generator, share: float) -> Image:
        seen.append((image, float(rng.random()), share))
        return 255 - image

    from_function(
        look, name="look", severities={"share": (0.01, 0.02, 0.05, 0.1, 0.2)}, units={"share": "none"}
    )
    images = make_images(count=3, channels=3, dtype=torch.uint8)
    corrupted = corruptions.corrupt(images, "look", severity=2)
    assert torch.equal(corrupted, 255 - images)
    assert [image.shape for image, _, _ in seen] == [(17, 11, 3)] * 3
    assert all(
        np.array_equal(image, own.permute(1, 2, 0)) for (image, _, _), own in zip(seen, images, strict=True)
    )
    assert {share for *_, share in seen} == {0.02}
    first = [number for _, number, _ in seen]
    assert len(set(first)) == 3
    seen.clear()
    corruptions.corrupt(images.flip(0), "look", severity=2, ids=torch.tensor([2, 1, 0]))
    assert [number for _, number, _ in seen] == first[::-1]
    seen.clear()
    corruptions.corrupt(images, "look", severity=2, seed=1)
    assert not {number for _, number, _ in seen} & set(first)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_a_function_that_returns_its_image_changes_no_level(channels: int, dtype: torch.dtype) -> None:
    from_function(lambda image, rng: image.squeeze(), name="same", severities={})
    images = make_images(count=3, channels=channels, dtype=torch.uint8)
    given = images if dtype == torch.uint8 else (images / 255).to(dtype)
    corrupted = corruptions.corrupt(given, "same", severity=1)
    assert torch.equal(corrupted, given)


@pytest.mark.slow
def test_a_wrapped_transform_gives_the_same_pixels_in_one_process_and_in_four() -> None:
    register_rain()
    check_corruption("rain", severities=[1, 5])
    images = make_images(count=8, channels=3, dtype=torch.uint8)
    whole = corruptions.corrupt(images, "rain", severity=3)
    assert not torch.equal(whole, images)
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        parts = pool.map(rained, [[0, 1], [2, 3], [4, 5], [6, 7]])
        assert np.array_equal(np.concatenate(list(parts)), whole.numpy())


def _writes(image: Image, rng: np.random.Generator) -> Image:
    image[0, 0] = 255 - image[0, 0]
    return image


def _raises(image: Image, rng: np.random.Generator) -> Image:
    raise ValueError("the lens\nis broken")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda image, rng: image[1:],
            r"expected uint8 \(17, 11, 3\) of the function, got uint8 \(16, 11, 3\)\.",
        ),
        (lambda image, rng: image / 255, r"got float64 \(17, 11, 3\)\."),
        (lambda image, rng: image * np.float32("nan"), r"got float32 \(17, 11, 3\) with NaN\."),
        (lambda image, rng: image.tolist(), "expected a uint8 array, got list"),
        (lambda image, rng: None, "expected a uint8 array, got NoneType"),
        (_writes, r"the function writes into its input; let it work on image\.copy\(\)"),
        (_raises, "the function raised ValueError: the lens is broken$"),
    ],
)
def test_a_function_that_breaks_its_word_is_named_with_the_image(function: Any, message: str) -> None:
    from_function(function, name="wrong", severities={})
    images = make_images(count=2, channels=3, dtype=torch.uint8)
    with pytest.raises(InputError, match=message) as caught:
        corruptions.corrupt(images, "wrong", severity=1, ids=torch.tensor([7, 8]))
    assert str(caught.value).startswith("Corruption 'wrong', ")
    assert "image 7:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "severities", "message"),
    [
        (3, {}, "expected a function, got int"),
        (lambda image: image, {}, r"a function to call with \(image, rng\): too many positional"),
        (
            lambda image, rng: image,
            {"x": 1},
            r"\(image, rng, x=\.\.\.\): got an unexpected keyword argument 'x'",
        ),
        (lambda image, rng, x: image, {}, "missing a required argument: 'x'"),
        (lambda image, rng: image, {"rng": 1}, "multiple values for argument 'rng'"),
        (lambda image, rng, x: image, {"x": [1, 2]}, "five constants"),
    ],
)
def test_a_function_that_does_not_fit_is_refused(function: Any, severities: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_function(function, name="wrong", severities=severities)
    assert "wrong" not in corruptions.list_corruptions()
