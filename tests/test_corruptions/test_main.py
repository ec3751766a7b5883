"""`python -m corruptions`: the contact sheet."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import corruptions
from corruptions.__main__ import GAP, LABEL_HEIGHT, contact_sheet, main

from .conftest import make_images


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pixels = make_images(count=1, channels=3, dtype=torch.uint8, side=(40, 60))[0]
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    return path


def test_the_sheet_holds_every_corrupted_image() -> None:
    image = make_images(count=1, channels=1, dtype=torch.uint8)[0]
    names, severities = ["contrast", "shot_noise"], [2, 5]
    sheet = np.asarray(contact_sheet(image, names, severities=severities, seed=4, table="64"))
    for row, name in enumerate(names):
        for column, severity in enumerate([0, *severities]):
            top = GAP + row * (17 + LABEL_HEIGHT + GAP) + LABEL_HEIGHT
            left = GAP + column * (11 + GAP)
            expected = corruptions.corrupt(image[None], name, severity=severity, seed=4, table="64")[0, 0]
            for channel in range(3):
                assert np.array_equal(sheet[top : top + 17, left : left + 11, channel], expected.numpy())


def test_main_writes_a_sheet_of_all_pixel_corruptions(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert main([str(photo), "-o", str(out)]) == 0
    rows = len([n for n in corruptions.list_corruptions() if not n.startswith("shift_")])
    with Image.open(out) as sheet:
        assert sheet.size == (6 * (60 + GAP) + GAP, rows * (40 + LABEL_HEIGHT + GAP) + GAP)


def test_main_crops_and_selects(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "sheet.png"
    arguments = ["--size", "32", "--severity", "3", "--corruption", "bright*", "--table", "224"]
    assert main([str(photo), *arguments, "-o", str(out)]) == 0
    with Image.open(out) as sheet:
        assert sheet.size == (2 * 36 + GAP, 32 + LABEL_HEIGHT + 2 * GAP)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "found no file missing.png"),
        (["PHOTO", "--severity", "7"], "got '7'"),
        (["PHOTO", "--severity", "1,x"], "got '1,x'"),
        (["PHOTO", "--corruption", "shift_*"], "got 'shift_*'"),
        (["TEXT"], "that Pillow reads"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    photo: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    text = photo.with_name("text.png")
    text.write_text("no image")
    names = {"PHOTO": str(photo), "TEXT": str(text)}
    out = photo.with_name("out.png")
    assert main([*(names.get(each, each) for each in arguments), "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo.png/sheet.png", "photo.png/sheet.png: cannot be written (File exists)."),
        (".", "Expected a picture to write, such as sheet.png, got "),
        ("sheet.txt", "sheet.txt."),
    ],
)
def test_a_sheet_that_cannot_be_written_is_one_line_and_exit_2(
    name: str, message: str, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(photo), "--corruption", "contrast", "-o", str(photo.parent / name)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]
