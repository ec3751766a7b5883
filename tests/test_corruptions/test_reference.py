"""The imagecorruptions package as cross-check: the adapter, and that both agree."""

import sys

import numpy as np
import pytest
import torch

import corruptions
from corruptions import InputError
from corruptions.reference import corrupt_reference, list_reference_corruptions

from .conftest import make_images

SHARED_NAMES = sorted(set(corruptions.list_corruptions()) & set(list_reference_corruptions()))
DETERMINISTIC = {
    "brightness",
    "contrast",
    "defocus_blur",
    "gaussian_blur",
    "jpeg_compression",
    "pixelate",
    "saturate",
    "zoom_blur",
}


def images_of(channels: int = 3, *, count: int = 4) -> torch.Tensor:
    return make_images(count=count, channels=channels, dtype=torch.uint8, side=(39, 63))


@pytest.mark.parametrize("name", SHARED_NAMES)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_both_agree(name: str, severity: int) -> None:
    """Equal pixels where nothing is random; else equal mean and mean squared change, per channel."""
    images = images_of(count=30)
    ours = corruptions.corrupt(images, name, severity=severity, table="imagecorruptions")
    theirs = corrupt_reference(images, name, severity=severity)
    if name in DETERMINISTIC:
        assert (ours.int() - theirs.int()).abs().max() <= 1
        return
    for power in (1, 2):
        changes = [(some.double() - images).pow(power).mean((2, 3)) for some in (ours, theirs)]
        error = (sum(change.var(0) for change in changes) / len(images)) ** 0.5
        assert ((changes[0].mean(0) - changes[1].mean(0)).abs() / error).max() < 4.3


@pytest.mark.parametrize("channels", [1, 3])
def test_keeps_shape_input_and_global_state(channels: int) -> None:
    images = images_of(channels)
    before, state = images.clone(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    first = corrupt_reference(images, "gaussian_noise", severity=2, seed=5)
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
    assert torch.equal(images, before)
    assert np.array_equal(state, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(first, corrupt_reference(images, "gaussian_noise", severity=2, seed=5))
    assert not torch.equal(first, corrupt_reference(images, "gaussian_noise", severity=2, seed=6))


def test_refuses() -> None:
    good = images_of()
    for images, message in (
        (good.float(), "uint8"),
        (good[..., :31], "at least 32"),
        (good[0], r"\(N, C, H, W\)"),
        (good.repeat(1, 2, 1, 1), "C 1 or 3"),
    ):
        with pytest.raises(InputError, match=message):
            corrupt_reference(images, "contrast", severity=1)
    with pytest.raises(InputError, match=r"severity from 1 to 5, got 2.5"):
        corrupt_reference(good, "contrast", severity=2.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"Did you mean 'contrast'\?"):
        corrupt_reference(good, "contrst", severity=1)


def test_the_package_is_imported_on_demand_only() -> None:
    import subprocess

    code = "import sys, corruptions, corruptions.reference; print('imagecorruptions' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "False"
