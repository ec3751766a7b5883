"""Images with labels: one plain object."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from robustbench_act.datasets.stored import StoredSuite, open_stored
from robustbench_act.errors import InputError


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
    stored
        Corrupted versions of these images in files, or None.
    """

    name: str
    images: Tensor
    labels: Tensor
    ids: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    total: int
    stored: StoredSuite | None = None

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

    def with_stored(self, folder: str | Path) -> "Dataset":
        """Return the set with corrupted versions of its images from files; see `datasets.stored`.

        Raises
        ------
        InputError
            Where the files do not fit; a subset is taken afterwards.
        """
        return replace(self, stored=open_stored(Path(folder), self))

    def chunks(self, size: int) -> Iterator["Dataset"]:
        """Yield consecutive parts of at most `size` images."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def subset(self, count: int) -> "Dataset":
        """Return `count` images with the class shares of the whole, evenly spaced within each class.

        Evenly spaced because published sets are often sorted in some way (the first half of the MNIST test
        set is easier than the second). Shares are rounded by largest remainder. Order and ids are kept.

        >>> from robustbench_act.datasets import load_dataset
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
