"""Arrays in NumPy files, read without running anything: .npy mapped, .npz unpacked within bounds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustbench_act.errors import InputError
from robustbench_act.file_kinds import NPY, NPZ, ZIP, why_unreadable
from robustbench_act.zip_guard import member_names

MOST_CLASSES = 1_000_000


def open_npy(path: Path) -> NDArray[Any]:
    """Return the array of an .npy file, mapped; an InputError if it is missing, damaged or holds objects."""
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise TypeError("an archive")
    except Exception as error:  # a damaged header makes the reader raise almost anything
        raise InputError(f"{path}: not a complete .npy file ({why_unreadable(path, error, NPY)}).") from error
    return array


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images of an .npy file, uint8 (N, C, H, W) once read; indexing reads nothing.

    Other processes read them themselves, from the same path: no pixel travels.

    Attributes
    ----------
    path
        The file: uint8 (M, H, W, C).
    rows
        int64 (N,), their places in it.
    size
        (C, H, W) of an image.
    """

    path: Path
    rows: NDArray[np.int64]
    size: tuple[int, int, int]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "path": self.path.absolute()}  # others may be in a different folder

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice | Tensor) -> "ArrayImages":
        return replace(self, rows=self.rows[index if isinstance(index, slice) else index.numpy()])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return len(self), *self.size

    def read(self) -> Tensor:
        """Return the images, uint8 (N, C, H, W); an InputError if the file is not the one that was opened."""
        array = open_npy(self.path)
        channels, height, width = self.size
        alike = array.dtype == np.uint8 and array.shape[1:] == (height, width, channels)
        if not alike or len(array) <= self.rows.max(initial=-1):
            raise InputError(
                f"{self.path}: expected the file that was opened, uint8 (N, {height}, {width}, {channels}), "
                f"got {array.dtype} {array.shape}."
            )
        return channels_first(array[self.rows])


def channels_first(images: NDArray[np.uint8]) -> Tensor:
    """Return images (N, H, W, C) as a tensor (N, C, H, W), without a thread of PyTorch's.

    NumPy moves the axes: with other threads running, PyTorch would start threads of its own for it. Flat in
    between: NumPy leaves the strides of a single channel as they were, and PyTorch would take the images for
    channels_last, which convolutions round in another way.
    """
    moved = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(moved.reshape(-1)).view(moved.shape)


def open_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name.

    An InputError for a file that is missing or damaged, holds objects, or unpacks to far more than its size.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        if not member_names(path):
            raise ValueError("not an archive")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except Exception as error:
        reason = why_unreadable(path, error, NPZ, ZIP)
        raise InputError(f"{path}: not a complete .npz file of arrays ({reason}).") from error
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def as_images(array: NDArray[Any] | Tensor, *, where: str) -> Tensor:
    """Return images as uint8 (N, C, H, W), from that shape, (N, H, W, C) or grey (N, H, W).

    An InputError for any other type or shape.
    """
    images = array if isinstance(array, Tensor) else _tensor(array)
    if images is not None and images.dtype == torch.uint8:
        if images.ndim == 3:
            images = images.unsqueeze(1)
        if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
            images = images.permute(0, 3, 1, 2)
        if images.ndim == 4 and images.shape[1] in (1, 3) and images.numel():
            return images.contiguous()
    raise InputError(
        f"{where}: expected images as uint8 (N, H, W), (N, H, W, C) or (N, C, H, W), C 1 or 3, "
        f"got {array.dtype} {tuple(array.shape)}."
    )


def as_labels(array: NDArray[Any] | Tensor, *, count: int, where: str) -> Tensor:
    """Return labels as int64 (count,), each 0 or more; an InputError for any other type, shape or sign."""
    labels = array if isinstance(array, Tensor) else _tensor(array)
    whole = labels is not None and not labels.is_floating_point() and labels.dtype != torch.bool
    if labels is None or not whole or labels.numel() != count or labels.shape[:1] != (count,):
        several = len(array.shape) == 2 and array.shape[0] == count and array.shape[1] > 1
        hint = "; an image must have one label: choose a column" if several else ""
        raise InputError(
            f"{where}: expected {count} labels, whole numbers, got {array.dtype} {tuple(array.shape)}{hint}."
        )
    labels = labels.reshape(count).to(torch.int64)
    if (labels < 0).any():
        raise InputError(f"{where}: expected labels from 0 up, got {int(labels.min())}.")
    if (labels >= MOST_CLASSES).any():
        raise InputError(f"{where}: expected labels below {MOST_CLASSES:,}, got {int(labels.max())}.")
    return labels


def _tensor(array: NDArray[Any]) -> Tensor | None:
    """Return the array as a tensor; None if torch has no such type."""
    if array.dtype.kind not in "uif":
        return None
    native = np.array(array, dtype=array.dtype.newbyteorder("="))  # a copy: maps are read-only
    return torch.from_numpy(native)
