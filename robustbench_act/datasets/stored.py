"""Corrupted images that somebody else has made: files instead of corruptions on the fly."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions import get_corruption, list_corruptions
from robustbench_act.datasets.pictures import Pictures
from robustbench_act.errors import InputError


@dataclass(frozen=True, eq=False)
class StoredCell:
    """One corruption at one severity, read from files; used as `corruptions.Cell` is.

    Attributes
    ----------
    corruption, severity
        What the files hold.
    images
        uint8 (N, H, W, C), mapped from a file, or pictures that are decoded when they are needed.
    ids
        int64 (N,), the ids of the clean images in the order of the rows.
    """

    corruption: str
    severity: float
    images: NDArray[np.uint8] | Pictures
    ids: Tensor
    domain: ClassVar[str] = "pixels"

    @property
    def group(self) -> str:
        """The group of the corruption of this name, "other" where there is none."""
        known = self.corruption in list_corruptions()
        return get_corruption(self.corruption).group if known else "other"

    def apply(self, images: Tensor, *, ids: Tensor, seed: int) -> Tensor:
        """Return the stored images with these ids, on the device of `images`; the seed plays no part.

        Raises
        ------
        InputError
            Where a picture cannot be read, or has another size than the clean images.
        """
        order = self.ids.argsort()
        rows = order[torch.searchsorted(self.ids[order], ids.cpu())]
        if not isinstance(self.images, Pictures):
            found = torch.from_numpy(self.images[rows.numpy()]).permute(0, 3, 1, 2).contiguous()
        else:
            found = self._read(self.images[rows], images.shape[-2:])
        return found.to(images.device)

    def _read(self, pictures: Pictures, size: torch.Size) -> Tensor:
        if pictures.shape[-2:] != tuple(size):
            assert not isinstance(pictures.sources, Tensor)
            found, wanted = (" x ".join(map(str, pair)) for pair in (pictures.shape[-2:], size))
            raise InputError(
                f"{pictures.sources[0]}: has {found} pixels, the clean images {wanted}; choose the clean "
                "images' size by --resize and --crop, or apply these to the stored images too by "
                "--resize-corrupted."
            )
        return pictures.read()


@dataclass(frozen=True, eq=False)
class StoredSuite:
    """All corruptions of a folder; used as `corruptions.Suite` is.

    Attributes
    ----------
    name
        "files:FOLDER".
    cells
        In the order of the corruptions' names, then of the severities.
    codec
        How the images are stored: "npy" (exact), "png" (exact), "jpeg", ...
    files
        The arrays that were read, for the hash; none where the cells are pictures.
    """

    name: str
    cells: tuple[StoredCell, ...]
    codec: str
    files: tuple[Path, ...] = field(default=(), repr=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the cells chosen, and what they are made of.

        Of arrays their bytes; of pictures, of which a published set has millions, names and sizes in bytes.
        """
        digest = hashlib.sha256(repr([(cell.corruption, cell.severity) for cell in self.cells]).encode())
        for path in self.files:
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        for cell in self.cells:
            if isinstance(cell.images, Pictures) and not isinstance(cell.images.sources, Tensor):
                for path in cell.images.sources:
                    digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
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
        """Return what stands in the column `table` of results, where constants stand otherwise."""
        return f"{self.codec} files"

    def unreadable(self, ids: Tensor) -> Iterator[tuple[int, Path]]:
        """Yield the files of these images that cannot be read, each with the image's id."""
        for cell in self.cells:
            if isinstance(cell.images, Pictures):
                wanted = torch.isin(cell.ids, ids)
                pictures, numbers = cell.images[wanted], cell.ids[wanted].tolist()
                problems = pictures.check()
                for path, number in zip(pictures.sources, numbers, strict=True):
                    if path in problems:
                        yield number, Path(path)
