"""The order of classes: which class is label 0, label 1, ...

ImageFolder of torchvision, and most of Keras and TensorFlow, sort class folders as strings: 0, 1, 10, 2. timm
sorts them naturally: 0, 1, 2, 10. A network knows the order that it was trained in; files rarely say it.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.text_files import read_names, read_text
from robustbench_act.errors import InputError
from robustbench_act.option_kinds import CLASS_ORDERS
from robustbench_act.paths import expand

STRING, NATURAL = CLASS_ORDERS


def natural_key(name: str) -> tuple[list[object], str]:
    """Return what sorts names as timm does: runs of digits by their value, letters without their case.

    >>> sorted(["10", "2", "b1", "A2"], key=natural_key)
    ['2', '10', 'A2', 'b1']
    """
    parts = re.split(r"([0-9]+)", name.lower())
    parts[1::2] = [part.lstrip("0") for part in parts[1::2]]  # every second one is a number
    return [(len(part), part) if place % 2 else part for place, part in enumerate(parts)], name


SORTED: dict[str, Callable[[Iterable[str]], tuple[str, ...]]] = {
    STRING: lambda names: tuple(sorted(names)),
    NATURAL: lambda names: tuple(sorted(names, key=natural_key)),
}
"""The orders that have names."""


def with_class_order(data: Dataset, order: str | Path) -> Dataset:
    """Return the same images, labels counting the classes in a different order.

    `order` is "string", "natural", a file with the name of a class in each line, or a configuration of
    transformers (.json with `id2label`); a file may name classes that have no images. Labels that came as
    numbers are their own names, but only a file says how many there are. An InputError if two classes share
    a name, the file names a class twice or lacks one that has images.
    """
    if data.labels is None:
        raise InputError(f"--class-order: expected labels, but data set {data.name!r} has none.")
    if len(set(data.classes)) < len(data.classes):
        raise InputError(f"--class-order: expected a name for each class, {data.name!r} has a name twice.")
    known = str(order) in SORTED
    if known and data.open_ended:
        raise InputError(
            f"--class-order: expected class names to sort, but the labels of {data.name!r} are numbers; "
            "give a file with the number of a class in each line, in the order of the network."
        )
    classes = SORTED[str(order)](data.classes) if known else _listed(expand(order))
    place = {name: label for label, name in enumerate(classes)}
    for label in sorted(set(data.labels.tolist())):
        if data.classes[label] not in place:
            raise InputError(f"{order}: expected a line for the class {data.classes[label]!r}, found none.")
    moved = torch.tensor([place.get(name, -1) for name in data.classes])
    shown = str(order) if known else Path(order).name
    labels = moved[data.labels]
    return replace(data, labels=labels, classes=classes, class_order=shown, order_doubt="", open_ended=False)


def doubt_about(classes: Sequence[str]) -> str:
    """Return what a reader should know of classes sorted as strings; "" if natural order is the same.

    >>> doubt_about(["1", "10", "2"])
    'classes are in string order (1, 10, ...), as in ImageFolder; in natural order (1, 2, ...), as in timm,
    labels differ. --class-order string or natural says which order the networks were trained with'
    """
    natural = SORTED[NATURAL](classes)
    if natural == tuple(classes):
        return ""
    return (
        f"classes are in string order ({first_names(classes, natural)}), as in ImageFolder; in natural order "
        f"({first_names(natural, classes)}), as in timm, labels differ. --class-order string or natural "
        "says which order the networks were trained with"
    )


def first_names(names: Sequence[str], others: Sequence[str]) -> str:
    """Return the names up to the first that differs from the other; only the last two if they are many.

    >>> first_names("abcdf", "abcdg"), first_names("ba", "ab")
    ('..., d, f, ...', 'b, ...')
    """
    pairs = enumerate(zip(names, others, strict=True), start=1)
    count = next(place for place, (name, other) in pairs if name != other)
    shown = names[:count] if count <= 3 else ("...", *names[count - 2 : count])
    return ", ".join([*shown, "..."])


def _listed(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        got = f"{str(path)!r}: no such file"
        raise InputError(f"--class-order: expected string, natural or a file of class names, got {got}.")
    return _named_in(path) if path.suffix == ".json" else read_names(path)


def _named_in(path: Path) -> tuple[str, ...]:
    """Return the names in `id2label` of a configuration of transformers, by their numbers."""
    try:
        told = json.loads(read_text(path))["id2label"]
        by_number = {int(number): str(name) for number, name in told.items()}
        names = tuple(by_number[number] for number in range(len(by_number)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON with id2label, a name for each of 0, 1, 2, ...") from error
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{path}: expected a name for each class, id2label has {twice!r} twice.")
    return names
