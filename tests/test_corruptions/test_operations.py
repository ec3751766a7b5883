"""How much a call asks of torch: for one small image, each operation costs more than its arithmetic."""

import pytest
import torch

import corruptions
from tests.benchmarks.traffic import Traffic, of_corruption

from .conftest import make_images

MOST = {
    "brightness": (1, 16),
    "contrast": (1, 18),
    "defocus_blur": (3, 17),
    "elastic_transform": (80, 261),
    "fog": (1, 295),
    "frost": (24, 198),
    "gaussian_blur": (3, 17),
    "gaussian_noise": (1, 99),
    "glass_blur": (5, 211),
    "impulse_noise": (1, 95),
    "jpeg_compression": (1, 404),
    "motion_blur": (39, 131),
    "pixelate": (1, 50),
    "saturate": (2, 23),
    "shot_noise": (1, 109),
    "snow": (59, 249),
    "spatter": (15, 570),
    "speckle_noise": (1, 100),
    "zoom_blur": (14, 52),
}
"""Operations for an image of 32 pixels: in host memory, where NumPy and OpenCV do the rest; on a device."""

SEVERITIES = (1, 2, 3, 4, 5)
TABLE = "224"


def test_every_corruption_of_pixels_has_a_limit() -> None:
    names = corruptions.list_corruptions()
    assert set(MOST) == {name for name in names if corruptions.get_corruption(name).domain == "pixels"}


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_few_operations_in_host_memory(name: str, severity: int) -> None:
    images = make_images(count=1, channels=3, dtype=torch.uint8, side=(32, 32))
    corruptions.corrupt(images, name, severity=severity, table=TABLE)  # constants, the check of the library
    traffic = Traffic("cpu")
    with traffic:
        corruptions.corrupt(images, name, severity=severity, table=TABLE)
    assert traffic.operations.total() <= MOST[name][0], traffic.operations.most_common()


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_few_operations_on_a_device(name: str, severity: int) -> None:
    traffic = of_corruption(name, side=32, batch=1, severity=severity, table=TABLE)
    assert traffic.operations.total() <= MOST[name][1], traffic.operations.most_common()
