"""Data that users bring, as arrays or as a function."""

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset

from robustbench_act.datasets.arrays import as_images, as_labels, open_npy, open_npz
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.normalisations import usual_of_pictures
from robustbench_act.datasets.request import OnItems, Request, quietly
from robustbench_act.datasets.torch_datasets import is_map_style, load_items, why_no_items
from robustbench_act.errors import InputError
from robustbench_act.user_code import call_factory, find_factory


class MapStyle(Protocol):
    """Items by number, as those of a `torch.utils.data.Dataset` with a length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


Data: TypeAlias = str | Dataset | MapStyle | tuple[Any, Any]
"""Images as Python gives them: a name for `load_dataset`, or what `as_dataset` takes."""


def name_of(data: Any) -> str:
    """Return the name of a data set: its own, "arrays", or its class.

    >>> name_of(([[0]], None))
    'arrays'
    """
    if isinstance(data, Dataset):
        return data.name
    if isinstance(data, Subset):
        return name_of(data.dataset)
    return "arrays" if isinstance(data, tuple) else type(data).__name__


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


def load_factory(
    text: str, *, train: bool = False, names: Iterable[str] = (), on_items: OnItems = quietly
) -> Dataset:
    """Load the data that your own function returns: see `as_dataset`.

    It is called without arguments, or with train=True for the training part. An InputError if it is not
    found (see `find_factory`) or returns something else.
    """
    what = f"Dataset {text!r}"
    factory = find_factory(text, what="Dataset", names=names)
    made = call_factory(factory, {"train": True} if train else {}, what=what)
    return as_dataset(made, text.rpartition(":")[2], what=what, on_items=on_items)


def as_dataset(
    made: Any, name: str | None = None, *, what: str = "dataset", on_items: OnItems = quietly
) -> Dataset:
    """Return a `Dataset`, images and labels as arrays (labels may be None), or a map-style data set as one.

    `name` is that of the last two, `name_of` them if left out; for `on_items` see
    `torch_datasets.load_items`. An InputError, which begins with `what`, for anything else.
    """
    if isinstance(made, Dataset):
        return _checked(made, what)
    if is_map_style(made):
        return load_items(made, name or name_of(made), on_items=on_items)
    if not isinstance(made, tuple) or len(made) != 2 or made[0] is None:
        got = why_no_items(made) or f"got {type(made).__name__}"
        raise InputError(
            f"{what}: expected a Dataset, images and labels as arrays, or a map-style data set, {got}."
        )
    images, labels = (None if item is None else _array(item, what) for item in made)
    assert images is not None
    return _from_arrays(name or name_of(made), images, labels, where=what)


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
