"""Tar archives of pictures with their labels, as WebDataset shards them: KEY.jpg with KEY.cls or KEY.json.

https://github.com/webdataset/webdataset: the files of a key follow each other; the key ends at the first dot
of the file's name.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import numpy as np

from robustbench_act.datasets.arrays import as_labels
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.pictures import is_picture
from robustbench_act.datasets.request import Request
from robustbench_act.datasets.shards import Shard, load_shards
from robustbench_act.errors import InputError, first_line
from robustbench_act.file_kinds import TAR, why_unreadable
from robustbench_act.paths import is_hidden

_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
_LABEL, _RECORD = "cls", "json"
_FIELDS = ("label", "cls")  # of a record
_MOST = 2**20  # bytes of a label, a record or a header
_LARGEST = 10**18
_LONGEST = 1000  # characters of the name of a class
_END = 2**16  # bytes that are looked at behind the last member


def load_tar(request: Request) -> Dataset:
    """Load a tar archive, those in a folder, or those that a pattern matches; see `load_shards`."""
    return load_shards(request, "tar", read_tar)


@dataclass(frozen=True, slots=True)
class Member:
    """A picture in a tar archive, at an offset in bytes; see `datasets.sources.Source`."""

    archive: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"

    @property
    def stem(self) -> str:
        """The name without folders and suffix."""
        return PurePosixPath(self.name).stem

    def read_bytes(self) -> bytes:
        """Return the encoded picture."""
        with self.archive.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError("the archive is shorter than when it was opened")
        return content


def read_tar(archive: Path) -> Shard:
    """List the pictures of a tar archive, in its order, and read their labels.

    An InputError if it is not whole, a key comes twice, or a picture or a label lacks the other.
    """
    samples = [_sample(archive, key, members) for key, members in _keys(archive)]
    found = [(picture, label) for picture, label in samples if picture is not None]
    pictures = [picture for picture, _ in found]
    given = [label for _, label in found if label is not None]
    if not given:
        _refuse_class_folders(archive, pictures)
        return Shard(archive, pictures, None)
    for picture, label in found:
        if label is None:
            raise InputError(f"{picture}: expected a label in KEY.{_LABEL} or KEY.{_RECORD}, found none.")
        if isinstance(label, str) != isinstance(given[0], str):
            raise InputError(f"{picture}: expected a label like {given[0]!r}, the first one, got {label!r}.")
    names = [label for label in given if isinstance(label, str)]
    labels = names or as_labels(np.array(given, np.int64), count=len(given), where=str(archive))
    return Shard(archive, pictures, labels)


def _keys(archive: Path) -> Iterator[tuple[str, dict[str, Member]]]:
    """Yield the files of each key, by what follows the first dot; those without a key are left out."""
    seen: set[str] = set()
    last, files = "", dict[str, Member]()
    for member in _members(archive):
        match = _KEY.fullmatch(member.name)
        if match is None or any(map(is_hidden, PurePosixPath(member.name).parts)):
            continue
        key, suffix = match.groups()
        if key != last:
            if files:
                yield last, files
            last, files = key, {}
            twice = key in seen
            seen.add(key)
        else:
            twice = suffix in files
        if twice:
            raise InputError(f"{member}: expected the files of each key once, together; found it again.")
        files[suffix] = member
    if files:
        yield last, files


def _sample(archive: Path, key: str, files: dict[str, Member]) -> tuple[Member | None, int | str | None]:
    """Return the picture among the files of a key and its label; None for what is not there."""
    pictures = [file for suffix, file in files.items() if "." not in suffix and is_picture(f"x.{suffix}")]
    if len(pictures) > 1:
        raise InputError(f"{archive}: {key}: expected one picture, found {len(pictures)}.")
    label: int | str | None = None
    if _LABEL in files:
        label = _label(files[_LABEL], _text(files[_LABEL]).strip())
    elif _RECORD in files:
        label = _recorded(files[_RECORD])
    if label is not None and not pictures:
        raise InputError(f"{archive}: {key}: expected a picture for this label, found none.")
    return (pictures[0] if pictures else None), label


def _label(file: Member, value: object) -> int | str:
    """Return a label: a whole number, also as text, or the name of a class."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return value
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise InputError(f"{file}: expected a whole number or the name of a class, got {value!r:.60}.")
    return int(value) if re.fullmatch(r"[+-]?[0-9]{1,18}", value) else value


def _recorded(file: Member) -> int | str | None:
    try:
        record = json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not a JSON record ({first_line(error)}).") from error
    values = [record[name] for name in _FIELDS if name in record] if isinstance(record, dict) else []
    return _label(file, values[0]) if values else None


def _text(file: Member) -> str:
    if file.size > _MOST:
        raise InputError(f"{file}: expected a label of a few bytes, got {file.size:,}.")
    try:
        return file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as text ({first_line(error)}).") from error


class _Bounded:
    """A file for `tarfile`, which reads as much as a header says: not more than _MOST bytes at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Return the next bytes; a ValueError if they are too many for a header."""
        if not 0 <= size <= _MOST:
            raise ValueError(f"a header of {size:,} bytes")
        return self._file.read(size)


def _members(archive: Path) -> Iterator[Member]:
    """Yield the files in an archive; an InputError if it is not one, or not whole."""
    last = "its beginning"
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=cast(Any, _Bounded(file)), mode="r:") as opened:
            for info in _headers(opened, archive.stat().st_size):
                if info.isreg() and not info.issparse():
                    yield Member(archive, info.name, info.offset_data, info.size)
                elif not info.isdir() and is_picture(PurePosixPath(info.name).name):
                    raise tarfile.ReadError(f"{info.name} is a link or has holes: pack the files themselves")
                last = info.name
            file.seek(opened.offset)
            _check_end(file.read(_END))
    except InputError:
        raise
    except Exception as error:  # a damaged archive makes its reader raise almost anything
        reason = why_unreadable(archive, error, TAR)
        raise InputError(f"{archive}: not a whole tar archive after {last} ({reason}).") from error


def _headers(opened: Any, size: int) -> Iterator[tarfile.TarInfo]:
    """Yield the headers of an archive of this size; a ReadError if content is missing."""
    before = -1
    while (info := opened.next()) is not None:
        opened.members.clear()  # it keeps them all
        if info.size < 0 or opened.offset <= before:  # such an archive has no end
            raise tarfile.ReadError("a file of a negative size")
        before = opened.offset
        if info.offset_data + info.size > size:
            raise tarfile.ReadError("unexpected end of data")
        yield info


def _check_end(end: bytes) -> None:
    """Refuse what follows the last member, unless it is zeros, at least a block: `tarfile` ignores it."""
    if end[: tarfile.BLOCKSIZE] != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end of the archive")
    if any(end):
        raise tarfile.ReadError("more after the end of the archive, as if archives were joined")


def _refuse_class_folders(archive: Path, pictures: list[Member]) -> None:
    homes = {PurePosixPath(picture.name).parent for picture in pictures}
    if len(homes) > 1:
        raise InputError(
            f"{archive}: expected labels in KEY.{_LABEL} or KEY.{_RECORD}, found folders of pictures; unpack "
            "it and name it as folder:ROOT."
        )
