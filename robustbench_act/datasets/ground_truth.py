"""Labels of ImageNet's validation pictures in a file, for pictures that are not sorted into class folders.

Their archive holds 50,000 files ILSVRC2012_val_NNNNNNNN.JPEG in one folder. Lists of their labels come in
four forms, told apart by their lines:

    490                                  the development kit's number, from 1; the pictures in order
    n01751748                            a WordNet id; the pictures in order
    ILSVRC2012_val_00000001.JPEG 65      Caffe's: a place among the sorted WordNet ids, from 0
    ILSVRC2012_val_00000001,n01751748    Kaggle's; boxes may follow
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from robustbench_act.datasets.text_files import read_text
from robustbench_act.errors import InputError
from robustbench_act.paths import listed

_NAMES = (
    "ILSVRC2012_validation_ground_truth.txt",
    "LOC_val_solution.csv",
    "imagenet_2012_validation_synset_labels.txt",
    "val.txt",
)
_DEVKIT = "*devkit*/data"
_PICTURES = 50_000


def flat_classes(root: Path, folder: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the pictures of each WordNet id, both sorted, of pictures that are all in one folder.

    Their labels are in a file of the usual names in `root`, in the development kit there, or beside `folder`.
    Raises InputError if no such file is found, a line has an unknown form, or a picture has no label.
    """
    places = [f"{home}{name}" for name in _NAMES for home in ("", f"{_DEVKIT}/")]
    homes = (root, folder, folder.parent)
    path = next((path for home in homes for place in places for path in listed(home, place)), None)
    if path is None:
        raise InputError(
            f"Dataset 'imagenet': expected class folders of pictures in {folder}, named like n01440764, or "
            f"their labels in {root / _NAMES[0]} (of the development kit), found neither."
        )
    labels = dict(_labels(path))
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        number = _number(name)
        if number not in labels:
            raise InputError(f"{folder / name}: expected a picture with a label in {path}, found none.")
        found.setdefault(labels[number], []).append(name)
    return {of: found[of] for of in sorted(found)}


def _labels(path: Path) -> Iterator[tuple[int | None, str]]:
    """Yield number and WordNet id of each picture in a list."""
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    rows = [re.split(r"[\s,]+", line) for line in lines if not line.startswith("ImageId,")]
    in_order = all(len(row) == 1 for row in rows)
    if in_order and len(rows) != _PICTURES:
        raise InputError(
            f"{path}: expected the labels of all {_PICTURES:,} pictures, or the name and the label of each "
            f"picture, got {len(rows):,} lines."
        )
    order = devkit_order() if in_order else sorted(devkit_order())
    synsets = {str(number): synset for number, synset in enumerate(order, start=int(in_order))}
    synsets |= {synset: synset for synset in order}
    for place, row in enumerate(rows, start=1):
        number = place if in_order else _number(row[0])
        label = synsets.get(row[0] if in_order else row[1] if len(row) > 1 else "")
        if number is None or label is None:
            line = " ".join(row)
            raise InputError(f"{path}: expected a picture and its label of ImageNet, got {line!r:.60}.")
        yield number, label


def _number(name: str) -> int | None:
    """Return the number in a picture's name."""
    found = re.search(r"ILSVRC2012_val_(\d{8})", name)
    return int(found[1]) if found else None


@cache
def devkit_order() -> tuple[str, ...]:
    """Return the WordNet ids of the 1,000 classes of ILSVRC 2012 in the order of its development kit.

    >>> devkit_order()[0], devkit_order()[489]
    ('n02119789', 'n01751748')
    """
    text = (resources.files("robustbench_act") / "assets" / "imagenet-devkit-order.txt").read_text("ascii")
    return tuple(text.split())
