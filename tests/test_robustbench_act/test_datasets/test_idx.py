"""MNIST, Fashion-MNIST and KMNIST, as published and unpacked; read as torchvision reads them."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets as torchvision_datasets

from robustbench_act import zip_guard
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError

SETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}


def write(folder: Path, *, packed: bool = False, mark: str = "-") -> None:
    """Write test and training images and labels as IDX files; `mark` is a dot in some copies."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("t10k", 12), ("train", 20)):
        random = np.random.default_rng(count)
        for name, shape, most in (("images", (count, 28, 28), 256), ("labels", (count,), 10)):
            array = random.integers(most, size=shape, dtype=np.uint8)
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *shape)
            content = head + array.tobytes()
            path = folder / f"{part}-{name}{mark}idx{array.ndim}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("train", [False, True])
def test_torchvision_reads_the_same(name: str, train: bool, tmp_path: Path) -> None:
    write(tmp_path / SETS[name] / "raw")
    theirs = getattr(torchvision_datasets, SETS[name])(tmp_path, train=train)
    ours = load_dataset(f"{name}:{tmp_path}", train=train)
    assert ours.name == name
    assert np.array_equal(ours.images[:, 0], theirs.data)
    assert ours.known_labels.tolist() == theirs.targets.tolist()
    assert len(ours.classes) == 10
    if name != "mnist":
        assert list(ours.classes) == theirs.classes


def test_archives_and_other_places_hold_the_same(tmp_path: Path) -> None:
    write(tmp_path / "KMNIST" / "raw")
    write(tmp_path / "packed" / "KMNIST" / "raw", packed=True)
    write(tmp_path / "flat", packed=True)
    write(tmp_path / "dots", mark=".")
    expected = load_dataset(f"kmnist:{tmp_path}").digest
    for folder in ("packed", "flat", "dots"):
        assert load_dataset(f"kmnist:{tmp_path / folder}").digest == expected


def test_damage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, packed=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    monkeypatch.setattr(zip_guard, "_LARGE", 10_000)
    monkeypatch.setattr(zip_guard, "_EXPANSION", 1)
    path.write_bytes(gzip.compress(bytes(20_000)))
    with pytest.raises(
        InputError, match=r"ubyte\.gz: not a complete IDX file \(unpacks to more than 10,000 bytes"
    ):
        load_dataset(f"mnist:{tmp_path}")
    for content, message in (
        (whole[:50], "not a complete IDX file"),
        (b"<html>", "it is a web page: download the file itself"),
        ((tmp_path / "t10k-labels-idx1-ubyte.gz").read_bytes(), "its header differs"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_dataset(f"mnist:{tmp_path}")
    path.unlink()
    with pytest.raises(InputError, match=r"MNIST/raw/t10k-images-idx3-ubyte, which does not exist"):
        load_dataset(f"mnist:{tmp_path}")
