"""Bad input is refused in one line that says what was expected and what came."""

import re
from typing import Any

import numpy as np
import pytest
import torch

import corruptions
from corruptions import Cell, InputError, Suite

GOOD = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
FLOATS = torch.zeros(2, 3, 8, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": GOOD[0]}, r"shape \(N, C, H, W\), got \(3, 8, 8\)"),
        ({"images": GOOD.repeat(1, 2, 1, 1)}, "1 or 3 channels .* got 6"),
        ({"images": GOOD[..., :7]}, r"at least 8, got \(2, 3, 8, 7\)"),
        ({"images": GOOD.int()}, "uint8 images or floats .* torch.int32"),
        ({"images": GOOD.bool()}, "torch.bool"),
        ({"images": FLOATS.to(torch.complex64)}, "torch.complex64"),
        ({"images": GOOD.numpy()}, "torch.Tensor, got ndarray"),
        ({"images": FLOATS + 1.5}, r"in \[0, 1\], got values in \[1.5, 1.5\]"),
        ({"images": FLOATS - 0.25}, r"\[-0.25, -0.25\]"),
        ({"images": FLOATS + 1.0000001}, r"\[1.00000012, 1.00000012\]; if that is rounding, images.clamp"),
        ({"images": FLOATS.double() - 1e-12}, r"\[-9.9999999999999998e-13, .*; if that is rounding"),
        ({"images": FLOATS.bfloat16() + 1.0078}, r"\[1.0078125, 1.0078125\]; if that is rounding"),
        ({"images": FLOATS + 1.02}, r"\[1.01999998, 1.01999998\] \(corruption"),
        ({"images": FLOATS.index_fill(0, torch.tensor([1]), torch.nan)}, "nan"),
        ({"ids": torch.arange(3)}, r"one id for each of 2 images, got shape \(3,\)"),
        ({"ids": torch.zeros(2, 1, dtype=torch.int64)}, r"\(2, 1\)"),
        ({"ids": torch.zeros(2)}, "torch.int64 tensor, got torch.float32"),
        ({"ids": torch.zeros(2, dtype=torch.int32)}, "torch.int32"),
        ({"ids": [0, 1]}, "got list"),
        ({"seed": 2**64}, "64-bit integer as seed, got 18446744073709551616"),
        ({"seed": -(2**63) - 1}, "64-bit"),
        ({"seed": 1.0}, "got 1.0"),
        ({"seed": True}, "got True"),
        ({"seed": np.float64(1)}, r"got np.float64\(1.0\)"),
        ({"seed": np.bool_(1)}, "got np.True_"),
        ({"severity": 7}, r"in \[1, 5\], got 7"),
        ({"severity": 0.5}, "got 0.5"),
        ({"severity": -1}, "got -1"),
        ({"severity": float("nan")}, "got nan"),
        ({"severity": True}, "got True"),
        ({"severity": "3"}, "got '3'"),
        ({"severity": None}, "got None"),
        ({"name": "gausian_noise"}, "Unknown corruption 'gausian_noise'. Did you mean 'gaussian_noise'?"),
        ({"table": "223"}, "Unknown severity table '223'. Did you mean '224'?"),
        ({"table": "any"}, "severity table 'any', got 'contrast'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_corrupt_refuses(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"images": GOOD, "name": "contrast", "severity": 3, **changes}
    with pytest.raises(InputError, match=message) as caught:
        corruptions.corrupt(arguments.pop("images"), arguments.pop("name"), **arguments)
    assert "\n" not in str(caught.value)


def test_errors_about_images_name_the_corruption() -> None:
    with pytest.raises(InputError, match=re.escape("(corruption 'shot_noise')")):
        corruptions.corrupt(GOOD[0], "shot_noise", severity=1)


def test_severity_is_checked_before_the_identity_returns() -> None:
    with pytest.raises(InputError, match="channels"):
        corruptions.corrupt(GOOD.repeat(1, 2, 1, 1), "contrast", severity=0)


def test_values_elsewhere_are_checked_only_on_demand() -> None:
    # A meta tensor has no values: any look at them raises something else than InputError.
    images = torch.zeros(2, 3, 8, 8, device="meta")
    ids = corruptions.get_corruption("contrast").check(images, ids=None, seed=0)
    assert ids.device.type == "meta"
    with pytest.raises(Exception, match="meta"):
        corruptions.get_corruption("contrast").check(images, ids=None, seed=0, validate=True)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GOOD, "floats of the normalised network input, got torch.uint8"),
        (torch.zeros(3), r"shape \(N, C, ...\), got \(3,\)"),
        ("no", "torch.Tensor, got str"),
    ],
)
def test_shifts_refuse(images: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corruptions.corrupt(images, "shift_up", severity=1)


def test_a_corruption_called_directly_checks_too() -> None:
    contrast = corruptions.get_corruption("contrast").at(1, table="32")
    with pytest.raises(InputError, match="shape"):
        contrast(GOOD[0], severity=1)
    with pytest.raises(InputError, match="severity"):
        contrast(GOOD, severity=9)
    with pytest.raises(InputError, match="severity"):
        corruptions.get_corruption("contrast").at(0, table="32")


def test_suites_and_cells_refuse() -> None:
    with pytest.raises(InputError, match=r"Unknown suite 'nose'\. Did you mean 'noise'"):
        corruptions.get_suite("nose")
    with pytest.raises(InputError, match="Unknown corruption"):
        Cell("fgo", 1)
    with pytest.raises(InputError, match="severity"):
        Cell("contrast", 6)
    with pytest.raises(InputError, match="severity table"):
        Suite("mine", (), "33")
    with pytest.raises(InputError, match="cells of table '32' in suite 'mine'"):
        Suite("mine", (Cell("contrast", 1),), "32")
    with pytest.raises(InputError, match="every cell once"):
        Suite("mine", (Cell("contrast", 1), Cell("contrast", 1.0)))
