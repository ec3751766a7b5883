"""Zip archives of class folders: read where they are, by the rules of `folders`."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.folders import holds_pictures, load_tree
from robustbench_act.datasets.request import Request
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import ZIP, why_unreadable
from robustbench_act.paths import is_hidden
from robustbench_act.zip_guard import is_bomb, members

_HEADER = struct.Struct("<4s22xHH")  # of a member: signature, lengths of the name and of what follows it
_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 1  # of a member's flags
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DEEPEST = 64


def load_zip(request: Request) -> Dataset:
    """Load a zip archive of pictures in class folders, in its parts or without labels, as `load_folder` does.

    All of it may be in one folder, as archives of a folder are.
    """
    if request.root is None or not request.root.is_file():
        where = "name the archive as zip:FILE" if request.root is None else f"{request.root} is not a file"
        raise InputError(f"Dataset 'zip': expected a zip archive; {where}.")
    root = _opened(request.root)
    while (inner := _lone_folder(root)) is not None:
        root = inner
    return load_tree("zip", request.root.stem, root, _members, request)


@dataclass(frozen=True, slots=True)
class Member:
    """A picture in a zip archive; see `datasets.sources.Source`.

    Attributes
    ----------
    header
        Offset of its header, in bytes.
    packed, size
        Bytes in the archive and unpacked.
    deflated
        Whether it is compressed.
    checksum
        CRC-32 of the unpacked bytes.
    """

    archive: Path
    name: str
    header: int
    packed: int
    size: int
    deflated: bool
    checksum: int

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"

    @property
    def stem(self) -> str:
        """The name without folders and suffix."""
        return PurePosixPath(self.name).stem

    def read_bytes(self) -> bytes:
        """Return the encoded picture; an OSError if it is damaged."""
        with self.archive.open("rb") as file:
            file.seek(self.header)
            head = file.read(_HEADER.size)
            signature, name, extra = _HEADER.unpack(head.ljust(_HEADER.size))
            file.seek(name + extra, 1)
            content = file.read(self.packed)
        try:
            if self.deflated:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, self.size + 1)
        except zlib.error as error:
            raise OSError(f"damaged in the archive: {error}") from error
        if signature != _SIGNATURE or len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise OSError("damaged in the archive: its checksum differs")
        return content


@dataclass(frozen=True)
class Entry:
    """A file or folder in an archive, with as much of a `Path` as `folders` needs.

    `content` is a folder's by name, a file's member, or None if there is nothing of this name.
    """

    archive: Path
    path: PurePosixPath
    content: "dict[str, Content] | Member | None"

    def __str__(self) -> str:
        return f"{self.archive}: {self.path}" if self.path.parts else str(self.archive)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.name

    def is_dir(self) -> bool:
        """Tell whether it is a folder."""
        return isinstance(self.content, dict)

    def is_symlink(self) -> bool:
        """Tell that it is not a link: a link in an archive is a file that names another."""
        return False

    def iterdir(self) -> Iterator[Self]:
        """Yield what is in a folder."""
        assert isinstance(self.content, dict)
        return (self / name for name in self.content)

    def __truediv__(self, key: str) -> Self:
        content: Content | None = self.content
        for name in PurePosixPath(key).parts:
            content = content.get(name) if isinstance(content, dict) else None
        return type(self)(self.archive, self.path / key, content)


Content = dict[str, "Content"] | Member


def _members(folder: Entry, names: list[str]) -> list[Member]:
    found = [(folder / name).content for name in names]
    return [member for member in found if isinstance(member, Member)]


def _lone_folder(root: Entry) -> Entry | None:
    """Return the one folder in a folder if the class folders or the parts are in it, not the pictures."""
    visible = [entry for entry in root.iterdir() if not is_hidden(entry.name)]
    if len(visible) != 1 or not visible[0].is_dir() or holds_pictures(visible[0]):
        return None
    return visible[0]


def _opened(archive: Path) -> Entry:
    """List an archive; an InputError if it is not one, is damaged, or holds what is not read."""
    try:
        found = members(archive)
        if not found:
            raise ValueError("an archive of nothing" if zipfile.is_zipfile(archive) else "not an archive")
    except Exception as error:  # a damaged archive makes its reader raise almost anything
        reason = why_unreadable(archive, error, ZIP)
        raise InputError(f"{archive}: not a whole zip archive ({reason}).") from error
    tree: dict[str, Content] = {}
    size = archive.stat().st_size
    for info in found:
        if (problem := _problem(info, size)) is not None:
            raise InputError(f"{archive}: {info.filename!r:.100}: {problem}.")
        *homes, name = PurePosixPath(info.filename).parts
        folder: Content | None = tree
        for home in [*homes, name] if info.is_dir() else homes:
            folder = folder.setdefault(home, {}) if isinstance(folder, dict) else None
        if not isinstance(folder, dict) or (not info.is_dir() and name in folder):
            raise InputError(f"{archive}: {info.filename!r:.100}: expected each name once, found it twice.")
        if not info.is_dir():
            deflated = info.compress_type == zipfile.ZIP_DEFLATED
            place = info.header_offset, info.compress_size, info.file_size
            folder[name] = Member(archive, info.filename, *place, deflated, info.CRC)
    return Entry(archive, PurePosixPath(), tree)


def _problem(info: zipfile.ZipInfo, size: int) -> str | None:
    """Return why a member of an archive of this size cannot be read, or None."""
    path = PurePosixPath(info.filename)
    outside = path.is_absolute() or {"..", "\\", ":"} & {*path.parts, *info.filename}
    packed = info.compress_size
    problems = {
        "expected a name inside the archive": outside or not path.parts,
        f"expected at most {_DEEPEST} folders in each other": len(path.parts) > _DEEPEST,
        "is encrypted: unpack it with its password": info.flag_bits & _ENCRYPTED,
        "expected a stored or deflated file: pack it again with `zip -r`": info.compress_type not in _PACKED,
        "lies behind the end of the archive: copy or download it again": info.header_offset + packed > size,
        f"unpacks to {info.file_size:,} bytes from {packed:,}": is_bomb(info.file_size, packed),
    }
    return next((problem for problem, found in problems.items() if found), None)
