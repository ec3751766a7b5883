"""Files of a report: whole or not at all."""

import re
from pathlib import Path

from reports.errors import ReportError
from robustbench_act.atomic_files import write_atomically


def write(target: Path, data: bytes) -> Path:
    """Write a file and return its path.

    Raises
    ------
    ReportError
        If it cannot be written.
    """
    try:
        write_atomically(target, data)
    except OSError as error:
        raise ReportError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def slug(name: str) -> str:
    """Return a name as a part of a file's name.

    >>> slug("fog [224]"), slug("../<evil>")
    ('fog-224', 'evil')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
