"""Folders of pictures: ImageNet, Tiny-ImageNet, your own.

ImageNet (https://image-net.org/challenges/LSVRC/2012) sorted as torchvision reads it: ROOT/val/SYNSET/*.JPEG;
or flat, as in its archive.
Tiny-ImageNet (http://cs231n.stanford.edu/tiny-imagenet-200.zip): wnids.txt, val/images/*.JPEG with
val/val_annotations.txt, train/SYNSET/images/*.JPEG; or sorted, val/SYNSET/*.JPEG or val/SYNSET/images/*.JPEG.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from robustbench_act.datasets.class_order import STRING, doubt_about
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.ground_truth import flat_classes
from robustbench_act.datasets.normalisations import USUAL, usual_of_pictures
from robustbench_act.datasets.pictures import Pictures, channels_of, is_picture
from robustbench_act.datasets.request import Request
from robustbench_act.datasets.sources import Files, Source
from robustbench_act.datasets.text_files import read_text
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import kind_of
from robustbench_act.paths import is_hidden
from robustbench_act.view import View

_KAGGLE = "ILSVRC/Data/CLS-LOC"  # in the archive of Kaggle's competition
_IMAGES = "images"  # the folder in a class folder that may have its pictures
_HOMES = ("images", "{}/images", "{}", "images/{}")  # folders of a class that val_annotations.txt names
TRAINING = "train"
TESTS = ("test", "val", "valid", "validation")
"""Folders of a data set's parts; of several test parts, the first."""

_VIEWS = {
    "imagenet": View(resize=256, crop=224, source="usual for ImageNet"),
    "tiny-imagenet": View(crop=64, source="the set's size"),
}


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """Return the WordNet ids of the 1,000 classes of ILSVRC 2012, in the order of the labels.

    The ids are sorted, as for the networks of torchvision and timm.

    >>> len(imagenet_synsets()), imagenet_synsets()[0]
    (1000, 'n01440764')
    """
    text = (resources.files("robustbench_act") / "assets" / "imagenet-synsets.txt").read_text("ascii")
    return tuple(text.split())


