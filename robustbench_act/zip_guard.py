"""Zip archives from anywhere, looked at before anything unpacks them."""

import zipfile
from pathlib import Path

from robustbench_act.errors import first_line

_LARGE = 2**28  # bytes; what unpacks to less is no danger
_EXPANSION = 200  # times its size: photographs shrink by 2, drawings by 20, bombs by 1,000


def member_names(path: Path) -> list[str]:
    """Return the names of an archive's members, none where the file is no archive.

    Raises
    ------
    ValueError
        Where the archive is damaged, or would unpack to far more than its size.
    """
    try:
        if not zipfile.is_zipfile(path):
            return []
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # a damaged archive makes its reader raise almost anything
        raise ValueError(first_line(error)) from error
    unpacked, packed = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > _LARGE and unpacked > _EXPANSION * packed:
        raise ValueError(f"unpacks to {unpacked:,} bytes from {packed:,}")
    return [member.filename for member in members]
