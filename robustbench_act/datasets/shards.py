"""Files that hold many pictures each, with their labels: which files make a data set, and its classes."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robustbench_act.datasets.class_order import STRING, doubt_about
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.folders import TESTS, TRAINING
from robustbench_act.datasets.normalisations import usual_of_pictures
from robustbench_act.datasets.pictures import Pictures, channels_of
from robustbench_act.datasets.request import Request
from robustbench_act.datasets.sources import Source
from robustbench_act.errors import InputError
from robustbench_act.paths import braced, files_at
from robustbench_act.view import View


@dataclass(frozen=True)
class Shard:
    """The pictures of one file, in its order.

    Attributes
    ----------
    file
        The file.
    sources
        The pictures.
    labels
        For each picture its label, int64 (N,), or the name of its class; None without labels.
    classes
        The names of the classes that labels count, if the file lists them.
    """

    file: Path
    sources: Sequence[Source]
    labels: Tensor | Sequence[str] | None
    classes: tuple[str, ...] = ()

    @property
    def labelling(self) -> str:
        """What its labels are, in words."""
        if self.labels is None:
            return "no labels"
        return "numbers as labels" if isinstance(self.labels, Tensor) else "names as labels"


def load_shards(request: Request, kind: str, read: Callable[[Path], Shard]) -> Dataset:
    """Load the pictures of a file `*.kind`, of all such files in a folder, or of those a pattern matches.

    If files in a folder have the words train and test (or val, valid, validation) in their paths, one of the
    two parts. Names as labels count the classes in string order, as class folders do. An InputError if there
    are no files, one is damaged, or they do not fit together.
    """
    if request.root is None:
        raise InputError(f"Dataset {kind!r}: name the files as {kind}:FILES.")
    files = _files(request.root, kind)
    train, test = _parts(request.root, files) if request.root.is_dir() else ([], files)
    chosen = train if train and request.train else test
    if not chosen:
        raise InputError(
            f"{request.root}: expected files of the part {TESTS[0]}, as of {TRAINING}, found none; "
            f"name the files by a pattern, as in {kind}:{request.root / f'*.{kind}'}."
        )
    shards = _fitting([read(file) for file in chosen])
    sources = [source for shard in shards for source in shard.sources]
    classes, order, open_ended = shards[0].classes, "", False
    labels = _numbers(shards)
    if isinstance(shards[0].labels, Sequence):
        others = [read(file) for file in train] if not request.train else []
        classes, order = _names(others or shards), STRING
        labels = _places(shards, classes)
    elif labels is not None and not classes:
        classes, open_ended = tuple(map(str, range(int(labels.max()) + 1))), True
    channels = channels_of(sources, request.workers)
    mean, std = usual_of_pictures(channels)
    return Dataset(
        _name(request.root),
        Pictures(sources, View(source="as it is"), channels, request.workers),
        labels,
        torch.arange(len(sources)),
        classes,
        mean,
        std,
        total=len(sources),
        open_ended=open_ended,
        class_order=order,
        order_doubt=doubt_about(classes) if order else "",
    )


def _files(root: Path, kind: str) -> list[Path]:
    """Return the file, the files in the folder or those that the pattern matches; an InputError if none."""
    if root.is_file():
        return [root]
    suffix = f".{kind}"
    try:
        found = [file for pattern in braced(str(root)) for file in files_at(Path(pattern), (suffix,))]
    except (OSError, ValueError) as error:  # of the system and of patterns that cannot be
        raise InputError(f"{root}: cannot be searched for *{suffix} ({error}).") from error
    if not found:
        where = "this folder" if root.is_dir() else "a file, a folder or a pattern"
        raise InputError(f"{root}: expected *{suffix} in {where}, found none.")
    return found


def _parts(root: Path, files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files to train on and those to test on; without words in their paths, all are the latter."""
    parts: dict[str, list[Path]] = {}
    for file in files:
        words = re.findall("[a-z]+", str(file.relative_to(root)).lower())
        part = next((name for name in (TRAINING, *TESTS) if name in words), "")
        parts.setdefault(part, []).append(file)
    if set(parts) == {""}:
        return [], list(files)
    if "" in parts:
        raise InputError(
            f"{parts[''][0]}: expected the word {TRAINING} or {TESTS[0]} in its path, as others have in this "
            "folder; name the files by a pattern."
        )
    tested = next((parts[name] for name in TESTS if name in parts), [])
    return parts.get(TRAINING, []), tested


def _fitting(shards: list[Shard]) -> list[Shard]:
    """Refuse files of which one is empty, or has different labels or classes from the first."""
    first = shards[0]
    for shard in shards:
        if not shard.sources:
            raise InputError(f"{shard.file}: expected pictures, found none.")
        if shard.labelling != first.labelling:
            raise InputError(
                f"{shard.file}: expected {first.labelling}, as in {first.file}, got {shard.labelling}."
            )
        if shard.classes != first.classes:
            raise InputError(
                f"{shard.file}: expected the {len(first.classes)} classes of {first.file}, in their order, "
                f"got different ones ({len(shard.classes)})."
            )
    return shards


def _numbers(shards: Sequence[Shard]) -> Tensor | None:
    found = [shard.labels for shard in shards if isinstance(shard.labels, Tensor)]
    return torch.cat(found) if found else None


def _names(shards: Sequence[Shard]) -> tuple[str, ...]:
    return tuple(sorted({str(name) for shard in shards if shard.labels is not None for name in shard.labels}))


def _places(shards: Sequence[Shard], classes: Sequence[str]) -> Tensor:
    """Return the labels of pictures that have names of classes."""
    place = {name: label for label, name in enumerate(classes)}
    found = []
    for shard in shards:
        assert isinstance(shard.labels, Sequence)
        new = next((name for name in shard.labels if name not in place), None)
        if new is not None:
            raise InputError(f"{shard.file}: expected a class of the training part, which lacks {new!r}.")
        found += [place[name] for name in shard.labels]
    return torch.tensor(found)


def _name(root: Path) -> str:
    """Return a data set's name: that of its folder, of its one file, or of the folder of its pattern."""
    if root.is_dir():
        return root.resolve().name
    return root.stem if root.is_file() else root.resolve().parent.name
