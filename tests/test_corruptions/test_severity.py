"""The severity table: its facts, interpolation, and the choice by image size."""

import dataclasses
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corruptions
from corruptions import severity as severities
from corruptions.severity import choose_table, get_constants

NAMES = corruptions.list_corruptions()
SIZED = [name for name in NAMES if not severities.is_size_free(name)]
VARIANTS: dict[str, dict[str, float | str]] = {
    "motion_blur": {"rounding": "nearest"},
    "snow": {"rounding": "both"},
    "frost": {"textures": 5, "resampling": "bilinear"},
    "elastic_transform": {"unit": "pixels"},
}
"""What the published generators and the imagecorruptions package do otherwise, as the former do it."""

PACKAGE = {
    "motion_blur": {"rounding"},
    "snow": {"rounding"},
    "frost": {"texture_resize", "textures", "resampling"},
    "elastic_transform": {"alpha", "sigma", "affine_jitter", "unit"},
}
"""Where the imagecorruptions package differs."""


@pytest.mark.parametrize("name", SIZED)
def test_the_published_constants_come_back_to_the_bit(shared: Callable[[str], Path], name: str) -> None:
    published = tomllib.loads(shared("reference/constants.toml").read_text(encoding="utf-8"))
    for table in ("32", "64", "224", "299"):
        facts = published[f"size_{table}"][name]
        for index in range(5):
            ours = get_constants(name, severity=index + 1, table=table)
            assert set(ours) - set(facts) <= VARIANTS.get(name, {}).keys()
            for field in set(ours) & set(facts):
                expected = facts[field][index] if isinstance(facts[field], list) else facts[field]
                if isinstance(expected, float) and math.isnan(
                    expected
                ):  # not a number: a constant of the other kind of spatter
                    expected = 0.0
                assert ours[field] == (
                    expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-12)
                )
            for field, usual in VARIANTS.get(name, {}).items():
                assert ours[field] == usual


@pytest.mark.parametrize("name", NAMES)
def test_every_corruption_has_its_fields_with_units_in_every_table(name: str) -> None:
    data = severities._data()
    fields = [each.name for each in dataclasses.fields(corruptions.get_corruption(name))]  # type: ignore[arg-type]
    assert list(data["fields"][name]) == fields
    for facts in data["fields"][name].values():
        assert facts["unit"]
        assert facts["meaning"]
        assert facts["between"] in {"linear", "round", "nearest"}
    for table in ("any",) if severities.is_size_free(name) else corruptions.list_tables():
        assert list(get_constants(name, severity=1, table=table)) == fields
        assert data["tables"][table]["source"]


def test_imagecorruptions_means_the_constants_of_224() -> None:
    for name in SIZED:
        for severity in (1, 2.5, 5):
            ours = get_constants(name, severity=severity, table="imagecorruptions")
            published = get_constants(name, severity=severity, table="224")
            differing = {field for field in ours if ours[field] != published[field]}
            assert differing == PACKAGE.get(name, set())


def test_shifts_have_one_scale_for_every_table() -> None:
    scales = [0.05, 0.1, 0.2, 0.4, 0.8]
    gains = [0.1, 0.2, 0.4, 0.6, 0.8]
    for name in set(NAMES) - set(SIZED):
        values = [get_constants(name, severity=level, table="32").popitem()[1] for level in range(1, 6)]
        assert values == (gains if "gain" in name else scales)


def test_between_integers_numbers_are_interpolated() -> None:
    assert get_constants("shot_noise", severity=1.25, table="32") == {"rate": 437.5}
    assert get_constants("contrast", severity=4.5, table="32") == {"factor": 0.225}


@pytest.mark.parametrize(
    ("column", "between", "values"),
    [
        ([1, 2, 4, 4, 9], "round", {1: 1, 1.49: 1, 1.5: 2, 2.2: 2, 2.25: 3, 4.5: 7, 5: 9}),
        (["a", "b", "c", "d", "e"], "nearest", {1: "a", 1.49: "a", 1.5: "b", 4.5: "e", 5: "e"}),
        ([[1], [1, 2], [3], [4], [5]], "nearest", {1.2: [1], 1.7: [1, 2]}),
        ([10.0, 20.0, 0.0, 0.0, 1.0], "linear", {1: 10.0, 1.5: 15.0, 2.9: 2.0, 4.25: 0.25, 5: 1.0}),
        ([float("nan"), 2.0, 3.0, 4.0, 5.0], "linear", {2: 2.0, 2.5: 2.5}),
        (0.2, "linear", {1: 0.2, 2.5: 0.2}),
    ],
)
def test_interpolation_rules(column: Any, between: str, values: dict[float, Any]) -> None:
    for severity, expected in values.items():
        value = severities._interpolate(column, float(severity), between)
        assert value == expected
        assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("height", "width", "table"),
    [(8, 8, "32"), (48, 500, "32"), (49, 49, "64"), (500, 128, "64"), (129, 129, "224"), (1000, 600, "224")],
)
def test_the_shorter_side_chooses_the_table(height: int, width: int, table: str) -> None:
    assert choose_table(height=height, width=width) == table


def test_negative_zero_is_severity_zero() -> None:
    assert str(severities.check_severity(-0.0)) == "0.0"


def test_the_chosen_table_is_used() -> None:
    import torch

    images = torch.full((1, 3, 64, 64), 128, dtype=torch.uint8)
    by_size = corruptions.corrupt(images, "brightness", severity=1)
    assert torch.equal(by_size, corruptions.corrupt(images, "brightness", severity=1, table="64"))
    assert not torch.equal(by_size, corruptions.corrupt(images, "brightness", severity=1, table="32"))
