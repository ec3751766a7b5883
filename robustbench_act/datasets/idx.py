"""MNIST and sets of its form, as their authors publish them: IDX files.

Fashion-MNIST: https://github.com/zalandoresearch/fashion-mnist. Kuzushiji-MNIST:
https://github.com/rois-codh/kmnist.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robustbench_act.datasets.arrays import as_images, as_labels, open_npy
from robustbench_act.datasets.catalogue import CORRUPTED
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.layouts import IDENTITY
from robustbench_act.datasets.normalisations import USUAL
from robustbench_act.datasets.request import MissingDataError, Request
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import GZIP, why_unreadable
from robustbench_act.zip_guard import gunzip

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class _Layout:
    """Where one of these sets is, and its classes."""

    name: str
    folder: str
    classes: tuple[str, ...]


_MNIST = _Layout("mnist", "MNIST", DIGITS)
_FASHION_MNIST = _Layout(
    "fashion-mnist",
    "FashionMNIST",
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)
_KMNIST = _Layout(
    "kmnist",
    "KMNIST",
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)


def load_mnist(request: Request) -> Dataset:
    """Load MNIST from ROOT/MNIST/raw, as torchvision lays it out, or from ROOT."""
    return _load(_MNIST, request)


def load_fashion_mnist(request: Request) -> Dataset:
    """Load Fashion-MNIST from ROOT/FashionMNIST/raw, as torchvision lays it out, or from ROOT."""
    return _load(_FASHION_MNIST, request)


def load_kmnist(request: Request) -> Dataset:
    """Load Kuzushiji-MNIST from ROOT/KMNIST/raw, as torchvision lays it out, or from ROOT."""
    return _load(_KMNIST, request)


def _load(layout: _Layout, request: Request) -> Dataset:
    root = request.folder
    raw = root / layout.folder / "raw"
    folder = raw if raw.is_dir() else root
    part = "train" if request.train else "t10k"
    images = _read_idx(layout, folder, f"{part}-images", dimensions=3)
    labels = _read_idx(layout, folder, f"{part}-labels", dimensions=1).long()
    if len(images) != len(labels) or images.shape[1:] != (28, 28) or not (labels < len(layout.classes)).all():
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        expected = "N images of 28 x 28 and N labels from 0 to 9"
        raise InputError(f"Dataset {layout.name!r}: expected {expected} in {folder}, got {shapes}.")
    mean, std = USUAL[layout.name]
    ids = torch.arange(len(images))
    return Dataset(
        layout.name, images.unsqueeze(1), labels, ids, layout.classes, mean, std, total=len(images)
    )


def load_mnist_c_clean(request: Request) -> Dataset:
    """Load the clean images of MNIST-C, ROOT/mnist_c/identity: its copy of the MNIST test set."""
    if request.train:
        raise InputError("Dataset 'mnist-c' is for tests; train on mnist.")
    folder = request.existing_folder("mnist-c") / CORRUPTED["mnist-c"] / IDENTITY
    images = as_images(open_npy(folder / "test_images.npy"), where=f"{folder}/test_images.npy")
    where = f"{folder}/test_labels.npy"
    labels = as_labels(open_npy(folder / "test_labels.npy"), count=len(images), where=where)
    if images.shape[1:] != (1, 28, 28) or not (labels < len(DIGITS)).all():
        raise InputError(
            f"Dataset 'mnist-c': expected grey images of 28 x 28 and labels from 0 to 9 in {folder}, "
            f"got {tuple(images.shape)} and labels to {int(labels.max())}."
        )
    return mnist_like("mnist", images, labels, torch.arange(len(images)))


def _read_idx(layout: _Layout, folder: Path, name: str, *, dimensions: int) -> Tensor:
    """Return the bytes in an IDX file, as published or unpacked: NAME-idx3-ubyte.gz, NAME-idx3-ubyte."""
    names = [f"{name}{mark}idx{dimensions}-ubyte{suffix}" for mark in "-." for suffix in ("", ".gz")]
    file = next((folder / each for each in names if (folder / each).is_file()), None)
    if file is None:
        raw = folder if folder.name == "raw" else folder / layout.folder / "raw"
        raise MissingDataError(
            f"Dataset {layout.name!r}: expected {raw / names[0]}, which does not exist (nor its .gz); "
            f"name the folder as {layout.name}:ROOT, or add --download."
        )
    try:
        data = gunzip(file) if file.suffix == ".gz" else file.read_bytes()
        if data[:3] != b"\0\0\x08" or data[3] != dimensions:
            raise ValueError("its header differs")
        begin = 4 + 4 * dimensions
        shape = struct.unpack(f">{dimensions}I", data[4:begin])
        return torch.from_numpy(np.frombuffer(data, np.uint8, offset=begin).reshape(shape).copy())
    except Exception as error:  # a damaged archive makes its reader raise almost anything
        reason = why_unreadable(file, error, *((GZIP,) if file.suffix == ".gz" else ()))
        raise InputError(f"Dataset {layout.name!r}: {file}: not a complete IDX file ({reason}).") from error


def mnist_like(name: str, images: Tensor, labels: Tensor, ids: Tensor) -> Dataset:
    """Return a data set of digits with the usual normalisation of MNIST."""
    mean, std = USUAL["mnist"]
    return Dataset(name, images, labels, ids, DIGITS, mean, std, total=len(images))
