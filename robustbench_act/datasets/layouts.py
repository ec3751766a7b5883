"""Layouts of corrupted images in files, each paired with the clean images.

CIFAR-10-C (https://zenodo.org/records/2535967): NAME.npy for each corruption, uint8 (severities x N, H, W,
C), severity by severity, each N images in the order of the clean set; labels.npy, (severities x N,).

MNIST-C (https://zenodo.org/records/3239543): NAME/test_images.npy, uint8 (N, H, W, C), and
NAME/test_labels.npy, one severity; the clean images are in `identity`.

ImageNet-C (https://zenodo.org/records/2235448) and Tiny-ImageNet-C (https://zenodo.org/records/2536630):
NAME/SEVERITY/CLASS/FILE, one picture each, paired by class and by the file's name or the number at its end;
NAME may be in the folder of its group, as in the archives.

`actrobust generate` writes the first and the third layout; generated.json lists the severities of the arrays.
"""

import json
import os
import re
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corruptions.severity import SEVERITIES
from robustbench_act.datasets.arrays import ArrayImages, open_npy
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.pictures import Pictures, is_picture
from robustbench_act.datasets.precomputed import StoredCell, StoredSuite
from robustbench_act.datasets.request import OnItems, quietly
from robustbench_act.datasets.sources import Files
from robustbench_act.errors import InputError
from robustbench_act.paths import expand, is_hidden, listed
from robustbench_act.view import View

IDENTITY = "identity"
"""The folder of MNIST-C that holds the clean images."""

UNLABELLED = "unlabelled"
"""The class folder of images without labels."""

GENERATED = "generated.json"
LABELS = "labels.npy"
_SLOW = 5e-5  # seconds to list a picture: more than disks of the machine itself take (5e-6 to 2e-5), so that
_THREADS = 8  # threads pay off; otherwise they take twice as long as one
_CODECS = {"jpg": "jpeg", "tif": "tiff", "pgm": "ppm"}


def pair_corrupted(clean: Dataset, folder: str | Path, *, on_items: OnItems = quietly) -> Dataset:
    """Return a data set with corrupted versions of its images, from files in one of the layouts above.

    Pair the whole set; take a subset afterwards. Pictures are shown as they are; see `Dataset.with_view`.
    `on_items` is told of pictures that are listed.

    Raises
    ------
    InputError
        For a missing or damaged file, a wrong shape or number of images, or labels that do not pair.
    """
    return replace(clean, stored=open_stored(expand(folder), clean, on_items))


