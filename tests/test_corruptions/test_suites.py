"""Suites and cells: what they hold, their hash, and that a cell does what `corrupt` does."""

import pickle
import subprocess
import sys
from typing import ClassVar

import pytest
import torch

import corruptions
from corruptions import Cell, Suite, get_corruption, get_suite, suites

from .conftest import make_images, make_input

COMMON = [
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
]
EXTRA = ["speckle_noise", "gaussian_blur", "spatter", "saturate"]


def test_the_suites_hold_their_corruptions_at_five_severities() -> None:
    members = {
        "noise": ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"],
        "light": ["brightness", "contrast"],
        "c15": COMMON,
        "extra4": EXTRA,
        "c19": COMMON + EXTRA,
        "cifar-c": COMMON,
        "imagenet-c:c19": COMMON + EXTRA,
        "tiny-imagenet-c:extra4": EXTRA,
    }
    assert set(members) < set(corruptions.list_suites())
    for name, names in members.items():
        suite = get_suite(name)
        assert list(suite.corruptions) == names
        assert [cell.severity for cell in suite.cells] == [1, 2, 3, 4, 5] * len(names)
        assert {cell.domain for cell in suite.cells} == {"pixels"}
    shifts = get_suite("shift")
    assert sorted(shifts.corruptions) == corruptions.list_corruptions("shift_*")
    assert {cell.domain for cell in shifts.cells} == {"input"}


def test_the_suites_are_all_pixel_corruptions_there_are() -> None:
    pixels = [name for name in corruptions.list_corruptions() if not name.startswith("shift_")]
    assert sorted(get_suite("c19").corruptions) == pixels


@pytest.mark.parametrize(
    ("name", "table"),
    [("cifar-c", "32"), ("tiny-imagenet-c", "64"), ("imagenet-c", "224"), ("inception-c", "299")],
)
def test_a_published_suite_fixes_its_table(name: str, table: str) -> None:
    for part in ("", ":c19", ":extra4"):
        suite = get_suite(name + part)
        assert {cell.table for cell in suite.cells} == {table}
        assert suite.resolve_table(28, 28) == table
    assert get_suite("c15").resolve_table(28, 28) == "32"


