"""Where a picture comes from: a file, a row of a table, a member of an archive, an item of a user's data."""

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, overload

from robustbench_act.errors import InputError, first_line


class Source(Protocol):
    """One picture, encoded in a format that Pillow reads. Every `Path` is a source.

    str() names it in messages, e.g. "train.parquet row 17". It is hashable, equal to a source of the same
    picture, and small: data sets hold one for each image and send them to other processes, so it keeps no
    file open. It is read from several threads at once. One that knows mode and size without the whole picture
    has `read_head() -> bytes` too.
    """

    @property
    def stem(self) -> str:
        """The name of the files that are made from it, without their suffix."""

    def read_bytes(self) -> bytes:
        """Return the encoded picture; an OSError says why it cannot be read."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Files(Sequence[Path]):
    """Files below one folder; only their names are kept, once: a published set has millions.

    `sizes` are their bytes, or nothing if nobody asked.
    """

    root: Path
    names: Sequence[str]
    sizes: Sequence[int] = field(default=(), compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "root": self.root.absolute()}  # other processes may be in a different folder

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> "Files": ...
    def __getitem__(self, index: int | slice) -> "Path | Files":
        if isinstance(index, slice):
            return Files(self.root, self.names[index], self.sizes[index])
        return self.root / self.names[index]

    def at(self, places: Iterable[int]) -> "Files":
        """Return the files at these places."""
        return Files(self.root, [self.names[place] for place in places])


def opened(source: Source) -> BinaryIO:
    """Return the encoded picture as a stream, for readers that need only its first bytes."""
    if isinstance(source, Path):
        return source.open("rb")
    read: Callable[[], bytes] = getattr(source, "read_head", source.read_bytes)
    return io.BytesIO(read())


def size_of(source: Source) -> int:
    """Return the number of bytes of the encoded picture; an InputError if it cannot be read."""
    try:
        return source.stat().st_size if isinstance(source, Path) else len(source.read_bytes())
    except OSError as error:
        raise _lost(source, error) from error


def digest_of(source: Source) -> bytes:
    """Return the SHA-256 of the encoded picture; an InputError if it cannot be read."""
    try:
        return hashlib.sha256(source.read_bytes()).digest()
    except OSError as error:
        raise _lost(source, error) from error


def _lost(source: Source, error: OSError) -> InputError:
    return InputError(f"{source}: cannot be read ({error.strerror or first_line(error)}).")
