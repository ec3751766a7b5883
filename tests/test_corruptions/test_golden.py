"""Every corruption against the output of the published generators, at every image size and severity."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from corruptions import conformity, get_corruption
from corruptions._pinned import pinned_noise
from corruptions.conformity import to_tensor

Shared = Callable[[str], Path]

DETERMINISTIC = [
    "brightness",
    "contrast",
    "defocus_blur",
    "gaussian_blur",
    "jpeg_compression",
    "pixelate",
    "saturate",
    "zoom_blur",
]
PINNED = ["elastic_transform", "fog", "frost", "glass_blur", "motion_blur", "snow", "spatter"]
PACKAGE = ["elastic_transform", "frost", "motion_blur", "snow"]
"""What the imagecorruptions package does otherwise."""


def assert_close(ours: Tensor, published: Tensor, *, share: float = 0.9999) -> None:
    """At least `share` of the values within one grey level."""
    difference = (ours.int() - published.int()).abs()
    assert (difference <= 1).double().mean() >= share, (
        (difference <= 1).double().mean(),
        difference.max(),
    )


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("size", ["32", "64", "224"])
def test_deterministic(shared: Shared, name: str, size: str) -> None:
    with np.load(shared(f"reference/golden/orig_{size}.npz")) as golden:
        clean, published = to_tensor(golden["clean"]), to_tensor(golden[f"det__{name}"])
        severities = golden["severities"].tolist()
    for index, severity in enumerate(severities):
        ours = get_corruption(name).at(severity, table=size).render(clean, {})
        assert_close(ours, published[:, index])
        if name in ("jpeg_compression", "pixelate"):
            assert torch.equal(ours, published[:, index])


@pytest.mark.parametrize(
    ("name", "file", "table"),
    [(name, f"orig_{size}", size) for name in PINNED for size in ("32", "64", "224")]
    + [(name, "imaug_224", "imagecorruptions") for name in PACKAGE],
)
def test_random_given_the_draws(shared: Shared, name: str, file: str, table: str) -> None:
    with np.load(shared(f"reference/golden/pinned_{file}.npz")) as golden:
        clean, published = to_tensor(golden["clean"]), to_tensor(golden[f"out__{name}"])
        severities = golden["severities"].tolist()
        draws = [golden[f"draws__{name}__s{severity}"] for severity in severities]
    for index, severity in enumerate(severities):
        corruption = get_corruption(name).at(severity, table=table)
        noise = pinned_noise(corruption, draws[index], clean.shape)
        assert_close(corruption.render(clean, noise), published[:, index])


@pytest.mark.parametrize("name", [*PINNED, "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"])
def test_own_draws_have_the_published_statistics(shared: Shared, name: str) -> None:
    """Means of scalars over 200 draws of every image and severity, pooled."""
    lines = list(conformity.check_golden(shared("reference/golden"), [name], tables=["32"]))
    assert [line.kind for line in lines] == ["own", "pinned"]
    assert all(line.passed for line in lines), lines
