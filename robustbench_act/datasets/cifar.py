"""CIFAR-10 and CIFAR-100: the "python version" of https://www.cs.toronto.edu/~kriz/cifar.html."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision import datasets as torchvision_datasets

from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.normalisations import USUAL
from robustbench_act.datasets.pickles import read_pickle
from robustbench_act.datasets.request import Request
from robustbench_act.errors import InputError

_SIDE = 32


@dataclass(frozen=True)
class _Layout:
    """Names of files and keys in one of the two sets."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str
    meta: str
    names: str
    classes: int
    download: Any


_CIFAR_10 = _Layout(
    "cifar-10",
    "cifar-10-batches-py",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    ("test_batch",),
    "labels",
    "batches.meta",
    "label_names",
    10,
    torchvision_datasets.CIFAR10,
)
_CIFAR_100 = _Layout(
    "cifar-100",
    "cifar-100-python",
    ("train",),
    ("test",),
    "fine_labels",
    "meta",
    "fine_label_names",
    100,
    torchvision_datasets.CIFAR100,
)


def load_cifar_10(request: Request) -> Dataset:
    """Load CIFAR-10 from ROOT/cifar-10-batches-py, or from ROOT if that is the folder itself."""
    return _load(_CIFAR_10, request)


def load_cifar_100(request: Request) -> Dataset:
    """Load CIFAR-100 with its fine labels from ROOT/cifar-100-python, or from ROOT if that is the folder."""
    return _load(_CIFAR_100, request)


def _load(layout: _Layout, request: Request) -> Dataset:
    root = request.folder
    if request.download:
        layout.download(str(root), download=True)
    folder = root / layout.folder if (root / layout.folder).is_dir() else root
    files = layout.train if request.train else layout.test
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise InputError(
            f"Dataset {layout.name!r}: expected {root / layout.folder / missing[0]}, which does not exist; "
            f"name the folder as {layout.name}:ROOT, or add --download."
        )
    parts = [_read_batch(layout, folder / file) for file in files]
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


def _class_names(layout: _Layout, folder: Path) -> tuple[str, ...]:
    """Return the names in the set's own list, or numbers if there is none."""
    if not (folder / layout.meta).is_file():
        return tuple(map(str, range(layout.classes)))
    names = read_pickle(folder / layout.meta).get(layout.names)
    if not isinstance(names, Sequence) or len(names) != layout.classes:
        raise InputError(f"{folder / layout.meta}: expected {layout.names}, {layout.classes} of them.")
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
