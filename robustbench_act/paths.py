"""Paths as people write them: the home folder, patterns, hidden files, names of folders."""

import os
import re
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

from robustbench_act.errors import InputError
from robustbench_act.texts import encodable

_SYSTEM = ("__MACOSX", "@eaDir")  # folders of copies that macOS's archives and network drives make


SOURCES = ("transformers", "onnx")
"""Words before a path and a colon: the network there is not a file of weights, but another library's."""


def split_source(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Split a path such as transformers:nets/vit into its source, one of `SOURCES`, and the rest.

    The source of any other path is "".

    >>> split_source("transformers:nets/vit"), split_source(Path("nets/vit"))
    (('transformers', 'nets/vit'), ('', 'nets/vit'))
    """
    text = os.fspath(path)
    source, colon, rest = text.partition(":")
    return (source, rest) if colon and source in SOURCES else ("", text)


def with_source(source: str, path: str | os.PathLike[str]) -> str:
    """Return a path behind its source, as `split_source` takes it apart."""
    return f"{source}:{os.fspath(path)}" if source else os.fspath(path)


def expand(path: str | os.PathLike[str]) -> Path:
    """Return a path with `~` and `~name` as the home folder; an InputError if there is no such home.

    A source in front of it stays there.

    >>> expand("~/nets") == Path.home() / "nets", expand("a~b")
    (True, PosixPath('a~b'))
    """
    source, rest = split_source(path)
    try:
        return Path(with_source(source, Path(rest).expanduser()))
    except RuntimeError as error:
        raise InputError(f"{path}: expected a path, but the home folder of ~ is not known.") from error


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is hidden, or one that a system puts among people's own.

    >>> is_hidden("._cat.jpg"), is_hidden("__MACOSX"), is_hidden("cat.jpg")
    (True, True, False)
    """
    return name.startswith(".") or name in _SYSTEM


def listed(folder: Path, pattern: str) -> list[Path]:
    """Return what a pattern matches below a folder, sorted; hidden files and folders only if it names one.

    Unlike `glob.glob`, ** follows no links.
    """
    found = sorted(folder.glob(pattern))
    if any(map(is_hidden, Path(pattern).parts)):
        return found
    return [path for path in found if not any(map(is_hidden, path.relative_to(folder).parts))]


def files_at(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files with these suffixes in a folder (with subfolders), or those that a pattern matches.

    Sorted; none if nothing is there. Raises what the system or `glob` raises for a path that cannot be.
    """
    if path.is_dir():
        found = listed(path, "**/*")
    else:
        magic = [place for place, part in enumerate(path.parts) if has_magic(part)]
        start = magic[0] if magic else len(path.parts) - 1
        found = listed(Path(*path.parts[:start]), str(Path(*path.parts[start:])))
    return [file for file in found if file.name.endswith(suffixes) and file.is_file()]


def braced(pattern: str) -> list[str]:
    """Return the texts that a shell makes of braces, {first..last} and {one,other}; the text if it has none.

    >>> braced("train-{08..10}.tar"), braced("{a,b}.tar"), braced("{a}.tar")
    (['train-08.tar', 'train-09.tar', 'train-10.tar'], ['a.tar', 'b.tar'], ['{a}.tar'])
    """
    found = re.search(r"\{(?:(\d{1,6})\.\.(\d{1,6})|([^{}]*,[^{}]*))\}", pattern)
    if found is None:
        return [pattern]
    first, last, listing = found.groups()
    if listing is None:
        members = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    else:
        members = listing.split(",")
    return [
        text for one in members for text in braced(pattern[: found.start()] + one + pattern[found.end() :])
    ]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return what folders are called: their names, with as many of those above as tell them apart.

    >>> distinct_names([Path("/a/run"), Path("/b/run")]), distinct_names([Path("/old"), Path("/new")])
    (['a/run', 'b/run'], ['old', 'new'])
    """
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return [encodable("/".join(path.parts[-depth:])) for path in paths]