class Tree(Protocol):
    """A folder or what is in one; every `Path` is a tree."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def is_dir(self) -> bool:
        """Tell whether it is a folder."""

    def is_symlink(self) -> bool:
        """Tell whether it is a link."""

    def iterdir(self) -> Iterator[Self]:
        """Yield what is in a folder."""

    def __truediv__(self, key: str, /) -> Self: ...


_Tree = TypeVar("_Tree", bound=Tree)


def load_folder(request: Request) -> Dataset:
    """Load any folder of pictures; see `load_tree`."""
    root = request.existing_folder("folder")
    return load_tree("folder", root.resolve().name, root, Files, request)


def load_tree(
    kind: str,
    name: str,
    root: _Tree,
    files: Callable[[_Tree, list[str]], Sequence[Source]],
    request: Request,
) -> Dataset:
    """Load pictures from ROOT/CLASS/*, classes sorted by name; or from ROOT/*, without labels.

    If ROOT has the parts train and test (or val, valid, validation) in its place, one of them. `files` makes
    sources of a folder and names in it.
    """
    folder, found, plain = root, _by_class(root), _pictures(root)
    classes = tuple(found)
    if not found and not plain:
        folder, found, classes = _part_of(kind, root, request.train)
    if bool(found) == bool(plain):
        what = "both" if plain else f"neither{_instead(root)}"
        raise InputError(
            f"Dataset {kind!r}: expected pictures in {root} (no labels) or in class folders, found {what}."
        )
    sources = files(folder, plain or [name for members in found.values() for name in members])
    channels = channels_of(sources, request.workers)
    mean, std = usual_of_pictures(channels)
    return Dataset(
        name,
        Pictures(sources, View(source="as it is"), channels, request.workers),
        _labels(found, classes) if found else None,
        torch.arange(len(sources)),
        classes,
        mean,
        std,
        total=len(sources),
        class_order=STRING if found else "",
        order_doubt=doubt_about(classes),
    )


def _part_of(kind: str, root: _Tree, train: bool) -> tuple[_Tree, dict[str, list[str]], tuple[str, ...]]:
    """Return the part of a folder that has parts, its pictures by class, and the classes of both parts.

    The classes are those of the training part, if there is one. An InputError if it lacks one of the other's,
    or the part is missing; without parts, there are no pictures.
    """
    trained = _by_class(root / TRAINING)
    tested = next(((name, found) for name in TESTS if (found := _by_class(root / name))), None)
    if trained and train:
        return root / TRAINING, trained, tuple(trained)
    if trained and tested is None:
        raise InputError(
            f"Dataset {kind!r}: expected class folders in {root / TESTS[0]}, next to {TRAINING}, found none; "
            f"name {root / TRAINING} itself for a part of its images."
        )
    name, found = tested or ("", {})
    new = [of for of in found if trained and of not in trained]
    if new:
        raise InputError(f"{root / name / new[0]}: expected a class of {root / TRAINING}, which lacks it.")
    return root / name, found, tuple(trained or found)


def load_imagenet(request: Request) -> Dataset:
    """Load the validation part of ImageNet (or `train`), or some of its classes, from ROOT/val/SYNSET.

    Labels number all 1,000 classes, even if some have no folder. The validation pictures may be in one
    folder, with their labels in a file: see `ground_truth.flat_classes`.
    """
    root = request.existing_folder("imagenet")
    part = "train" if request.train else "val"
    folder = next((home for home in (root / part, root / _KAGGLE / part) if home.is_dir()), root)
    found = _by_class(folder)
    if not found and not request.train and (names := _pictures(folder)):
        found = flat_classes(root, folder, names)
    return _synset_folders("imagenet", folder, found, imagenet_synsets(), request)


def load_tiny_imagenet(request: Request) -> Dataset:
    """Load the validation part of Tiny-ImageNet (or `train`), classes sorted by WordNet id."""
    root = request.existing_folder("tiny-imagenet")
    root = root / "tiny-imagenet-200" if (root / "tiny-imagenet-200").is_dir() else root
    listed = root / "wnids.txt"
    if not listed.is_file():
        raise InputError(f"Dataset 'tiny-imagenet': expected {listed}, which does not exist.")
    synsets = tuple(sorted(read_text(listed).split()))
    folder = root / ("train" if request.train else "val")
    annotations = folder / "val_annotations.txt"
    found = _annotated(annotations) if annotations.is_file() else _by_class(folder)
    return _synset_folders("tiny-imagenet", folder, found, synsets, request)


def _synset_folders(
    name: str, folder: Path, found: dict[str, list[str]], synsets: Sequence[str], request: Request
) -> Dataset:
    unknown = sorted(set(found) - set(synsets))
    if unknown or not found:
        what = f"the class {unknown[0]!r}" if unknown else "none"
        raise InputError(
            f"Dataset {name!r}: expected class folders of pictures in {folder}, named like {synsets[0]}, "
            f"got {what}."
        )
    files = Files(folder, [file for members in found.values() for file in members])
    pictures = Pictures(files, _VIEWS[name], workers=request.workers)
    labels, ids = _labels(found, synsets), _ids(files.names)
    mean, std = USUAL[name]
    return Dataset(name, pictures, labels, ids, tuple(synsets), mean, std, total=len(files))


def _labels(found: dict[str, list[str]], classes: Sequence[str]) -> Tensor:
    place = {name: label for label, name in enumerate(classes)}
    return torch.tensor([place[of] for of, members in found.items() for _ in members])


def _ids(names: Sequence[str]) -> Tensor:
    """Return the numbers that a published set gives its images; their places if it gives none."""
    found = [re.search(r"val_(\d+)\.", name) for name in names]
    numbers = [int(match[1]) for match in found if match]
    published = len(set(numbers)) == len(names)
    return torch.tensor(numbers) if published else torch.arange(len(names))


def _by_class(folder: Tree) -> dict[str, list[str]]:
    """Return the pictures of each class folder and of its folder `images`, as CLASS/.../NAME, sorted.

    Raises InputError if a class has no pictures, because labels would shift; or if it has some, no folder
    `images`, and more pictures in another folder, which would be left out.
    """
    if not folder.is_dir():
        return {}
    classes = sorted(entry.name for entry in folder.iterdir() if not is_hidden(entry.name) and entry.is_dir())
    found = {}
    for name in classes:
        homes = [home for home in (name, f"{name}/{_IMAGES}") if (folder / home).is_dir()]
        found[name] = [f"{home}/{file}" for home in homes for file in _pictures(folder / home)]
        if homes == [name] and found[name] and (deeper := _first_below(folder / name)):
            raise InputError(
                f"{deeper}: expected the pictures of class {name!r} in {folder / name} itself, where others "
                "are: move it there, or out of the folder of the class."
            )
    empty = [name for name, members in found.items() if not members]
    if empty and len(empty) < len(found):
        raise InputError(
            f"{folder / empty[0]}: expected pictures of this class, found none{_instead(folder / empty[0])}."
        )
    return {name: members for name, members in found.items() if members}


def _instead(folder: Tree) -> str:
    """Return the first file in a folder without pictures, and what it is; "" if that is not known."""
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not is_hidden(file.name) and not file.is_dir():
            kind = kind_of(file) if isinstance(file, Path) else None
            return f", but {file.name}{f' ({kind})' if kind else ''}"
    return ""


def holds_pictures(folder: Tree) -> bool:
    """Tell whether there are pictures in a folder or in its folder `images`."""
    inner = folder / _IMAGES
    return bool(_pictures(folder) or (inner.is_dir() and _pictures(inner)))


def _pictures(folder: Tree) -> list[str]:
    """Return the names of the pictures in a folder, sorted; links to nowhere too, which cannot be read."""
    return sorted(entry.name for entry in folder.iterdir() if is_picture(entry.name) and not entry.is_dir())


def _first_below(folder: _Tree) -> _Tree | None:
    """Return a picture from the subfolders of a folder, or None; links are not followed."""
    for home in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not is_picture(home.name) and home.is_dir() and not (home.is_symlink() or is_hidden(home.name)):
            if pictures := _pictures(home):
                return home / pictures[0]
            if (deeper := _first_below(home)) is not None:
                return deeper
    return None


def _annotated(path: Path) -> dict[str, list[str]]:
    """Return the pictures of each class in val_annotations.txt; each line has a file, its class and a box.

    They may have been sorted into class folders since: the usual scripts leave the file there.
    """
    found: dict[str, list[str]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) < 2 or not all(re.fullmatch(r"\w[\w.-]*", field) for field in fields[:2]):
            raise InputError(f"{path}: line {number}: expected a file and its class, got {line[:40]!r}.")
        found.setdefault(fields[1], []).append(fields[0])
    first = next(((of, names[0]) for of, names in found.items()), ("", ""))
    homes = [home for home in _HOMES if (path.parent / home.format(first[0]) / first[1]).is_file()]
    home = homes[0] if homes else _HOMES[0]
    placed = {of: [f"{home.format(of)}/{name}" for name in sorted(found[of])] for of in sorted(found)}
    missing = [name for names in placed.values() for name in names if not (path.parent / name).is_file()]
    if missing:
        raise InputError(
            f"{path}: names {missing[0]}, which does not exist; copy it there or delete its line."
        )
    return placed
