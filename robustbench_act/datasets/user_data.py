"""Data that users bring, as arrays or as a function."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustbench_act.datasets.arrays import as_images, as_labels, open_npy, open_npz
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.normalisations import usual_of_pictures
from robustbench_act.datasets.request import Request
from robustbench_act.errors import InputError
from robustbench_act.user_code import call_factory, find_factory


def load_npz(request: Request) -> Dataset:
    """Load an .npz file: images and perhaps labels, under their own names, Keras's or MedMNIST's."""
    if request.root is None:
        raise InputError("Dataset 'npz': name the file as npz:FILE.")
    arrays = open_npz(request.root)
    part = "train" if request.train else "test"
    pairs = (("images", "labels"), (f"x_{part}", f"y_{part}"), (f"{part}_images", f"{part}_labels"))
    for images, labels in pairs:
        if images in arrays:
            return _from_arrays(request.root.stem, arrays[images], arrays.get(labels), str(request.root))
    raise InputError(
        f"{request.root}: expected the arrays images and labels, x_{part} and y_{part}, or {part}_images and "
        f"{part}_labels, "
        f"got {', '.join(sorted(arrays)[:5]) or 'none'}."
    )


def load_npy(request: Request) -> Dataset:
    """Load ROOT/images.npy and optionally ROOT/labels.npy."""
    root = request.existing_folder("npy")
    labels = root / "labels.npy"
    found = open_npy(labels) if labels.is_file() else None
    return _from_arrays(root.resolve().name, open_npy(root / "images.npy"), found, str(root))


def load_factory(text: str, *, train: bool = False, names: Iterable[str] = ()) -> Dataset:
    """Load the data that your own function returns: a `Dataset`, or images and labels (labels may be None).

    It is called without arguments, or with train=True for the training part. An InputError if it is not
    found (see `find_factory`) or returns something else.
    """
    what = f"Dataset {text!r}"
    factory = find_factory(text, what="Dataset", names=names)
    made = call_factory(factory, {"train": True} if train else {}, what=what)
    if isinstance(made, Dataset):
        return _checked(made, what)
    if not isinstance(made, tuple) or len(made) != 2 or made[0] is None:
        got = type(made).__name__
        raise InputError(f"{what}: expected a Dataset, or images and labels as arrays, got {got}.")
    images, labels = (None if item is None else _array(item, what) for item in made)
    assert images is not None
    return _from_arrays(text.rpartition(":")[2], images, labels, where=what)


def _array(item: Any, what: str) -> NDArray[Any] | Tensor:
    if isinstance(item, Tensor):
        return item.detach().cpu()
    try:
        return np.asarray(item)
    except ValueError as error:
        raise InputError(f"{what}: expected arrays, got a ragged {type(item).__name__}.") from error


def _checked(data: Dataset, what: str) -> Dataset:
    """Refuse labels without a class, and images with the same id."""
    if data.labels is not None and not ((data.labels >= 0) & (data.labels < len(data.classes))).all():
        got = f"{int(data.labels.min())} to {int(data.labels.max())}"
        raise InputError(f"{what}: expected labels from 0 to {len(data.classes) - 1}, got {got}.")
    if len(data.ids.unique()) < len(data.ids):  # type: ignore[no-untyped-call]
        raise InputError(f"{what}: expected a unique id for each image.")
    return data


def _from_arrays(
    name: str, images: NDArray[Any] | Tensor, labels: NDArray[Any] | Tensor | None, where: str
) -> Dataset:
    pixels = as_images(images, where=where)
    known = None if labels is None else as_labels(labels, count=len(pixels), where=where)
    mean, std = usual_of_pictures(pixels.shape[1])
    ids = torch.arange(len(pixels))
    classes = () if known is None else tuple(map(str, range(int(known.max()) + 1)))
    return Dataset(name, pixels, known, ids, classes, mean, std, total=len(pixels), open_ended=True)