def open_stored(folder: Path, clean: Dataset, on_items: OnItems = quietly) -> StoredSuite:
    """Open the corrupted versions of a whole data set; see `pair_corrupted`."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder}: expected a folder of corrupted images, such as CIFAR-10-C; it {what}.")
    arrays = [path for path in listed(folder, "*.npy") if path.name != LABELS]
    digits = [path.parent for path in listed(folder, "*/test_images.npy") if path.parent.name != IDENTITY]
    if arrays:
        suite = _open_arrays(folder, arrays, clean)
    elif digits:
        suite = _open_digits(folder, digits, clean)
    else:
        suite = _open_pictures(folder, clean, on_items)
    for name in suite.corruptions:
        own = {cell.severity for cell in suite.cells if cell.corruption == name}
        lacking = sorted({*suite.severities} - own)
        if lacking:
            raise InputError(f"{folder}: {name} has no severity {lacking[0]:g}, but others do.")
    missing = sorted({*_generated(folder).get("corruptions", ())} - {*suite.corruptions})
    if missing:
        raise InputError(f"{folder}: {missing[0]} is unfinished; run `actrobust generate` again to continue.")
    return suite


def _open_arrays(folder: Path, files: Sequence[Path], clean: Dataset) -> StoredSuite:
    severities = tuple(_generated(folder).get("severities", SEVERITIES))
    _check_labels(folder / LABELS, clean, len(severities))
    cells = []
    for path in files:
        images = _open_images(path, clean, len(severities))
        for place, severity in enumerate(severities):
            some = images[place * len(clean) : (place + 1) * len(clean)]
            cells.append(StoredCell(path.stem, severity, some, clean.ids))
    return StoredSuite(f"files:{folder.name}", tuple(cells), "npy", tuple(files))


def _open_digits(folder: Path, parts: Sequence[Path], clean: Dataset) -> StoredSuite:
    cells, files = [], []
    for part in parts:
        path = part / "test_images.npy"
        _check_labels(part / "test_labels.npy", clean, 1)
        cells.append(StoredCell(part.name, 1.0, _open_images(path, clean, 1), clean.ids))
        files.append(path)
    return StoredSuite(f"files:{folder.name}", tuple(cells), "npy", tuple(files))


def _open_images(path: Path, clean: Dataset, severities: int) -> ArrayImages:
    images = open_npy(path)
    channels, height, width = clean.shape
    expected = (severities * len(clean), height, width, channels)
    if images.dtype != np.uint8 or images.shape != expected:
        raise InputError(
            f"{path}: expected uint8 {expected} ({severities} severities x {len(clean)} images of "
            f"{clean.name}), got {images.dtype} {images.shape}."
        )
    return ArrayImages(path, np.arange(len(images)), clean.shape)


def _generated(folder: Path) -> dict[str, Any]:
    """Return the severities and corruptions in generated.json; nothing if there is no such file."""
    path = folder / GENERATED
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())["suite"]
        severities = [float(severity) for severity in found["severities"]]
        return {"severities": severities, "corruptions": [str(name) for name in found.get("corruptions", [])]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: expected a file that `actrobust generate` wrote.") from error


def _check_labels(path: Path, clean: Dataset, severities: int) -> None:
    if clean.labels is None:
        return
    labels = open_npy(path)
    expected = np.tile(clean.labels.numpy(), severities)
    if labels.shape != expected.shape or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: expected {severities} x {len(clean)} labels, got {labels.dtype} {labels.shape}."
        )
    differing = np.flatnonzero(labels != expected)
    if len(differing):
        row = int(differing[0])
        raise InputError(
            f"{path}: {len(differing)} of {len(labels)} labels do not pair with those of {clean.name}, "
            f"first row {row}: {labels[row]}, not {expected[row]}."
        )


def _open_pictures(folder: Path, clean: Dataset, on_items: OnItems) -> StoredSuite:
    found = sorted(_severity_folders(folder), key=lambda item: (item[0], item[1]))
    if not found:
        raise InputError(
            f"{folder}: expected NAME.npy for each corruption, or folders NAME/SEVERITY/CLASS of pictures; "
            "found neither."
        )
    done = on_items("listing pictures", len(found) * len(clean))
    pairing = _Pairing(clean)
    cells = []
    with ThreadPoolExecutor(_THREADS) as pool:
        each: Callable[..., Iterable[Any]] = map
        for name, severity, place in found:
            started = time.perf_counter()
            files = _pictures_in_classes(place, each)
            if time.perf_counter() - started > _SLOW * len(files):
                each = pool.map
            matched, ids = pairing.match(files)
            pictures = Pictures(matched, View(source="as stored"), channels=clean.pixels.shape[1])
            cells.append(StoredCell(name, severity, pictures, ids))
            done(len(clean))
    codec = "+".join(sorted({_CODECS.get(suffix, suffix) for suffix in pairing.suffixes}))
    return StoredSuite(f"files:{folder.name}", tuple(cells), codec)


def _severity_folders(folder: Path) -> Iterator[tuple[str, float, Path]]:
    """Yield corruption, severity and folder of every NAME/SEVERITY and GROUP/NAME/SEVERITY."""
    for first in _folders(folder):
        for second in _folders(folder / first):
            severity, place = _number(second), folder / first / second
            if severity is None:  # no further into a severity: it has a thousand folders
                numbers = [(third, _number(third)) for third in _folders(place)]
                yield from (
                    (second, number, place / third) for third, number in numbers if number is not None
                )
            elif _number(first) is None:
                yield first, severity, place


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())


def _number(name: str) -> float | None:
    return float(name) if re.fullmatch(r"[1-5](\.\d+)?", name) else None


class _Pairing:
    """The clean images by class and name, to find the one that a stored picture belongs to."""

    def __init__(self, clean: Dataset) -> None:
        self.clean = clean
        self.ids = clean.ids.tolist()
        keys = stored_names(clean)
        numbers = [(of, _last_number(name)) for of, name in keys]
        self.by_name = dict(zip(keys, self.ids, strict=True))
        self.by_number = dict(zip(numbers, self.ids, strict=True)) if len(set(numbers)) == len(keys) else {}
        self.suffixes = set[str]()
        self._listed: Sequence[str] | None = None  # the names in the last folder, and
        self._matched: tuple[list[str], list[int], Tensor]  # those with a clean image, their places, its ids

    def match(self, files: Files) -> tuple[Files, Tensor]:
        """Return the pictures of one severity that have a clean image, and these images' ids.

        Folders with the same names share the objects: a published set has 95 such folders.
        """
        if files.names != self._listed:
            self._matched = self._match(files)
            self._listed = files.names
        names, places, ids = self._matched
        return Files(files.root, names, array("Q", [files.sizes[place] for place in places])), ids

    def _match(self, files: Files) -> tuple[list[str], list[int], Tensor]:
        numbers = [self._id(*name.split("/")) for name in files.names]
        places = [place for place, number in enumerate(numbers) if number is not None]
        names, ids = [files.names[place] for place in places], [numbers[place] for place in places]
        missing = set(self.ids) - set(ids)
        if missing or len(set(ids)) < len(ids):
            names_of = {number: "/".join(key) for key, number in self.by_name.items()}
            what = f"missing {names_of[min(missing)]}" if missing else "one of them is there twice"
            raise InputError(
                f"{files.root}: expected a picture for each of the {len(self.ids)} images of "
                f"{self.clean.name}, as CLASS/NAME; found {len(set(ids))}, {what}."
            )
        self.suffixes |= {Path(name).suffix.lower().lstrip(".") for name in names}
        return names, places, torch.tensor(ids)

    def _id(self, of: str, name: str) -> int | None:
        of, stem = of if self.clean.labels is not None else UNLABELLED, Path(name).stem
        return self.by_name.get((of, stem), self.by_number.get((of, _last_number(stem))))


def _pictures_in_classes(place: Path, each: Callable[..., Iterable[Any]]) -> Files:
    """Return the pictures in the folders of a folder, as CLASS/NAME, with their sizes."""
    classes = list(each(partial(_pictures_of, place), _folders(place)))
    names = [name for names, _ in classes for name in names]
    return Files(place, names, [size for _, sizes in classes for size in sizes])


def _pictures_of(place: Path, of: str) -> tuple[list[str], list[int]]:
    """Return the pictures of a class and their sizes; 0 for a link to nowhere, which cannot be read."""
    with os.scandir(place / of) as entries:
        names = [f"{of}/{name}" for name in sorted(entry.name for entry in entries if is_picture(entry.name))]
    return names, [_size(f"{place}/{name}") for name in names]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a Path for each of millions takes twice as long
    except OSError:
        return 0


def stored_names(clean: Dataset) -> list[tuple[str, str]]:
    """Return the class folder and the name, without suffix, of each image's corrupted versions.

    The folder is the class name, `unlabelled` without labels; the name is that of the clean file, else the
    id. An InputError if two images have the same folder and name.
    """
    if clean.labels is None:
        of = [UNLABELLED] * len(clean)
    else:
        of = [clean.classes[label].replace("/", "_") for label in clean.labels.tolist()]
    keys = list(zip(of, clean.names(), strict=True))
    seen: set[tuple[str, str]] = set()
    for key in keys:
        if key in seen:
            raise InputError(f"Dataset {clean.name!r}: two images are called {'/'.join(key)}.")
        seen.add(key)
    return keys


def _last_number(name: str) -> Any:
    """Return the number at the end of a name; the name if there is none.

    >>> _last_number("ILSVRC2012_val_00000293"), _last_number("cat")
    (293, 'cat')
    """
    found = re.search(r"\d+$", name)
    return int(found[0]) if found else name
