"""Restricts images and answers to some classes: published sets have 200 of ImageNet's 1,000."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.folders import imagenet_synsets
from robustbench_act.datasets.text_files import read_names
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import PRESENT
from robustbench_act.paths import expand


def with_valid_classes(data: Dataset, valid: str | Path | Sequence[str | int]) -> Dataset:
    """Return the images of some classes; answers of networks are sought among these classes alone.

    Networks know all classes of `data`, or ImageNet's 1,000 if those of `data` are some of them, named by
    their WordNet ids. The logits of the valid classes are kept in their order: argmax, softmax, top-5 and
    loss are those of a network without the others.

    Parameters
    ----------
    data
        Images with labels, of classes with different names.
    valid
        "present" (the classes that have images), a file with the name of a class in each line, or names, in
        a list or a text with commas. A number is a label, unless classes are called by numbers.

    Raises
    ------
    InputError
        For an unknown name, a name that is there twice, fewer than 2 classes, or classes without images.

    Examples
    --------
    >>> from robustbench_act.datasets import load_dataset
    >>> some = with_valid_classes(load_dataset("mnist-1k"), "7,3")
    >>> some.classes, some.columns.tolist(), some.labels.unique().tolist(), some.class_count
    (('3', '7'), [3, 7], [0, 1], 10)
    """
    if data.labels is None:
        raise InputError(f"--valid-classes: expected labels, but data set {data.name!r} has none.")
    synsets = imagenet_synsets()
    known = synsets if set(data.classes) < set(synsets) else data.classes
    if len(set(known)) < len(known):
        raise InputError(f"--valid-classes: expected a name for each class, {data.name!r} has a name twice.")
    present = {data.classes[label] for label in set(data.labels.tolist())}
    chosen = present if str(valid) == PRESENT else _chosen(valid, known)
    if len(chosen) < 2:
        raise InputError(f"--valid-classes: expected at least 2 classes, got {len(chosen)}.")
    if not chosen & present:
        raise InputError(f"--valid-classes: data set {data.name!r} has no images of these classes.")
    if len(chosen) == len(known):
        return data
    classes = tuple(name for name in known if name in chosen)
    place = {name: label for label, name in enumerate(classes)}
    labels = torch.tensor([place.get(name, -1) for name in data.classes])[data.labels]
    restricted = replace(data, labels=labels, classes=classes, network_classes=known)
    return restricted[labels >= 0]


def _chosen(valid: str | Path | Sequence[str | int], known: tuple[str, ...]) -> set[str]:
    """Return the names of the valid classes; an InputError if one is unknown, or there twice."""
    numbered = any(name.isdecimal() for name in known)
    chosen: set[str] = set()
    for given in _names(valid):
        label = int(given) if given.isdecimal() and not numbered else len(known)
        name = known[label] if label < len(known) else given
        if name not in known:
            raise InputError(f"--valid-classes: {unknown_name('class', name, known)}")
        if name in chosen:
            raise InputError(f"--valid-classes: expected each class once, got {name!r} twice.")
        chosen.add(name)
    return chosen


def _names(valid: str | Path | Sequence[str | int]) -> Sequence[str]:
    if not isinstance(valid, str | Path):
        return list(map(str, valid))
    path = expand(valid)
    if path.is_file():
        return read_names(path)
    if isinstance(valid, Path) or "," not in valid:
        raise InputError(
            f"--valid-classes: expected {PRESENT}, a file of class names, or names with commas between them, "
            f"got {str(valid)!r}: no such file."
        )
    return [name.strip() for name in valid.split(",")]
