"""Corrupted images from files, used like corruptions computed on the fly."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from corruptions import get_corruption, list_corruptions
from robustbench_act.datasets.arrays import ArrayImages
from robustbench_act.datasets.pictures import Pictures, unreadable
from robustbench_act.datasets.sources import Files, Source
from robustbench_act.errors import InputError
from robustbench_act.texts import encodable
from robustbench_act.view import View

CLEAN = "clean"
"""The name that the clean images have in columns of corruptions."""

_WHOLE = 2**32  # bytes
_NAME = 100  # characters of a corruption's name, after which files are named


@dataclass(frozen=True, eq=False)
class StoredCell:
    """One corruption at one severity, read from files; used like `corruptions.Cell`.

    Attributes
    ----------
    corruption, severity
        Corruption and severity of the stored images.
    images
        Where its images are, read when they are needed.
    ids
        int64 (N,), the ids of the clean images in the order of the rows.
    """

    corruption: str
    severity: float
    images: ArrayImages | Pictures
    ids: Tensor
    _kept: list[Tensor] = field(default_factory=list, init=False, repr=False)
    domain: ClassVar[str] = "pixels"

    @property
    def group(self) -> str:
        """The group of the corruption of this name; "other" if we do not know the name."""
        known = self.corruption in list_corruptions()
        return get_corruption(self.corruption).group if known else "other"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": []}

    def apply(self, images: Tensor, *, ids: Tensor, seed: int) -> Tensor:
        """Return the stored images with these ids, on the device of `images`; the seed is ignored.

        An InputError if one cannot be read, or differs in size from the clean images.
        """
        rows = self._rows(ids)
        found = self._kept[0][rows] if self._kept else self._read(self.images[rows], images.shape[-2:])
        return found.to(images.device)

    def of(self, ids: Tensor) -> "StoredCell":
        """Return the same cell, of these images only."""
        return replace(self, images=self.images[self._rows(ids)], ids=ids.cpu())

    def keep(self, size: Sequence[int]) -> None:
        """Read its images into memory, once; they do not travel to other processes.

        Errors as in `apply`, for images of a size (H, W).
        """
        if not self._kept:
            self._kept.append(self._read(self.images, size))

    def _read(self, images: ArrayImages | Pictures, size: Sequence[int]) -> Tensor:
        self.check_size(size, images)
        return images.read()

    def _rows(self, ids: Tensor) -> Tensor:
        order = self.ids.argsort()
        return order[torch.searchsorted(self.ids[order], ids.cpu())]

    def check_size(self, size: Sequence[int], images: ArrayImages | Pictures | None = None) -> None:
        """Refuse stored images whose size is not (H, W), as of the clean images; by default, check one."""
        some = self.images[:1] if images is None else images
        if some.shape[-2:] == tuple(size):
            return
        if isinstance(some, ArrayImages):
            raise InputError(
                f"{self.corruption}: stored arrays are shown as they are, without --resize and --crop; "
                "for networks of larger images they are enlarged anyway."
            )
        assert not isinstance(some.sources, Tensor)
        found, wanted = (" x ".join(map(str, pair)) for pair in (some.shape[-2:], size))
        raise InputError(
            f"{some.sources[0]}: has {found} pixels, the clean images have {wanted}; match them with "
            "--resize and --crop, or apply these to the stored images too with --resize-corrupted."
        )


@dataclass(frozen=True, eq=False)
class StoredSuite:
    """All corruptions in a folder; used like `corruptions.Suite`.

    Attributes
    ----------
    name
        "files:FOLDER".
    cells
        Sorted by corruption, then severity.
    codec
        How the images are stored: "npy" (exact), "png" (exact), "jpeg", ...
    files
        The arrays that were read, for the hash; empty if the cells are pictures.
    """

    name: str
    cells: tuple[StoredCell, ...]
    codec: str
    files: tuple[Path, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        keys = [(cell.corruption, cell.severity) for cell in self.cells]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise InputError(f"{self.name}: {twice[0]} at severity {twice[1]:g} is there twice.")
        for name, _ in keys:
            if len(name) > _NAME or not name.isprintable():
                raise InputError(
                    f"{self.name}: expected corruption names of at most {_NAME} characters, got {name!r:.60}."
                )
        if any(name == CLEAN for name, _ in keys):
            raise InputError(f"{self.name}: the name {CLEAN!r} is reserved for the clean images.")

    @cached_property
    def size(self) -> int:
        """Bytes of all pictures."""
        return sum(sum(files.sizes) for _, files in self._pictures())

    @property
    def whole(self) -> bool:
        """Whether the pictures are few enough (4 GiB) to be read entirely before they are used."""
        return self.size <= _WHOLE

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the chosen cells and their files' names and bytes (sizes, if pictures exceed 4 GiB)."""
        digest = hashlib.sha256(repr([(cell.corruption, cell.severity) for cell in self.cells]).encode())
        for path in self.files:
            with path.open("rb") as file:
                digest.update(encodable(path.name).encode() + hashlib.file_digest(file, "sha256").digest())
        names: Sequence[str] = ()
        lines: list[bytes] = []
        for pictures, files in self._pictures():
            if files.names is not names:
                names, lines = files.names, [encodable(f"{name}\n").encode() for name in files.names]
            contents = pictures.digests() if self.whole else map(_digest_of_size, files.sizes)
            digest.update(b"".join(chain.from_iterable(zip(lines, contents, strict=True))))
        return digest.hexdigest()

    def _pictures(self) -> Iterator[tuple[Pictures, Files]]:
        for cell in self.cells:
            if isinstance(cell.images, Pictures):
                assert isinstance(cell.images.sources, Files)  # a layout is a folder of files
                yield cell.images, cell.images.sources

    @property
    def corruptions(self) -> tuple[str, ...]:
        """The names of the corruptions, in order."""
        return tuple(dict.fromkeys(cell.corruption for cell in self.cells))

    @property
    def severities(self) -> tuple[float, ...]:
        """The severities of the cells, ascending."""
        return tuple(sorted({cell.severity for cell in self.cells}))

    def with_severities(self, severities: Iterable[float]) -> "StoredSuite":
        """Return the cells at these severities; an InputError if the files lack one of them."""
        chosen = tuple(severities)
        for severity in chosen:
            if severity not in self.severities:
                stored = ", ".join(f"{value:g}" for value in self.severities)
                raise InputError(f"{self.name}: has severities {stored}, not {severity:g}.")
        return replace(self, cells=tuple(cell for cell in self.cells if cell.severity in chosen))

    def resolve_table(self, height: int, width: int) -> str:
        """Return the entry for the column `table` of results, in place of a table of constants."""
        return f"{self.codec} files"

    def with_view(self, view: View) -> "StoredSuite":
        """Return the same pictures through a view; an InputError if they are arrays."""
        cells = []
        for cell in self.cells:
            if not isinstance(cell.images, Pictures):
                raise InputError(f"{self.name}: --resize-corrupted does not apply to arrays.")
            cells.append(replace(cell, images=cell.images.with_view(view)))
        return replace(self, cells=tuple(cells))

    def check(self, ids: Tensor) -> None:
        """Decode every picture of these images once; an InputError names those that cannot be read."""
        problems = [(source, reason) for _, source, reason in self.unreadable(ids)]
        if problems:
            raise unreadable(problems, of=sum(len(cell.ids) for cell in self.cells))

    def unreadable(self, ids: Tensor) -> Iterator[tuple[int, Source, str]]:
        """Yield the pictures of these images that cannot be read: the image's id, the picture, the reason."""
        for cell in self.cells:
            if isinstance(cell.images, Pictures):
                wanted = torch.isin(cell.ids, ids)
                pictures, numbers = cell.images[wanted], cell.ids[wanted].tolist()
                problems = pictures.check()
                for source, number in zip(pictures.sources, numbers, strict=True):
                    if source in problems:
                        yield number, source, problems[source]


@lru_cache(2**20)
def _digest_of_size(size: int) -> bytes:
    return hashlib.sha256(str(size).encode()).digest()
