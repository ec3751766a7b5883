"""From images to inputs of a network: channels and sizes as Pillow and torchvision make them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from robustbench_act.checkpoints import Spec
from robustbench_act.errors import InputError
from robustbench_act.preprocessing import Preprocessing, normalise, with_channels
from tests.references.layouts import picture

GREY, RGB = ((0.4,), (0.3,)), ((0.4, 0.5, 0.6), (0.3, 0.2, 0.1))
SPEC = Spec("net", "relu", 10, (3, 64, 64), *RGB)


def pixels(image: Image.Image) -> Tensor:
    """Return a picture as uint8 (C, H, W)."""
    array = np.array(image)
    return torch.from_numpy(array[..., None] if array.ndim == 2 else array).permute(2, 0, 1)


def test_grey_is_pillows() -> None:
    colours = torch.randint(256, (3, 256, 256), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = Image.fromarray(colours.permute(1, 2, 0).numpy())
    assert torch.equal(with_channels(colours[None], 1)[0], pixels(image.convert("L")))
    floats = with_channels(colours.float() / 255, 1)
    assert torch.allclose(floats * 255, pixels(image.convert("L")).float(), atol=0.51)


def test_rgb_is_grey_three_times() -> None:
    image = picture(1, 20, 30, "L")
    assert torch.equal(with_channels(pixels(image)[None], 3)[0], pixels(image.convert("RGB")))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(224, 224), (48, 64)])
def test_enlarged_as_torchvision_enlarges_pictures(interpolation: str, size: tuple[int, int]) -> None:
    image = picture(3, 48 if size == (48, 64) else 36, 36)
    theirs = transforms.resize(image, list(size), interpolation=InterpolationMode(interpolation))
    ours = Preprocessing((0.0,) * 3, (1.0,) * 3, size, interpolation)(pixels(image)[None])[0]
    assert float((ours * 255 - pixels(theirs)).abs().max()) < 1.1  # theirs is rounded


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_a_batch_changes_no_bit(interpolation: str) -> None:
    images = torch.randint(256, (7, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    preprocessing = Preprocessing(*RGB, (45, 45), interpolation)
    whole = preprocessing(images)
    assert whole.shape == (7, 3, 45, 45)
    assert torch.equal(whole[3:6], preprocessing(images[3:6]))
    assert torch.equal(whole, torch.cat([preprocessing(image[None]) for image in images]))


def test_images_that_fit_are_normalised_as_before() -> None:
    images = torch.randint(256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    own = SPEC.preprocessing((3, 64, 64))
    assert own == Preprocessing(*RGB)
    assert own.steps(3) == ()
    assert torch.equal(own(images), normalise(images, *RGB))


def test_what_a_spec_makes_of_other_images() -> None:
    assert SPEC.preprocessing((1, 64, 64)).steps(1) == ("repeated for 3 channels",)
    assert SPEC.preprocessing((3, 32, 32)).size == (64, 64)
    grey = replace(SPEC, input_size=(1, 64, 64), mean=GREY[0], std=GREY[1], interpolation="bicubic")
    steps = ("made grey (BT.601)", "resized to 64 x 64 (bicubic)")
    assert grey.preprocessing((3, 8, 8)).steps(3) == steps
    wide = replace(SPEC, input_size=(3, 64, 96))
    assert wide.preprocessing((3, 32, 48)).size == (64, 96)
    for spec, shape, hint in (
        (SPEC, (3, 96, 96), r"; show them with --resize 64 --crop 64\."),
        (SPEC, (3, 32, 48), "--resize 64 --crop 64"),
        (SPEC, (4, 64, 64), r"\(3, 64, 64\), got \(4, 64, 64\)"),
        (wide, (3, 32, 32), r"\(3, 64, 96\), got \(3, 32, 32\)\.$"),
        (replace(SPEC, interpolation="lanczos"), (3, 32, 32), "not enlarged by lanczos: add --resize 64"),
    ):
        with pytest.raises(InputError, match=hint):
            spec.preprocessing(shape)
