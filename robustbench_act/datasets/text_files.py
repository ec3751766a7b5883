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


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of classes in a file, one in each line; empty lines may only be at the end.

    An InputError for a name that is there twice.
    """
    names = [line.strip() for line in read_text(path).rstrip().split("\n")]
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name or name in seen:
            got = f"{name!r}, as in line {seen[name]}" if name else "an empty line"
            raise InputError(f"{path}: line {number}: expected the name of one more class, got {got}.")
        seen[name] = number
    return tuple(names)
