"""The request that a loader of data sets gets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from robustbench_act.datasets.catalogue import FILES
from robustbench_act.datasets.pictures import WORKERS
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import kind_of

OnItems: TypeAlias = Callable[[str, int], Callable[[int], None]]
"""Called before all items of a set are looked at, with what is done and their number.

It returns what is called with each number done."""


def quietly(what: str, count: int) -> Callable[[int], None]:
    """Say nothing of what is done with so many items: see `OnItems`."""
    return lambda done: None


@dataclass(frozen=True)
class Request:
    """Which part of a set, from where, and how to read it.

    `root` is the folder or file that was named, or None; for the other fields see `load_dataset`.
    """

    root: Path | None = None
    train: bool = False
    workers: int = WORKERS
    on_items: OnItems = quietly

    @property
    def folder(self) -> Path:
        """The root; `data` if none was named. An InputError if it is a file."""
        if self.root is not None and self.root.is_file():
            kind = kind_of(self.root)
            hint = f"; name it as {FILES[self.root.suffix]}:{self.root}" if self.root.suffix in FILES else ""
            what = f" ({kind})" if kind and not hint else ""
            raise InputError(f"{self.root}: expected a folder, got a file{what}{hint}.")
        return self.root or Path("data")

    def existing_folder(self, name: str) -> Path:
        """Return the root of the data set `name`; an InputError unless it is a folder."""
        if not self.folder.is_dir():
            raise InputError(
                f"Dataset {name!r}: expected the folder {self.folder}, which does not exist; "
                f"name it as {name}:ROOT."
            )
        return self.folder


class MissingDataError(InputError):
    """Files of a set do not exist; perhaps they can be downloaded."""


def download(name: str, of: str, root: Path) -> None:
    """Let torchvision's class `name` download the data set called `of` into a folder.

    An InputError says why it fails.
    """
    from torchvision import datasets  # noqa: PLC0415 - takes a second to load

    try:
        getattr(datasets, name)(str(root), download=True)
    except Exception as error:  # servers, disks and archives fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"Dataset {of!r}: the download into {root} failed: {reason}") from error
