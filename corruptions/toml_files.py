"""TOML files that users write."""

import tomllib
from pathlib import Path
from typing import Any

from .errors import InputError

_LARGEST = 2**20  # bytes


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """Return the content of a file that is expected to hold `what`; an InputError if it is not TOML.

    >>> read_toml(Path("missing.toml"), what="a manifest")
    Traceback (most recent call last):
    corruptions.errors.InputError: missing.toml: cannot be read (No such file or directory).
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: expected {what} of at most {_LARGEST:,} bytes.")
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:  # ValueErrors are also those of TOML and of UTF-8
        raise InputError(f"{path}: is not TOML ({error!s:.200}).") from error
