"""Zip archives: class folders inside, and archives that are refused."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from tests.references.layouts import picture
from tests.test_robustbench_act.test_fuzz import saved

A, B, C = (saved(picture(seed, 9, 7), "PNG") for seed in range(3))


def written(
    folder: Path, *members: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED
) -> str:
    with zipfile.ZipFile(folder / "x.zip", "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return f"zip:{folder / 'x.zip'}"


HOMES = {
    "at the top": ("ant/1.png", "ant/0.png", "bee/0.png"),
    "in a folder": ("photos/ant/1.png", "photos/ant/0.png", "photos/bee/0.png"),
    "in two": ("a/b/ant/1.png", "a/b/ant/0.png", "a/b/bee/0.png", "a/.DS_Store", "__MACOSX/a/b/._0.png"),
    "in images": ("ant/images/1.png", "ant/images/0.png", "bee/0.png", "readme.txt"),
    "in a part": (
        "x/test/ant/1.png",
        "x/test/ant/0.png",
        "x/test/bee/0.png",
        "x/train/ant/7.png",
        "x/train/bee/7.png",
    ),
}


@pytest.mark.parametrize("name", HOMES)
def test_class_folders(name: str, tmp_path: Path) -> None:
    pictures = (B, A, C, A, B)
    spec = written(tmp_path, *zip(HOMES[name], pictures, strict=False))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    data = load_dataset(spec)
    assert data.classes == ("ant", "bee")
    assert data.known_labels.tolist() == [0, 0, 1]
    assert data.names() == ["0", "1", "0"]
    inner = Path(HOMES[name][2]).parent.parent
    assert data.digest == load_dataset(f"folder:{tmp_path / 'unpacked' / inner}").digest
    if name == "in a part":
        assert load_dataset(spec, train=True).names() == ["7", "7"]


def test_one_class_and_none(tmp_path: Path) -> None:
    one = load_dataset(written(tmp_path, ("photos/ant/0.png", A), ("photos/ant/1.png", B)))
    assert one.classes == ("ant",)
    pictures = one.images
    none = load_dataset(written(tmp_path, ("1.png", A), ("0.png", B)))
    assert none.labels is None
    assert none.names() == ["0", "1"]
    assert torch.equal(none.images, pictures.flip(0))


def named(name: str) -> zipfile.ZipInfo:
    """Return the entry of a file whose name is kept as it is."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    return info


REFUSED: dict[str, tuple[list[str | zipfile.ZipInfo], str]] = {
    "upwards": (["ant/0.png", "../../bee/0.png"], ": '../../bee/0.png': expected a name inside the archive"),
    "from the root": (["ant/0.png", named("/etc/bee/0.png")], ": '/etc/bee/0.png': expected a name inside"),
    "with a drive": (["ant/0.png", "c:/0.png"], ": 'c:/0.png': expected a name inside the archive"),
    "backslashes": (["ant/0.png", named("..\\0.png")], ": '..\\\\0.png': expected a name inside the archive"),
    "deep": (["ant/0.png", "a/" * 70 + "0.png"], ": expected at most 64 folders in each other"),
    "a file as folder": (["ant", "ant/0.png"], ": 'ant/0.png': expected each name once, found it twice"),
    "an empty class": (["ant/0.png", "bee/"], ": bee: expected pictures of this class, found none."),
    "an archive in place of a class": (
        ["ant/0.png", "bee/bee.zip"],
        ": bee: expected pictures of this class, found none, but bee.zip",
    ),
    "deeper pictures": (
        ["ant/0.png", "ant/b/1.png"],
        ": ant/b/1.png: expected the pictures of class 'ant' in ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_members_that_are_refused(name: str, tmp_path: Path) -> None:
    names, message = REFUSED[name]
    spec = written(tmp_path, *((member, A) for member in names))
    with pytest.raises(InputError) as caught:
        load_dataset(spec)
    assert str(caught.value).startswith(str(tmp_path / "x.zip"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(tmp_path: Path) -> None:
    spec = written(tmp_path, ("ant/0.png", A), ("ant/0.png", B))
    with pytest.raises(InputError, match=r"x\.zip: 'ant/0\.png': expected each name once, found it twice"):
        load_dataset(spec)


def test_archives_of_other_things(tmp_path: Path) -> None:
    for members, what in (
        ([("inner.zip", A)], "neither, but inner.zip"),
        ([("a/b/c.txt", A)], "neither, but c.txt"),
        ([("0.png", A), ("ant/0.png", B)], "both"),
    ):
        spec = written(tmp_path, *members)
        with pytest.raises(
            InputError, match=rf"expected pictures in .*x\.zip.* or in class folders, found {what}"
        ):
            load_dataset(spec)


def changed(content: bytes, field: int, value: bytes) -> bytes:
    """Return an archive with a field of its directory's first entry changed."""
    place = content.index(b"PK\x01\x02") + field
    return content[:place] + value + content[place + len(value) :]


LARGE = struct.pack("<I", 2**31)
NOT_WHOLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda content: content[:-30], ": not a whole zip archive (not an archive)"),
    "empty": (
        lambda content: b"",
        ": not a whole zip archive (it is an empty file: copy or download it again)",
    ),
    "a picture": (lambda content: A, ": not a whole zip archive (it is a PNG picture)"),
    "of nothing": (
        lambda content: b"PK\x05\x06" + bytes(18),
        ": not a whole zip archive (an archive of nothing)",
    ),
    "encrypted": (
        lambda content: changed(content, 8, b"\x01"),
        ": 'ant/0.png': is encrypted: unpack it with its",
    ),
    "of a new kind": (
        lambda content: changed(content, 10, b"\x5d"),
        ": 'ant/0.png': expected a stored or deflated file",
    ),
    "behind the end": (
        lambda content: changed(content, 20, LARGE),
        ": 'ant/0.png': lies behind the end of the archive",
    ),
    "a bomb": (lambda content: changed(content, 24, LARGE), ": not a whole zip archive (unpacks to 2,147,48"),
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_archives_that_are_not_whole(name: str, tmp_path: Path) -> None:
    change, message = NOT_WHOLE[name]
    path = tmp_path / "x.zip"
    spec = written(tmp_path, ("ant/0.png", A), ("bee/0.png", B))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError) as caught:
        load_dataset(spec)
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_is_an_unreadable_picture(how: int, tmp_path: Path) -> None:
    spec = written(tmp_path, ("ant/0.png", A), ("ant/1.png", B), how=how)
    path = tmp_path / "x.zip"
    content = bytearray(path.read_bytes())
    content[30 + len("ant/0.png") + 50] ^= 1
    path.write_bytes(content)
    data = load_dataset(spec)
    with pytest.raises(
        InputError, match=r"1 of 2 images cannot be read: .*x\.zip: ant/0\.png \(damaged in the archive"
    ):
        data.check()
    assert data.readable().names() == ["1"]


def test_no_archive(tmp_path: Path) -> None:
    for spec, message in (
        ("zip", "expected a zip archive; name the archive as zip:FILE"),
        (f"zip:{tmp_path}", "expected a zip archive; .* is not a file"),
    ):
        with pytest.raises(InputError, match=message):
            load_dataset(spec)


def test_an_archive_behind_a_program_is_read(tmp_path: Path) -> None:
    spec = written(tmp_path, ("ant/0.png", A))
    path = tmp_path / "x.zip"
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert len(load_dataset(spec).images) == 1
