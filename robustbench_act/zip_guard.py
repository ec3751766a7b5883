"""Archives from anywhere, unpacked within bounds."""

import gzip
import zipfile
from pathlib import Path

from robustbench_act.errors import first_line

_LARGE = 2**28  # bytes; archives that unpack to less are harmless
_EXPANSION = 200  # times the packed size: photographs shrink 2-fold, drawings 20-fold, bombs 1,000-fold


def member_names(path: Path) -> list[str]:
    """Return the names of an archive's members; see `members`."""
    return [member.filename for member in members(path)]


def members(path: Path) -> list[zipfile.ZipInfo]:
    """Return the directory of an archive; nothing if the file is not an archive.

    A ValueError if the archive is damaged, or would unpack to far more than its size.
    """
    try:
        if not zipfile.is_zipfile(path):
            return []
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except Exception as error:  # a damaged archive makes its reader raise almost anything
        raise ValueError(first_line(error)) from error
    unpacked, packed = sum(member.file_size for member in found), path.stat().st_size
    if is_bomb(unpacked, packed):
        raise ValueError(f"unpacks to {unpacked:,} bytes from {packed:,}")
    return found


def is_bomb(unpacked: int, packed: int) -> bool:
    """Tell whether something unpacks to so many bytes, of so few, that its purpose is to fill memory."""
    return unpacked > _LARGE and unpacked > _EXPANSION * packed


def gunzip(path: Path) -> bytes:
    """Return the content of a gzip file; a ValueError if it is far more than the file's size."""
    packed = path.stat().st_size
    most = max(_LARGE, _EXPANSION * packed)
    with gzip.open(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"unpacks to more than {most:,} bytes from {packed:,}")
    return content
