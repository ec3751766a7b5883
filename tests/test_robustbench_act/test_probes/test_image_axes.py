"""Rows of an activation are given to the images that they belong to, however a network arranges them."""

from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from robustbench_act.errors import InputError
from robustbench_act.probes import ImageAxis, Probe, find_image_axes

IMAGES, PATCHES, WIDTH = 6, 4, 5


class Arranged(nn.Module):
    """The same linear map and ReLU of every patch (images, patches, width), in one arrangement or another."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.map, self.act = kind, nn.Linear(WIDTH, WIDTH), nn.ReLU()

    def forward(self, x: Tensor) -> Any:
        images = len(x)
        if self.kind == "images first":
            return self.act(self.map(x)).flatten(1)
        if self.kind == "sequence first":
            return self.act(self.map(x).transpose(0, 1)).transpose(0, 1).flatten(1)
        if self.kind == "patches in the batch":
            return self.act(self.map(x).flatten(0, 1)).view(images, -1)
        if self.kind == "batch in the patches":
            rows = self.act(self.map(x).transpose(0, 1).flatten(0, 1))
            return rows.view(PATCHES, images, WIDTH).transpose(0, 1).flatten(1)
        if self.kind == "groups of patches":
            halves = self.map(x).view(images, 2, PATCHES // 2, WIDTH).transpose(0, 1).flatten(0, 2)
            return self.act(halves).view(2, images, -1).transpose(0, 1).flatten(1)
        raise ValueError(self.kind)


AXES = {
    "images first": None,
    "sequence first": ImageAxis(axis=1),
    "patches in the batch": ImageAxis(inner=PATCHES),
    "batch in the patches": ImageAxis(outer=PATCHES),
    "groups of patches": ImageAxis(outer=2, inner=PATCHES // 2),
}


def patches(seed: int) -> Tensor:
    return torch.randn(IMAGES, PATCHES, WIDTH, generator=torch.Generator().manual_seed(seed))


def probed(model: nn.Module, **options: Any) -> pd.DataFrame:
    batch = torch.cat([patches(1), patches(2)])
    with Probe(model, versions=2, **options) as probe, torch.inference_mode():
        model(batch)
    return probe.to_frame()


@pytest.mark.parametrize("kind", AXES)
def test_every_arrangement_has_the_numbers_of_images_first(kind: str) -> None:
    model = Arranged(kind).eval()
    axes = find_image_axes(model, patches(1))
    assert axes == ({} if AXES[kind] is None else {"act": AXES[kind]})
    expected = probed(Arranged("images first").eval())
    pd.testing.assert_frame_equal(probed(model, axes=axes), expected, rtol=1e-6)
    assert (expected["n"] == IMAGES).all()


@pytest.mark.parametrize("kind", [kind for kind, axis in AXES.items() if axis is not None])
def test_one_pass_alone_refuses_to_guess(kind: str) -> None:
    with pytest.raises(
        InputError, match=r"Layer act: expected a row for each of the 12 images, got \d+ rows:"
    ):
        probed(Arranged(kind).eval())


def test_as_many_patches_as_images_are_refused_too() -> None:
    square = torch.randn(PATCHES, PATCHES, WIDTH)
    for kind in ("images first", "sequence first"):
        model = Arranged(kind).eval()
        with Probe(model), pytest.raises(InputError, match="got two axes of 4: one pass cannot tell"):
            model(square)


@pytest.mark.parametrize("kind", AXES)
def test_values_come_back_as_they_were(kind: str) -> None:
    axis = AXES[kind] or ImageAxis()
    shape = [PATCHES, IMAGES] if axis.axis else [axis.rows(IMAGES), WIDTH]
    x = torch.arange(shape[0] * shape[1] * 2.0).view(*shape, 2)
    assert torch.equal(axis.as_called(axis.by_image(x, IMAGES), IMAGES), x)


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.act = nn.Parameter(torch.randn(3, 2)), nn.ReLU()

    def forward(self, x: Tensor) -> Any:
        bias = self.act(self.table).sum()  # a table of position biases
        together = self.act(x.flatten(1).mean(0, keepdim=True) + torch.zeros(2, 1))
        return self.act(x.flatten(1)) + bias + 0 * together.sum()


def test_what_belongs_to_no_image_has_a_reason() -> None:
    model = Mixed().eval()
    axes = find_image_axes(model, patches(1))
    assert axes == {"act": "no image reaches it", "act#2": "its rows cannot be told apart by image"}
    assert probed(model, axes=axes)["layer"].unique().tolist() == ["act#3"]


class Reversed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Any:
        return self.act(x.flatten(1).flip(0)).flip(0)


@pytest.mark.parametrize("images", [2, 3])
def test_rows_in_another_order_are_left_out(images: int) -> None:
    axes = find_image_axes(Reversed().eval(), patches(1)[:images])
    assert axes == {"act": "its rows cannot be told apart by image"}
