"""Pixelation, elastic transform and saturation against Pillow and float64 restatements."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import corruptions
from corruptions import _filters, get_corruption
from corruptions.digital import ElasticTransform, Pixelate, Saturate

from ..references import digital as oracle
from .conftest import HEIGHT, WIDTH, make_images

Array = NDArray[Any]
Shared = Callable[[str], Path]


@pytest.mark.parametrize("side", [(17, 11), (8, 8), (23, 40), (299, 161)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_pixelate_equals_pillow(side: tuple[int, int], channels: int) -> None:
    images = make_images(count=2, channels=channels, dtype=torch.uint8, side=side)
    for scale in (0.05, 0.1, 0.25, 0.3, 0.5, 0.65, 0.95, 1.0):
        ours = Pixelate(scale=scale)(images, severity=1)
        for image, pixelated in zip(images, ours, strict=True):
            levels = image.permute(1, 2, 0).squeeze(2).numpy()
            theirs = oracle.pillow_pixelate(np.ascontiguousarray(levels), scale=scale)
            assert np.array_equal(pixelated.permute(1, 2, 0).squeeze(2).numpy(), theirs), scale


def test_pixelate_rounds_ties_as_pillow() -> None:
    """Means of 10 pixels at .5 fall, for Pillow's 1 / 10 is a little less; means of 2 rise."""
    for side, scale, expected in ((10, 0.1, 100), (8, 0.5, 101)):
        row = torch.tensor([100, 101] * (side // 2), dtype=torch.uint8)
        images = row.expand(1, 1, 10, side)
        assert Pixelate(scale=scale)(images, severity=1).eq(expected).all()


@pytest.mark.parametrize(("factor", "shift"), [(0.3, 0.0), (1.5, 0.0), (5.0, 0.1), (20.0, 0.2)])
def test_saturate_equals_the_restatement(factor: float, shift: float) -> None:
    images = make_images(count=2, channels=3, dtype=torch.float64)
    images[0, :, 3] = images[0, :1, 3]  # greys
    images[0, :, 4] = 0
    ours = Saturate(factor=factor, shift=shift).apply(images, {})
    theirs = np.empty(images.shape)
    for n, h, w in np.ndindex(2, HEIGHT, WIDTH):
        theirs[n, :, h, w] = oracle.saturate(images[n, :, h, w].numpy(), factor=factor, shift=shift)
    assert np.abs(ours.numpy() - theirs).max() < 1e-14


def test_saturate_turns_grey_reddish() -> None:
    grey = torch.full((1, 3, 8, 8), 200, dtype=torch.uint8)
    red = corruptions.corrupt(grey, "saturate", severity=5, table="224")
    assert red[0, :, 0, 0].tolist() == [200, 160, 160]
    assert torch.equal(corruptions.corrupt(grey, "saturate", severity=3, table="224"), grey)
    luma = corruptions.corrupt(grey[:, :1], "saturate", severity=5, table="224")
    assert luma.eq(int(0.299 * 200 + 0.701 * 160)).all()


@pytest.mark.parametrize(
    ("kind", "parameters"), [(Saturate, {"factor": 1.0, "shift": 0.0}), (Pixelate, {"scale": 1.0})]
)
def test_no_effect_gives_the_image_back(kind: Any, parameters: dict[str, float]) -> None:
    images = make_images(count=5, channels=3, dtype=torch.uint8)
    assert torch.equal(kind(**parameters)(images, severity=1), images)


ELASTIC = [
    {"alpha": 3.0, "sigma": 1.5, "affine_jitter": 0.8, "unit": "pixels"},
    {"alpha": 40.0, "sigma": 9.0, "affine_jitter": 0.0, "unit": "pixels"},
    {"alpha": 0.0, "sigma": 0.0, "affine_jitter": 1.2, "unit": "pixels"},
    {"alpha": 0.2, "sigma": 0.1, "affine_jitter": 0.0, "unit": "side"},
]


@pytest.mark.parametrize("parameters", ELASTIC, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_elastic_equals_the_restatement(parameters: dict[str, Any], channels: int) -> None:
    images = make_images(count=2, channels=channels, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    noise = {
        "anchors": torch.rand(2, 3, 2, generator=generator),
        "field": torch.rand(2, 2, HEIGHT, WIDTH, generator=generator),
    }
    ours = ElasticTransform(**parameters).apply(images, noise).numpy()
    for n, c in np.ndindex(2, channels):
        theirs = restated_elastic(
            images[n, c].numpy(), {k: v[n].numpy() for k, v in noise.items()}, parameters
        )
        assert np.abs(ours[n, c] - theirs).max() < 1e-5


def restated_elastic(image: Array, noise: dict[str, Array], parameters: dict[str, Any]) -> Array:
    jitter, alpha, sigma = (parameters[key] for key in ("affine_jitter", "alpha", "sigma"))
    if jitter:
        reach = min(HEIGHT, WIDTH) // 3
        signs = np.array([[1, 1], [1, -1], [-1, -1]])
        anchors = np.array([WIDTH // 2, HEIGHT // 2]) + reach * signs
        offsets = ((noise["anchors"].astype(np.float64) * 2 - 1) * jitter).astype(np.float32)
        image = oracle.affine(image, anchors.astype(np.float32) + offsets, anchors)
    field = noise["field"].astype(np.float64) * 2 - 1
    if parameters["unit"] == "side":
        return oracle.displace(image, field, alpha=alpha * HEIGHT, sigma=(sigma * HEIGHT, sigma * WIDTH))
    return oracle.displace(image, field, alpha=alpha, sigma=sigma)


@pytest.mark.parametrize("table", corruptions.list_tables())
@pytest.mark.parametrize("name", ["elastic_transform", "pixelate"])
def test_constant_images_stay_constant(name: str, table: str) -> None:
    levels = torch.arange(0, 256, 15, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 33, 20)
    for severity in (1, 2, 5):
        assert torch.equal(corruptions.corrupt(levels, name, severity=severity, table=table), levels)


def test_anchors_in_one_place_give_one_colour() -> None:
    images = make_images(count=1, channels=3, dtype=torch.float32)
    elastic = ElasticTransform(alpha=0.0, sigma=0.0, affine_jitter=3.0, unit="pixels")
    # All three anchors are moved to the middle.
    anchors = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    warped = elastic.apply(images, {"anchors": anchors, "field": torch.zeros(1, 2, HEIGHT, WIDTH)})
    corner = images[..., HEIGHT // 2 + 3, WIDTH // 2 + 3]
    assert torch.allclose(warped, corner[..., None, None].expand_as(warped), atol=1e-5)


@pytest.mark.parametrize("sigma", [0.5, 2.4, 5.0, 8.0, 60.0])
def test_both_ways_of_smoothing_agree(sigma: float, monkeypatch: pytest.MonkeyPatch) -> None:
    field = torch.rand(3, 2, 29, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    monkeypatch.setattr(_filters, "LONG_RADIUS", 10**9)
    taps = _filters.smooth_field(field, (sigma, sigma / 2))
    monkeypatch.setattr(_filters, "LONG_RADIUS", -1)
    matrix = _filters.smooth_field(field, (sigma, sigma / 2))
    assert (taps - matrix).abs().max() < 3e-7


def test_long_smoothing_is_the_same_in_any_batch_to_the_bit() -> None:
    field = torch.rand(9, 2, 65, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together = _filters.smooth_field(field, (20.0, 20.0))
    for size in (1, 2, 5):
        parts = [_filters.smooth_field(part, (20.0, 20.0)) for part in torch.split(field, size)]
        assert torch.equal(together, torch.cat(parts))


@pytest.mark.parametrize(
    ("table", "side"), [("64", (64, 50)), ("224", (100, 96)), ("imagecorruptions", (64, 64))]
)
@pytest.mark.parametrize("severity", [1, 2, 4])
def test_larger_images_do_not_depend_on_the_batch(table: str, side: tuple[int, int], severity: int) -> None:
    images = make_images(count=5, channels=3, dtype=torch.float32, side=side)
    for name in ("elastic_transform", "pixelate", "jpeg_compression", "saturate"):
        together = corruptions.corrupt(images, name, severity=severity, table=table)
        ids = torch.arange(5)
        alone = [
            corruptions.corrupt(images[i : i + 1], name, severity=severity, table=table, ids=ids[i : i + 1])
            for i in range(5)
        ]
        assert torch.equal(together, torch.cat(alone)), name


def test_draws_are_independent_of_the_channels() -> None:
    kind = get_corruption("elastic_transform").at(3, table="32")
    colour = make_images(count=3, channels=1, dtype=torch.uint8).repeat(1, 3, 1, 1)
    grey: Tensor = kind(colour[:, :1], severity=3)
    assert torch.equal(kind(colour, severity=3), grey.repeat(1, 3, 1, 1))
