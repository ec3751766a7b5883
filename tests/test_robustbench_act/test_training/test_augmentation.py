"""What training does to its images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.training.augmentation import add_noise, crop_and_flip

from .conftest import QUICK, train


def test_noise_is_part_of_the_training(digits: Dataset, tmp_path: Path) -> None:
    for name, noise in (("a", 0.0), ("b", 0.3), ("c", 0.3)):
        train(tmp_path / f"{name}.safetensors", digits, recipe=replace(QUICK, noise=noise))
    digests = [load_checkpoint(tmp_path / f"{name}.safetensors").digest for name in "abc"]
    assert digests[1] == digests[2]
    assert digests[0] != digests[1]


def test_half_of_the_images_get_noise_of_many_strengths() -> None:
    images = torch.full((2000, 1, 16, 16), 128, dtype=torch.uint8)
    noisy = add_noise(images, 0.1, torch.Generator().manual_seed(0))
    deviations = noisy.std(dim=(1, 2, 3))
    clean = deviations == 0
    assert int(clean.sum()) == 1000
    assert torch.equal(noisy[clean], images[clean].float() / 255)
    # Uniform from 0 to 0.1: mean 0.05, standard deviation 0.1 / sqrt(12).
    assert deviations[~clean].mean().item() == pytest.approx(0.05, abs=0.003)
    assert deviations[~clean].std().item() == pytest.approx(0.1 / 12**0.5, abs=0.002)
    white = add_noise(torch.full_like(images, 255), 0.5, torch.Generator().manual_seed(0))
    assert white.max() == 1
    assert white.min() >= 0


def test_crops_are_windows_of_the_padded_image() -> None:
    images = torch.randint(1, 256, (40, 3, 9, 7), dtype=torch.uint8)
    crops = crop_and_flip(images, "crop", torch.Generator().manual_seed(0))
    assert crops.shape == images.shape
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    seen = set()
    for crop, image in zip(crops, padded, strict=True):
        places = [
            (top, left)
            for top in range(9)
            for left in range(9)
            if torch.equal(image[:, top : top + 9, left : left + 7], crop)
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) > 20


def test_half_of_the_images_are_flipped() -> None:
    images = torch.arange(7, dtype=torch.uint8).view(1, 1, 1, 7).repeat(2000, 1, 9, 1) + 1
    crops = crop_and_flip(images, "crop-flip", torch.Generator().manual_seed(0)).int()
    middle = crops[:, 0, 4, 2:5]
    falling = ((middle[:, 1] < middle[:, 0]) & (middle[:, 1] > 0)).float().mean()
    rising = ((middle[:, 1] < middle[:, 2]) & (middle[:, 1] > 0)).float().mean()
    assert 0.4 < falling / (falling + rising) < 0.6
