"""What every registered corruption must do, at every severity and for every type of image."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import corruptions
from corruptions import base
from tests.pairwise import each_pair

from .conftest import HEIGHT, WIDTH, make_images, make_input

NAMES = corruptions.list_corruptions()
PIXEL_NAMES = [name for name in NAMES if corruptions.get_corruption(name).domain == "pixels"]
RANDOM_NAMES = [
    name for name in NAMES if corruptions.get_corruption(name).draw is not corruptions.Corruption.draw
]
SEVERITIES = [1, 2.5, 5]
UNEVEN = [
    "defocus_blur",
    "fog",
    "frost",
    "glass_blur",
    "motion_blur",
    "pixelate",
    "saturate",
    "snow",
    "spatter",
]
"""Whose published constants, at 32 pixels in one of the tables, do not do more damage at every step."""
DTYPES = [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16]
IDS = torch.tensor([3, -1, 2**62, 0, 77])

each_name = pytest.mark.parametrize("name", NAMES)


def corrupt(images: Tensor, name: str, *, severity: float = 3, seed: int = 0, ids: Tensor = IDS) -> Tensor:
    return corruptions.corrupt(images, name, severity=severity, seed=seed, ids=ids[: len(images)])


@each_pair(name=NAMES, severity=SEVERITIES, dtype=DTYPES, channels=[1, 3])
def test_shape_dtype_device_range_and_input_are_kept(
    name: str, severity: float, dtype: torch.dtype, channels: int
) -> None:
    images = make_input(name, count=5, channels=channels, dtype=dtype)
    before = images.clone()
    corrupted = corrupt(images, name, severity=severity)
    assert corrupted.shape == (5, channels, HEIGHT, WIDTH)
    assert corrupted.dtype == images.dtype
    assert corrupted.device == images.device
    assert torch.equal(images, before)
    assert corrupted.data_ptr() != images.data_ptr()
    assert torch.isfinite(corrupted.float()).all()
    grey_stays_grey = name == "saturate" and channels == 1 and severity < 4
    assert torch.equal(corrupted, images) is grey_stays_grey
    if corruptions.get_corruption(name).domain == "pixels" and dtype != torch.uint8:
        assert corrupted.min() >= 0
        assert corrupted.max() <= 1


@each_pair(name=NAMES, severity=SEVERITIES, dtype=[torch.uint8, torch.float32])
def test_a_batch_equals_its_images_one_by_one(name: str, severity: float, dtype: torch.dtype) -> None:
    images = make_input(name, count=5, dtype=dtype)
    together = corrupt(images, name, severity=severity)
    alone = [corrupt(images[i : i + 1], name, severity=severity, ids=IDS[i : i + 1]) for i in range(5)]
    assert torch.equal(together, torch.cat(alone))


@each_name
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_batch_size_and_order_do_not_matter(name: str, dtype: torch.dtype) -> None:
    images = make_input(name, count=64, dtype=dtype)
    ids = torch.arange(100, 164)
    whole = corrupt(images, name, ids=ids)
    sevens = [
        corrupt(part, name, ids=some)
        for part, some in zip(torch.split(images, 7), torch.split(ids, 7), strict=True)
    ]
    assert torch.equal(whole, torch.cat(sevens))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(whole[order], corrupt(images[order], name, ids=ids[order]))


@each_name
def test_blocks_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = make_input(name, count=5)
    whole = corrupt(images, name)
    monkeypatch.setattr(base, "BLOCK_VALUES", 2 * images[0].numel())
    assert torch.equal(whole, corrupt(images, name))
    monkeypatch.setattr(base, "BLOCK_VALUES", 1)
    assert torch.equal(whole, corrupt(images, name))


@each_name
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_an_empty_batch_works(name: str, dtype: torch.dtype) -> None:
    images = make_input(name, count=0, dtype=dtype)
    assert corrupt(images, name).shape == (0, 3, HEIGHT, WIDTH)


@each_name
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_severity_0_is_a_copy(name: str, dtype: torch.dtype) -> None:
    images = make_input(name, count=2, dtype=dtype)
    for corrupted in (
        corrupt(images, name, severity=0),
        corruptions.get_corruption(name).at(3, table="32")(images, severity=0),
    ):
        assert torch.equal(corrupted, images)
        assert corrupted.data_ptr() != images.data_ptr()


@each_name
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_memory_layout_does_not_matter(name: str, dtype: torch.dtype) -> None:
    images = make_input(name, count=5, dtype=dtype)
    usual = corrupt(images, name)
    last = images.to(memory_format=torch.channels_last)
    sliced = torch.cat([images, images], dim=3)[..., :WIDTH]
    stacked = images.transpose(2, 3).contiguous().transpose(2, 3)
    for other in (last, sliced, stacked):
        assert torch.equal(corrupt(other, name), usual)


@each_name
def test_repeated_images_without_memory_of_their_own_work(name: str) -> None:
    one = make_input(name, count=1, dtype=torch.uint8)
    ids = IDS[:1].expand(4)
    assert torch.equal(corrupt(one.expand(4, -1, -1, -1), name, ids=ids)[3:], corrupt(one, name, ids=ids[:1]))


@pytest.mark.parametrize("name", RANDOM_NAMES)
def test_seed_id_and_severity_choose_the_pixels(name: str) -> None:
    images = make_input(name, count=8, dtype=torch.uint8)  # a single one of this size may get no snow at all
    ids = torch.arange(8)
    usual = corrupt(images, name, ids=ids)
    assert torch.equal(usual, corrupt(images, name, ids=ids))
    for seed in (1, -1, 2**64 - 1):
        assert not torch.equal(usual, corrupt(images, name, seed=seed, ids=ids))
    for other in (1, 2**32, -3, 2**63 - 1, -(2**63)):
        assert not torch.equal(usual, corrupt(images, name, ids=ids + other))
    assert not torch.equal(usual, corrupt(images, name, severity=3 + 1e-9, ids=ids))


@each_name
def test_ids_default_to_the_rows(name: str) -> None:
    images = make_input(name, count=3, dtype=torch.uint8)
    assert torch.equal(
        corruptions.corrupt(images, name, severity=2),
        corruptions.corrupt(images, name, severity=2, ids=torch.arange(3), seed=0),
    )


@each_name
def test_global_random_state_is_untouched(name: str) -> None:
    images = make_input(name, count=2, dtype=torch.uint8)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    first = corrupt(images, name)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
    torch.manual_seed(1234)
    assert torch.equal(first, corrupt(images, name))


@each_name
def test_default_dtype_and_inference_mode_do_not_matter(name: str) -> None:
    images = make_input(name, count=2, dtype=torch.uint8)
    usual = corrupt(images, name)
    with torch.inference_mode():
        assert torch.equal(usual, corrupt(images, name))
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(usual, corrupt(images, name))
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", PIXEL_NAMES)
def test_uint8_and_float_images_agree(name: str) -> None:
    levels = make_images(count=5, channels=3, dtype=torch.uint8)
    from_floats = corrupt(levels.double() / 255, name).mul(255).add(2.0**-12).to(torch.uint8)
    difference = (from_floats.int() - corrupt(levels, name).int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.01


@pytest.mark.parametrize("name", PIXEL_NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_halves_are_corrupted_in_float32_and_rounded_once(name: str, dtype: torch.dtype) -> None:
    images = make_images(count=3, channels=3, dtype=dtype)
    assert torch.equal(corrupt(images, name), corrupt(images.float(), name).to(dtype))


@pytest.mark.parametrize("name", sorted(set(PIXEL_NAMES) - {"elastic_transform"}))  # sways most at 1
def test_damage_grows_with_severity(name: str) -> None:
    """From one severity to the next; where the published constants do not see to that, from 1 to 5."""
    coarse = make_images(count=8, channels=3, dtype=torch.float64, side=(6, 6))
    images = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    for table in corruptions.list_tables():
        damage = [
            (corruptions.corrupt(images, name, severity=severity, table=table) - images).square().mean()
            for severity in (0, 1, 2, 3, 4, 5)
        ]
        damage = damage[:2] + damage[-1:] if name in UNEVEN else damage
        assert all(milder < harder for milder, harder in itertools.pairwise(damage)), (table, damage)


def digest() -> str:
    """SHA-256 of all corruptions of two fixed images: run in this process and in another."""
    parts = hashlib.sha256()
    for name in NAMES:
        images = make_input(name, count=2, dtype=torch.uint8)
        parts.update(corrupt(images, name).numpy().tobytes())
    return parts.hexdigest()


def test_another_process_makes_the_same_pixels() -> None:
    code = "from tests.test_corruptions.test_contract import digest; print(digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "5", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[2]
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == digest()
