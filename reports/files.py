"""Files of a report: whole or not at all."""

from pathlib import Path

from reports.errors import ReportError
from robustbench_act.atomic_files import write_atomically


def write(target: Path, data: bytes) -> Path:
    """Write a file and return its path.

    Raises
    ------
    ReportError
        It cannot be written.
    """
    try:
        write_atomically(target, data)
    except OSError as error:
        raise ReportError(f"cannot write {target}: {error.strerror or error}") from error
    return target