@pytest.mark.parametrize("name", ["cifar-c:c14", "c15:c15", "cifar-c:", "noise:c15", "imagenetc"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(corruptions.InputError, match="Unknown suite"):
        get_suite(name)


def test_every_suite_has_a_hash_of_its_own() -> None:
    hashes = {get_suite(name).hash for name in corruptions.list_suites()}
    assert len(hashes) == len(corruptions.list_suites())


def test_groups() -> None:
    groups = {name: get_corruption(name).group for name in COMMON + EXTRA}
    assert [groups[name] for name in COMMON] == ["noise"] * 3 + ["blur"] * 4 + ["weather"] * 4 + [
        "digital"
    ] * 4
    assert {groups[name] for name in EXTRA} == {"extra"}


@pytest.mark.parametrize("name", ["noise", "light", "shift"])
def test_a_cell_equals_corrupt(name: str) -> None:
    ids = torch.tensor([5, 9])
    for cell in get_suite(name).with_severities([0, 1.5, 4]).cells:
        images = make_input(cell.corruption, count=2, dtype=torch.uint8)
        assert torch.equal(
            cell.apply(images, ids=ids, seed=3),
            corruptions.corrupt(images, cell.corruption, severity=cell.severity, ids=ids, seed=3),
        )


def test_a_cell_uses_its_table() -> None:
    images = make_images(count=1, channels=3, dtype=torch.uint8)
    fixed = Cell("contrast", 1, "224").apply(images)
    assert torch.equal(fixed, corruptions.corrupt(images, "contrast", severity=1, table="224"))
    assert not torch.equal(fixed, Cell("contrast", 1).apply(images))


def test_tables_are_resolved() -> None:
    assert get_suite("noise").resolve_table(28, 28) == "32"
    assert get_suite("light").resolve_table(224, 300) == "224"
    assert get_suite("shift").resolve_table(224, 300) == "any"
    assert Cell("shift_up", 1).resolve_table(8, 8) == "any"
    assert Cell("contrast", 1).resolve_table(100, 100) == "64"
    mixed = Suite.build("mixed", ["contrast", "shift_up"], table="64")
    assert mixed.resolve_table(8, 8) == "64"
    assert [cell.resolve_table(8, 8) for cell in mixed.cells] == ["64"] * 5 + ["any"] * 5


def test_with_severities_keeps_order_name_and_table() -> None:
    suite = Suite.build("mine", ["contrast", "brightness"], severities=[2], table="64").with_severities(
        [5, 1]
    )
    assert (suite.name, suite.table) == ("mine", "64")
    assert suite.cells == (
        Cell("contrast", 5, "64"),
        Cell("contrast", 1, "64"),
        Cell("brightness", 5, "64"),
        Cell("brightness", 1, "64"),
    )


def test_cells_are_values() -> None:
    assert Cell("contrast", 3) == Cell("contrast", 3.0)
    assert len({Cell("contrast", 3), Cell("contrast", 3.0), Cell("contrast", 3, "32")}) == 2
    assert get_suite("noise") == get_suite("noise")


def test_the_hash_depends_on_all_that_fixes_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest() -> str:
        return Suite.build("mine", ["contrast"], severities=[1]).hash

    usual = digest()
    assert digest() == usual
    assert len(usual) == 64
    others = {
        Suite.build("other", ["contrast"], severities=[1]).hash,
        Suite.build("mine", ["brightness"], severities=[1]).hash,
        Suite.build("mine", ["contrast"], severities=[2]).hash,
        Suite.build("mine", ["contrast"], severities=[0]).hash,
        Suite.build("mine", ["contrast"], severities=[1], table="32").hash,
        Suite.build("mine", [], severities=[1]).hash,
    }
    monkeypatch.setattr(suites, "STREAM_VERSION", 2)
    others.add(digest())
    monkeypatch.undo()
    monkeypatch.setattr(get_corruption("contrast"), "version", 2)
    others.add(digest())
    monkeypatch.undo()
    monkeypatch.setattr(suites, "get_constants", lambda *_, **__: {"factor": 0.123})
    others.add(digest())
    assert len(others - {usual}) == 9


def test_listing_is_sorted_and_filtered() -> None:
    assert corruptions.list_corruptions("*_noise") == [
        "gaussian_noise",
        "impulse_noise",
        "shot_noise",
        "speckle_noise",
    ]
    assert corruptions.list_corruptions("*") == sorted(corruptions.list_corruptions())
    assert corruptions.list_corruptions("nothing*") == []


def test_a_corruption_is_a_value_that_shows_its_parameters() -> None:
    one = get_corruption("shot_noise").at(2, table="32")
    assert repr(one) == "ShotNoise(rate=250.0)"
    assert one == get_corruption("shot_noise").at(2, table="32")
    assert hash(one) == hash(get_corruption("shot_noise").at(2, table="32"))
    with pytest.raises(AttributeError):
        one.rate = 3  # type: ignore[attr-defined]


def test_noise_can_be_seen_stored_and_replaced() -> None:
    class Still:
        calls: ClassVar[list[tuple[int, ...]]] = []

        def normal(self, *shape: int) -> torch.Tensor:
            self.calls.append(shape)
            return torch.zeros(2, *shape)

    images = make_images(count=2, channels=3, dtype=torch.uint8)
    corruption = get_corruption("gaussian_noise").at(5, table="224")
    noise = corruption.draw(Still(), images)  # type: ignore[arg-type]
    assert Still.calls == [(3, 17, 11)]
    assert torch.equal(corruption.render(images, noise), images)


def test_a_process_that_knows_nothing_yet_takes_a_cell() -> None:
    sent = pickle.dumps(Cell("fog", 3))
    script = f"import pickle; print(pickle.loads({sent!r}))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "Cell(corruption='fog', severity=3.0, table=None)\n"
