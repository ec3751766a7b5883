"""The sheet of corruptions: it holds every corruption once, and registering adds to it."""

from typing import ClassVar

import pytest
from torch import Tensor

import corruptions
from corruptions import facts, registry
from corruptions.base import Corruption, Noise
from corruptions.facts import CORRUPTIONS, GROUPS, CorruptionFacts, corruption_facts


def test_the_sheet_holds_every_corruption_group_by_group() -> None:
    assert sorted(each.name for each in CORRUPTIONS) == corruptions.list_corruptions()
    assert list(dict.fromkeys(each.group for each in CORRUPTIONS)) == list(GROUPS)
    assert sorted(CORRUPTIONS, key=lambda each: GROUPS.index(each.group)) == list(CORRUPTIONS)
    assert {each.name for each in CORRUPTIONS if each.domain == "input"} == set(
        corruptions.list_corruptions("shift_*")
    )


def test_classes_take_group_and_domain_from_the_sheet() -> None:
    for each in CORRUPTIONS:
        kind = corruptions.get_corruption(each.name)
        assert (kind.name, kind.group, kind.domain) == (each.name, each.group, each.domain)


def test_labels_differ_and_are_for_people() -> None:
    labels = [each.label for each in CORRUPTIONS]
    assert len(set(labels)) == len(labels)
    assert not [label for label in labels if "_" in label or not label[0].isupper()]
    assert corruption_facts("jpeg_compression").label == "JPEG compression"


def test_an_unknown_name_is_an_error_that_suggests_one() -> None:
    with pytest.raises(corruptions.InputError, match="Did you mean 'jpeg_compression'"):
        corruption_facts("jpg_compression")


def test_registering_a_class_adds_its_facts_and_changes_no_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "SHEET", dict(facts.SHEET))
    monkeypatch.setattr(registry, "SHEET", facts.SHEET)
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    @corruptions.register
    class HeavyRain(Corruption):
        name = "heavy_rain"
        group = "weather"
        severities: ClassVar = {}

        def apply(self, images: Tensor, noise: Noise) -> Tensor:
            return images

    assert corruption_facts("heavy_rain") == CorruptionFacts("heavy_rain", "Heavy rain", "weather", "pixels")
    assert "heavy_rain" in corruptions.list_corruptions()
    assert "heavy_rain" not in corruptions.get_suite("c19").corruptions
