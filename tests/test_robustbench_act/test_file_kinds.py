"""Files that are not what their names say, made by the programs that write them or byte by byte."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import save

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import kind_of

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"
PAGE = b"\xef\xbb\xbf\n<!-- sign in -->\n<!DOCTYPE html>\n<html><body>Quota exceeded</body></html>\n"
APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x00\x02\x00\x00\x00\x09" + bytes(4000)
STATE = {"fc.weight": torch.zeros(2, 3)}


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    """Return what a function writes into a file."""
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def picture(kind: str) -> bytes:
    """Return a picture of a format that Pillow writes."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return written(lambda file: Image.fromarray(pixels).save(file, format=kind))


def archive(name: str) -> bytes:
    """Return a zip archive of one text."""
    return written(lambda file: zipfile.ZipFile(file, "w").writestr(name, "x"))


def tar(file: io.BytesIO) -> None:
    """Write a tar archive of an empty file."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("relu.pth"))


CONTENT: dict[str, tuple[bytes, str | None]] = {
    "pointer": (POINTER, "a Git-LFS pointer: `git lfs pull`"),
    "annex": (b"/annex/objects/SHA256E-s1--0.pth\n", "a git-annex pointer: `git annex get`"),
    "page": (PAGE, "a web page: download the file itself"),
    "message": (b'{"message": "Not Found"}', 'a text that begins with \'{"message": "Not Found"}\''),
    "text cut in a character": (b"x" + "é".encode() * 600, "a text that begins with 'xéé"),
    "resource fork": (APPLE_DOUBLE, "a macOS `._` file"),
    "empty": (b"", "an empty file: copy or download it again"),
    "zeros": (bytes(5000), "a file of zeros"),
    "gif": (picture("GIF"), "a GIF picture: convert it to PNG"),
    "avif": (picture("AVIF"), "an AVIF picture: convert it to PNG"),
    "jpeg 2000": (picture("JPEG2000"), "a JPEG 2000 picture: convert it to PNG"),
    "svg": (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    **{
        kind: (picture(kind.upper()), f"a {kind} picture")
        for kind in ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WebP")
    },
    "torch": (written(lambda file: torch.save(STATE, file)), "a file of torch.save: name it *.pth"),
    "torch before 1.6": (
        written(lambda file: torch.save(STATE, file, _use_new_zipfile_serialization=False)),
        "a file of torch.save",
    ),
    "safetensors": (save(STATE), "a safetensors file: name it *.safetensors"),
    "npy": (written(lambda file: np.save(file, np.zeros(3))), "a NumPy array: name it *.npy"),
    "npz": (written(lambda file: np.savez(file, images=np.zeros(3))), "a NumPy archive: name it *.npz"),
    "pickle": (pickle.dumps({"data": b""}), "a Python pickle"),
    "zip": (archive("relu.pth"), "a zip archive: unpack it"),
    "gzip": (gzip.compress(b"x"), "a gzip archive: unpack it"),
    "tar": (written(tar), "a tar archive: unpack it"),
    "noise": (bytes(range(256)), None),
}


@pytest.mark.parametrize("name", CONTENT)
def test_a_file_is_named_for_what_it_is(name: str, tmp_path: Path) -> None:
    content, expected = CONTENT[name]
    path = tmp_path / "file"
    path.write_bytes(content)
    found = kind_of(path)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert str(found).startswith(f"it is {expected}")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "name", ["pointer", "page", "message", "resource fork", "empty", "zeros", "gif", "npz"]
)
def test_checkpoints(name: str, suffix: str, tmp_path: Path) -> None:
    content, expected = CONTENT[name]
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a") as error:
        load_checkpoint(path, "cifar:resnet8")
    assert str(error.value).startswith(f"{path}: not a")
    assert f"(it is {expected}" in str(error.value)


def test_checkpoints_in_the_other_format(tmp_path: Path) -> None:
    for name, suffix, expected in (
        ("torch", ".safetensors", "name it *.pth"),
        ("safetensors", ".pth", "name it *.safetensors"),
    ):
        path = tmp_path / f"net{suffix}"
        path.write_bytes(CONTENT[name][0])
        with pytest.raises(InputError, match="not a ") as error:
            load_checkpoint(path, "cifar:resnet8")
        assert expected in str(error.value)


@pytest.mark.parametrize("name", ["pointer", "page", "resource fork", "empty", "gif", "avif", "jpeg 2000"])
def test_pictures(name: str, tmp_path: Path) -> None:
    content, expected = CONTENT[name]
    for of in "ab":
        (tmp_path / of).mkdir()
        (tmp_path / of / "1.jpg").write_bytes(content if of == "b" else picture("JPEG"))
    with pytest.raises(InputError, match="1 of 2 images cannot be read") as error:
        load_dataset(f"folder:{tmp_path}").check()
    assert f"{tmp_path / 'b' / '1.jpg'} (it is {expected}" in str(error.value)


def test_a_folder_of_pointers_is_not_taken_for_grey_pictures(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(POINTER)
    with pytest.raises(InputError, match=r"2 of 2 images cannot be read: .*a\.png \(it is a Git-LFS pointer"):
        _ = load_dataset(f"folder:{tmp_path}").shape


def test_a_class_of_pictures_in_another_format(tmp_path: Path) -> None:
    for of, file, kind in (("a", "1.png", "PNG"), ("b", "1.gif", "GIF")):
        (tmp_path / of).mkdir()
        (tmp_path / of / file).write_bytes(picture(kind))
    with pytest.raises(InputError, match=r"found none, but 1\.gif \(it is a GIF picture: convert it to PNG"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("content", [POINTER, PAGE, b""], ids=["pointer", "page", "empty"])
def test_arrays(content: bytes, tmp_path: Path) -> None:
    npz, npy, idx = tmp_path / "x.npz", tmp_path / "images.npy", tmp_path / "MNIST" / "raw"
    batch = tmp_path / "cifar-10-batches-py" / "test_batch"
    idx.mkdir(parents=True)
    batch.parent.mkdir()
    for path in (npz, npy, batch, idx / "t10k-images-idx3-ubyte"):
        path.write_bytes(content)
    for spec in (f"npz:{npz}", f"npy:{tmp_path}", f"cifar-10:{tmp_path}", f"mnist:{tmp_path}"):
        with pytest.raises(InputError, match=r"not a .* \(it is an? (Git-LFS pointer|web page|empty file): "):
            load_dataset(spec)


def test_an_archive_where_a_folder_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(CONTENT["gzip"][0])
    for name in ("cifar-10", "imagenet", "folder"):
        with pytest.raises(
            InputError, match=r"expected a folder, got a file \(it is a gzip archive: unpack it\)"
        ):
            load_dataset(f"{name}:{path}")


def test_a_baseline(actrobust: Callable[..., Result], undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "baseline").write_bytes(POINTER)
    result = actrobust("check", undisturbed, "--baseline", tmp_path / "baseline")
    assert result.exit_code == 2
    assert "(it is a Git-LFS pointer: `git lfs pull` fetches the file itself)" in result.output
