"""Data that users bring as arrays or as a function of their own."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustbench_act.datasets.arrays import as_images, as_labels, open_npy, open_npz
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.request import Request
from robustbench_act.errors import InputError
from robustbench_act.factories import call_factory, find_factory
from robustbench_act.preprocessing import USUAL


def load_npz(request: Request) -> Dataset:
    """Load an .npz file: `images` and, where they are known, `labels`; or x_test and y_test, as Keras has."""
    if request.root is None:
        raise InputError("Dataset 'npz': name the file as npz:FILE.")
    arrays = open_npz(request.root)
    part = "train" if request.train else "test"
    for images, labels in (("images", "labels"), (f"x_{part}", f"y_{part}")):
        if images in arrays:
            return _from_arrays(request.root.stem, arrays[images], arrays.get(labels), str(request.root))
    raise InputError(
        f"{request.root}: expected the arrays images and labels, or x_{part} and y_{part}, "
        f"got {', '.join(sorted(arrays)[:5]) or 'none'}."
    )


def load_npy(request: Request) -> Dataset:
    """Load ROOT/images.npy and, where they are known, ROOT/labels.npy."""
    root = request.existing_folder("npy")
    labels = root / "labels.npy"
    found = open_npy(labels) if labels.is_file() else None
    return _from_arrays(root.resolve().name, open_npy(root / "images.npy"), found, str(root))


def load_factory(text: str, *, train: bool = False) -> Dataset:
    """Load what your own function returns: a `Dataset`, or images and labels (labels may be None).

    It is called without arguments, or, for the training part, with train=True. The working folder is
    searched for its module.

    Raises
    ------
    InputError
        Where the function is not found, or returns something else.
    """
    what = f"Dataset {text!r}"
    factory = find_factory(text, what="Dataset")
    made = call_factory(factory, {"train": True} if train else {}, what=what)
    if isinstance(made, Dataset):
        return made
    if not isinstance(made, tuple) or len(made) != 2:
        got = type(made).__name__
        raise InputError(f"{what}: expected a Dataset, or images and labels as arrays, got {got}.")
    images, labels = (item if item is None or isinstance(item, Tensor) else np.asarray(item) for item in made)
    if images is None:
        raise InputError(f"{what}: expected images, got None.")
    return _from_arrays(text.rpartition(":")[2], images, labels, where=what)


def _from_arrays(
    name: str, images: NDArray[Any] | Tensor, labels: NDArray[Any] | Tensor | None, where: str
) -> Dataset:
    pixels = as_images(images, where=where)
    known = None if labels is None else as_labels(labels, count=len(pixels), where=where)
    mean, std = USUAL["imagenet"] if pixels.shape[1] == 3 else ((0.5,), (0.5,))
    return Dataset(name, pixels, known, torch.arange(len(pixels)), (), mean, std, total=len(pixels))
