"""CIFAR-10 and CIFAR-100: the python and the binary version of https://www.cs.toronto.edu/~kriz/cifar.html."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.normalisations import USUAL
from robustbench_act.datasets.pickles import read_pickle
from robustbench_act.datasets.request import MissingDataError, Request
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import kind_of

_SIDE = 32


@dataclass(frozen=True)
class _Layout:
    """Names of files and keys in one of the two sets; bytes of labels before an image in a .bin file."""

    name: str
    folder: str
    binary: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str
    meta: str
    binary_meta: str
    names: str
    bytes: int
    classes: int


_CIFAR_10 = _Layout(
    "cifar-10",
    "cifar-10-batches-py",
    "cifar-10-batches-bin",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    ("test_batch",),
    "labels",
    "batches.meta",
    "batches.meta.txt",
    "label_names",
    1,
    10,
)
_CIFAR_100 = _Layout(
    "cifar-100",
    "cifar-100-python",
    "cifar-100-binary",
    ("train",),
    ("test",),
    "fine_labels",
    "meta",
    "fine_label_names.txt",
    "fine_label_names",
    2,
    100,
)


def load_cifar_10(request: Request) -> Dataset:
    """Load CIFAR-10 from ROOT/cifar-10-batches-py or -bin, or from ROOT if that is the folder itself."""
    return _load(_CIFAR_10, request)


def load_cifar_100(request: Request) -> Dataset:
    """Load CIFAR-100, its fine labels, from ROOT/cifar-100-python or -binary, or from ROOT itself."""
    return _load(_CIFAR_100, request)


def _load(layout: _Layout, request: Request) -> Dataset:
    root = request.folder
    names = layout.train if request.train else layout.test
    homes = [root / name for name in (layout.folder, layout.binary) if (root / name).is_dir()]
    folder = homes[0] if homes else root
    binary = (folder / f"{names[0]}.bin").is_file()
    files = [folder / (f"{name}.bin" if binary else name) for name in names]
    missing = [file for file in files if not file.is_file()]
    if missing:
        expected = missing[0] if homes or binary else root / layout.folder / names[0]
        raise MissingDataError(
            f"Dataset {layout.name!r}: expected {expected}, which does not exist; "
            f"name the folder as {layout.name}:ROOT, or add --download."
        )
    parts = [(_read_binary if binary else _read_batch)(layout, file) for file in files]
    images = torch.from_numpy(np.concatenate([images for images, _ in parts]))
    labels = torch.from_numpy(np.concatenate([labels for _, labels in parts]))
    ids = torch.arange(len(images))
    classes = _class_names(layout, folder)
    mean, std = USUAL[layout.name]
    return Dataset(layout.name, images, labels, ids, classes, mean, std, total=len(images))


def _read_batch(layout: _Layout, path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    batch = read_pickle(path)
    data, labels = batch.get("data"), batch.get(layout.labels)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3 * _SIDE**2,):
        found = data.shape if isinstance(data, np.ndarray) else type(data).__name__
        raise InputError(f"{path}: expected data, uint8 (N, 3072), got {found}.")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise InputError(f"{path}: expected {layout.labels}, a list of whole numbers.")
    if len(labels) != len(data) or not all(0 <= label < layout.classes for label in labels):
        raise InputError(
            f"{path}: expected {len(data)} {layout.labels} from 0 to {layout.classes - 1}, got {len(labels)}."
        )
    return data.reshape(-1, 3, _SIDE, _SIDE), np.array(labels, dtype=np.int64)


def _read_binary(layout: _Layout, path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Read rows of labels (the last one counts) and an image, a byte for each."""
    data = np.fromfile(path, dtype=np.uint8)
    row = layout.bytes + 3 * _SIDE**2
    if len(data) == 0 or len(data) % row:
        kind = kind_of(path)
        raise InputError(
            f"{path}: expected rows of {row} bytes, got {len(data):,} bytes{f' ({kind})' if kind else ''}."
        )
    rows = data.reshape(-1, row)
    labels = rows[:, layout.bytes - 1].astype(np.int64)
    if not (labels < layout.classes).all():
        raise InputError(f"{path}: expected labels from 0 to {layout.classes - 1}, got {labels.max()}.")
    return rows[:, layout.bytes :].reshape(-1, 3, _SIDE, _SIDE), labels


def _class_names(layout: _Layout, folder: Path) -> tuple[str, ...]:
    """Return the names in the set's own list, or numbers if there is none."""
    listed = folder / layout.binary_meta
    if listed.is_file():
        found = listed.read_text("utf-8", "backslashreplace").split()
        if len(found) != layout.classes:
            raise InputError(f"{listed}: expected {layout.classes} names, got {len(found)}.")
        return tuple(found)
    if not (folder / layout.meta).is_file():
        return tuple(map(str, range(layout.classes)))
    names = read_pickle(folder / layout.meta).get(layout.names)
    if not isinstance(names, Sequence) or len(names) != layout.classes:
        raise InputError(f"{folder / layout.meta}: expected {layout.names}, {layout.classes} of them.")
    return tuple(
        name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name) for name in names
    )
