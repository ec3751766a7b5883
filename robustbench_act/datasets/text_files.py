"""Lists in text files that come with data sets."""

from pathlib import Path

from robustbench_act.errors import InputError


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, without a byte order mark; an InputError if it cannot be read."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as text.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read as text: save it in UTF-8.") from error
