"""Images with labels: one plain object, and the sets that can be named on the command line."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import mnist

from robustbench_act.errors import InputError, unknown_name

_DIGITS = tuple("0123456789")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in canonical order.

    Attributes
    ----------
    name
        What to call it in tables, e.g. "mnist-1k".
    images
        uint8 (N, C, H, W).
    labels
        int64 (N,), each in [0, len(classes)).
    ids
        int64 (N,), what an image is known by: its index in the published set. A corruption's randomness is
        keyed on it, so that a subset shows the same pixels as the whole.
    classes
        Class names, in the order of the labels.
    mean, std
        Per channel, on the [0, 1] scale: the usual normalisation of this data.
    total
        Images in the set of this name; more than N where this is a subset.
    """

    name: str
    images: Tensor
    labels: Tensor
    ids: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    total: int

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.uint8
        assert self.images.ndim == 4
        assert len(self.images) == len(self.labels) == len(self.ids)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor) -> "Dataset":
        return replace(self, images=self.images[index], labels=self.labels[index], ids=self.ids[index])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """SHA-256 over shape, images, labels and ids."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for array in (self.images, self.labels, self.ids):
            digest.update(array.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def chunks(self, size: int) -> Iterator["Dataset"]:
        """Yield consecutive parts of at most `size` images."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def subset(self, count: int) -> "Dataset":
        """Return `count` images with the class shares of the whole, evenly spaced within each class.

        Evenly spaced because published sets are often sorted in some way (the first half of the MNIST test
        set is easier than the second). Shares are rounded by largest remainder. Order and ids are kept.

        >>> load_dataset("mnist-1k").subset(10).labels.unique().tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        """
        if count < 1:
            raise InputError(f"Expected at least 1 image, got {count}.")
        if count >= len(self):
            return self
        sizes = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        chosen = []
        for label, share in enumerate(_largest_remainder(sizes, count)):
            members = (self.labels == label).nonzero().flatten()
            chosen.append(members[(torch.arange(share) * 2 + 1) * sizes[label] // (2 * max(share, 1))])
        return self[torch.cat(chosen).sort().values]


def _largest_remainder(sizes: list[int], count: int) -> list[int]:
    """Split `count` in proportion to `sizes`, in whole numbers; ties go to the earlier class."""
    total = sum(sizes)
    shares = [size * count // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (-(sizes[i] * count % total), i))
    for i in by_remainder[: count - sum(shares)]:
        shares[i] += 1
    return shares


def load_dataset(spec: str, *, train: bool = False, download: bool = False) -> Dataset:
    """Load a data set by `NAME` or `NAME:ROOT`.

    Parameters
    ----------
    spec
        "mnist-1k" (embedded), "digits" (scikit-learn's, 8 x 8), or "mnist[:ROOT]" (IDX files in torchvision's
        layout: ROOT/MNIST/raw/*-ubyte; ROOT is `data` where it is left out).
    train
        The training part instead of the test part.
    download
        Let torchvision download what is missing; nothing is downloaded unasked.

    Raises
    ------
    InputError
        For an unknown name, a missing or a truncated file.

    Examples
    --------
    >>> data = load_dataset("mnist-1k")
    >>> len(data), data.shape, data.subset(100).total
    (1000, (1, 28, 28), 1000)
    """
    name, _, root = spec.partition(":")
    if name not in _LOADERS:
        raise unknown_name("dataset", name, _LOADERS)
    return _LOADERS[name](Path(root) if root else None, train, download)


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows.

    >>> list_datasets()
    ['digits', 'mnist', 'mnist-1k']
    """
    return sorted(_LOADERS)


def _mnist(root: Path | None, train: bool, download: bool) -> Dataset:
    root = root or Path("data")
    if download:
        mnist.MNIST(os.fspath(root), download=True)
    prefix = root / "MNIST" / "raw" / ("train" if train else "t10k")
    images = _read_idx(Path(f"{prefix}-images-idx3-ubyte"), mnist.read_image_file)
    labels = _read_idx(Path(f"{prefix}-labels-idx1-ubyte"), mnist.read_label_file)
    if len(images) != len(labels) or images.shape[1:] != (28, 28) or not (labels < len(_DIGITS)).all():
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        expected = "N images of 28 x 28 and N labels from 0 to 9"
        raise InputError(f"Dataset 'mnist': expected {expected} in {prefix.parent}, got {shapes}.")
    return _mnist_like("mnist", images.unsqueeze(1), labels, torch.arange(len(images)))


def _read_idx(file: Path, read: Callable[[str], Tensor]) -> Tensor:
    if not file.is_file():
        hint = "name the folder as mnist:ROOT, or ask for --download"
        raise InputError(f"Dataset 'mnist': expected {file}, which does not exist; {hint}.")
    try:
        return read(os.fspath(file))
    except (AssertionError, ValueError, IndexError, KeyError, RuntimeError, OSError) as error:
        raise InputError(
            f"Dataset 'mnist': {file} is damaged: not the IDX file that its header says."
        ) from error


def _mnist_like(name: str, images: Tensor, labels: Tensor, ids: Tensor) -> Dataset:
    return Dataset(name, images, labels, ids, _DIGITS, mean=(0.1307,), std=(0.3081,), total=len(images))


def _mnist_1k(root: Path | None, train: bool, download: bool) -> Dataset:
    if root is not None or train:
        raise InputError(
            "Dataset 'mnist-1k' is embedded, test images only: it takes no folder and is not for training "
            "(train on digits or mnist)."
        )
    asset = resources.files("robustbench_act") / "assets" / "mnist-1k.npz"
    with asset.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        images, labels, ids = (torch.from_numpy(arrays[key]) for key in ("images", "labels", "ids"))
    return _mnist_like("mnist-1k", images, labels.long(), ids.long())


def _digits(root: Path | None, train: bool, download: bool) -> Dataset:
    if root is not None:
        raise InputError(f"Dataset 'digits' comes with scikit-learn and takes no folder, got {str(root)!r}.")
    from sklearn.datasets import load_digits  # noqa: PLC0415 - half a second that the other sets need not pay

    data = load_digits()
    images = torch.from_numpy(np.rint(data.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(data.target).long()
    ids = torch.arange(len(images))
    part = ids[
        (ids % 5 != 0) if train else (ids % 5 == 0)
    ]  # the set has no split of its own: every fifth tests
    whole = Dataset("digits", images, labels, ids, _DIGITS, mean=(0.3053,), std=(0.3762,), total=len(part))
    return whole[part]


_LOADERS: dict[str, Callable[[Path | None, bool, bool], Dataset]] = {
    "mnist-1k": _mnist_1k,
    "mnist": _mnist,
    "digits": _digits,
}
