"""Corrupted images that somebody else has made: files instead of corruptions on the fly.

The layout of CIFAR-10-C (https://zenodo.org/records/2535967): NAME.npy for each corruption, uint8
(severities x N, H, W, C), severity by severity, N images each in the order of the clean set; labels.npy,
(severities x N,). `actrobust generate` writes it too, and says the severities in generated.json.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions import get_corruption, list_corruptions
from robustbench_act.errors import InputError

if TYPE_CHECKING:
    from robustbench_act.datasets.dataset import Dataset

TABLE = "files"
"""Stands in the column `table` of results where the constants of a corruption stand otherwise."""

_LABELS = "labels.npy"
_SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True, eq=False)
class StoredCell:
    """One corruption at one severity, read from a file; used as `corruptions.Cell` is.

    Attributes
    ----------
    corruption, severity
        What the file holds.
    images
        uint8 (N, H, W, C), mapped from the file.
    ids
        int64 (N,), the ids of the clean images in the order of the rows.
    """

    corruption: str
    severity: float
    images: NDArray[np.uint8]
    ids: Tensor
    domain: ClassVar[str] = "pixels"

    @property
    def group(self) -> str:
        """The group of the corruption of this name, "other" where there is none."""
        known = self.corruption in list_corruptions()
        return get_corruption(self.corruption).group if known else "other"

    def apply(self, images: Tensor, *, ids: Tensor, seed: int) -> Tensor:
        """Return the stored images with these ids, on the device of `images`; the seed plays no part."""
        order = self.ids.argsort()
        rows = order[torch.searchsorted(self.ids[order], ids.cpu())]
        found = torch.from_numpy(self.images[rows.numpy()])
        return found.permute(0, 3, 1, 2).contiguous().to(images.device)


@dataclass(frozen=True, eq=False)
class StoredSuite:
    """All corruptions of a folder; used as `corruptions.Suite` is.

    Attributes
    ----------
    name
        "files:FOLDER".
    cells
        In the order of the corruptions' names, then of the severities.
    files
        What was read, for the hash.
    """

    name: str
    cells: tuple[StoredCell, ...]
    files: tuple[Path, ...] = field(repr=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the names and the bytes of the files, and the cells chosen."""
        digest = hashlib.sha256(repr([(cell.corruption, cell.severity) for cell in self.cells]).encode())
        for path in self.files:
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    @property
    def corruptions(self) -> tuple[str, ...]:
        """The names of its corruptions, in order."""
        return tuple(dict.fromkeys(cell.corruption for cell in self.cells))

    @property
    def severities(self) -> tuple[float, ...]:
        """The severities of its cells, ascending."""
        return tuple(sorted({cell.severity for cell in self.cells}))

    def with_severities(self, severities: Iterable[float]) -> "StoredSuite":
        """Return the cells at these severities.

        Raises
        ------
        InputError
            Where the files have none at one of them.
        """
        chosen = tuple(severities)
        for severity in chosen:
            if severity not in self.severities:
                stored = ", ".join(f"{value:g}" for value in self.severities)
                raise InputError(f"{self.name}: has severities {stored}, not {severity:g}.")
        return replace(self, cells=tuple(cell for cell in self.cells if cell.severity in chosen))

    def resolve_table(self, height: int, width: int) -> str:
        """Return what stands in the column `table`."""
        return TABLE


def open_stored(folder: Path, clean: "Dataset") -> StoredSuite:
    """Open the corrupted versions of a data set.

    Parameters
    ----------
    folder
        In the layout of CIFAR-10-C.
    clean
        The whole clean set: rows and labels must pair with it.

    Raises
    ------
    InputError
        For a missing or damaged file, another shape or number of images, labels that do not pair.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of NAME.npy files, as CIFAR-10-C has them.")
    files = sorted(path for path in folder.glob("*.npy") if path.name != _LABELS)
    if not files:
        raise InputError(f"{folder}: expected NAME.npy for each corruption, found none.")
    severities = _severities(folder)
    _check_labels(folder / _LABELS, clean, len(severities))
    channels, height, width = clean.shape
    expected = (len(severities) * len(clean), height, width, channels)
    cells = []
    for path in files:
        images = _open(path)
        if images.dtype != np.uint8 or images.shape != expected:
            raise InputError(
                f"{path}: expected uint8 {expected} ({len(severities)} severities x {len(clean)} images of "
                f"{clean.name}), got {images.dtype} {images.shape}."
            )
        for place, severity in enumerate(severities):
            rows = images[place * len(clean) : (place + 1) * len(clean)]
            cells.append(StoredCell(path.stem, severity, rows, clean.ids))
    return StoredSuite(f"files:{folder.name}", tuple(cells), tuple(files))


def _severities(folder: Path) -> tuple[float, ...]:
    """Return 1 to 5, or what generated.json says."""
    path = folder / "generated.json"
    if not path.is_file():
        return _SEVERITIES
    try:
        found = json.loads(path.read_text())["suite"]["severities"]
        return tuple(float(severity) for severity in found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected what `actrobust generate` wrote.") from error


def _check_labels(path: Path, clean: "Dataset", severities: int) -> None:
    labels = _open(path)
    expected = np.tile(clean.labels.numpy(), severities)
    if labels.shape != expected.shape or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: expected {severities} x {len(clean)} labels, got {labels.dtype} {labels.shape}."
        )
    differing = np.flatnonzero(labels != expected)
    if len(differing):
        row = int(differing[0])
        raise InputError(
            f"{path}: {len(differing)} of {len(labels)} labels do not pair with those of {clean.name}, "
            f"first row {row}: {labels[row]}, not {expected[row]}."
        )


def _open(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError) as error:
        raise InputError(f"{path}: is no complete .npy file ({str(error).splitlines()[0]}).") from error
    return array
