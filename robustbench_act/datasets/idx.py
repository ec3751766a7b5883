"""MNIST as its authors publish it: IDX files."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import mnist

from robustbench_act.datasets.arrays import as_images, as_labels, open_npy
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.layouts import IDENTITY
from robustbench_act.datasets.normalisations import USUAL
from robustbench_act.datasets.request import Request
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import why_unreadable

DIGITS = tuple("0123456789")
MNIST_C = "mnist_c"
"""The folder that the archive of MNIST-C unpacks to."""


def load_mnist(request: Request) -> Dataset:
    """Load ROOT/MNIST/raw/*-ubyte, as torchvision lays them out."""
    root = request.folder
    if request.download:
        mnist.MNIST(os.fspath(root), download=True)
    prefix = root / "MNIST" / "raw" / ("train" if request.train else "t10k")
    images = _read_idx(Path(f"{prefix}-images-idx3-ubyte"), mnist.read_image_file)
    labels = _read_idx(Path(f"{prefix}-labels-idx1-ubyte"), mnist.read_label_file)
    if len(images) != len(labels) or images.shape[1:] != (28, 28) or not (labels < len(DIGITS)).all():
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        expected = "N images of 28 x 28 and N labels from 0 to 9"
        raise InputError(f"Dataset 'mnist': expected {expected} in {prefix.parent}, got {shapes}.")
    return mnist_like("mnist", images.unsqueeze(1), labels, torch.arange(len(images)))


def load_mnist_c_clean(request: Request) -> Dataset:
    """Load the clean images of MNIST-C, ROOT/mnist_c/identity: its copy of the MNIST test set."""
    if request.train:
        raise InputError("Dataset 'mnist-c' is for tests; train on mnist.")
    folder = request.existing_folder("mnist-c") / MNIST_C / IDENTITY
    images = as_images(open_npy(folder / "test_images.npy"), where=f"{folder}/test_images.npy")
    where = f"{folder}/test_labels.npy"
    labels = as_labels(open_npy(folder / "test_labels.npy"), count=len(images), where=where)
    if images.shape[1:] != (1, 28, 28) or not (labels < len(DIGITS)).all():
        raise InputError(
            f"Dataset 'mnist-c': expected grey images of 28 x 28 and labels from 0 to 9 in {folder}, "
            f"got {tuple(images.shape)} and labels to {int(labels.max())}."
        )
    return mnist_like("mnist", images, labels, torch.arange(len(images)))


def _read_idx(file: Path, read: Callable[[str], Tensor]) -> Tensor:
    if not file.is_file():
        hint = "name the folder as mnist:ROOT, or add --download"
        raise InputError(f"Dataset 'mnist': expected {file}, which does not exist; {hint}.")
    try:
        return read(os.fspath(file))
    except Exception as error:  # a damaged header makes the reader raise almost anything
        raise InputError(
            f"Dataset 'mnist': {file}: not a complete IDX file ({why_unreadable(file, error)})."
        ) from error


def mnist_like(name: str, images: Tensor, labels: Tensor, ids: Tensor) -> Dataset:
    """Return a data set of digits with the usual normalisation of MNIST."""
    mean, std = USUAL["mnist"]
    return Dataset(name, images, labels, ids, DIGITS, mean, std, total=len(images))
