"""Whether a network knows the classes in an order that differs from the data set's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from robustbench_act.datasets import Dataset
from robustbench_act.datasets.class_order import SORTED
from robustbench_act.datasets.folders import imagenet_synsets
from robustbench_act.datasets.ground_truth import devkit_order
from robustbench_act.statistics import compare_outcomes

PER_CLASS = 4
"""Images of each class that the search for any permutation looks at: half to find it, half to test it."""

_CLEARLY = 0.05  # accuracy that an order in use must gain, with
_PERMUTED = 0.2  # accuracy that any other permutation must gain: wrong pixels also mix up classes
_SURE = 0.001  # this p-value in McNemar's test
_SHOWN = 3

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class _Order:
    """An order in words, and for each label of the data set the one that it has there."""

    name: str
    place: Labels
    flag: str = ""


def find_order(data: Dataset, count: int, predicted: Labels, labels: Labels) -> str:
    """Return which order of the classes explains the errors of a network, with numbers; "" if none does.

    The orders that people use are tested as they are, which takes no images per class: string, natural, that
    of ImageNet's development kit, and labels that are moved by one. Any other permutation is found on half of
    the images of each class and tested on the others, and the other way round. The network has `count`
    classes.
    """
    right = predicted == labels
    known = [(order.place[labels] == predicted, order) for order in _orders(data, count)]
    hits, order = max(known, key=lambda pair: pair[0].mean(), default=(right, _Order("", labels)))
    permuted = _cross_fitted(predicted, labels, count)
    if _better(permuted, right, by=_PERMUTED) and _better(permuted, hits, by=_CLEARLY):
        hits, order = permuted, _Order("permuted", _assigned(predicted, labels, count))
    elif not _better(hits, right, by=_CLEARLY):
        return ""
    advice = f"set {order.flag}" if order.flag else "is the order of the classes right?"
    shares = f"{hits.mean():.1%}, not {right.mean():.1%}"
    moved = _moved(
        order.place, predicted, labels, (*data.classes, *map(str, range(len(data.classes), count)))
    )
    return f"with the classes {order.name} its accuracy is {shares} ({moved}): {advice}"


def _orders(data: Dataset, count: int) -> Iterator[_Order]:
    """Yield the orders that people use, if they differ from the data set's."""
    names = tuple(map(str, range(count))) if data.open_ended else data.classes
    rest = np.arange(len(names), count)
    wanted = {name: order(names) for name, order in SORTED.items()}
    if names == imagenet_synsets():
        wanted["development kit's"] = devkit_order()
    for name, order in wanted.items():
        if order != names:
            label = {of: place for place, of in enumerate(order)}
            flag = "" if data.open_ended or name not in SORTED else f"--class-order {name}"
            place = np.array([label[of] for of in names], dtype=np.int64)
            yield _Order(f"in {name} order", np.concatenate([place, rest]), flag)
    for step in (1, -1):
        yield _Order("permuted", (np.arange(count) + step) % count)


def _better(hits: NDArray[np.bool_], right: NDArray[np.bool_], *, by: float) -> bool:
    test = compare_outcomes(hits, right)
    return test.difference > by and test.p < _SURE


def _cross_fitted(predicted: Labels, labels: Labels, count: int) -> NDArray[np.bool_]:
    """Return which predictions are right by the assignment of classes that the other half of each gives."""
    order = np.argsort(labels, kind="stable")
    half = np.empty_like(labels)
    half[order] = (np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])) % 2
    places = [_assigned(predicted[half != own], labels[half != own], count) for own in (0, 1)]
    return np.asarray(np.where(half == 0, places[0][labels], places[1][labels]) == predicted)


def _assigned(predicted: Labels, labels: Labels, count: int) -> Labels:
    """Return the one-to-one assignment of classes that makes most predictions right."""
    seen = np.union1d(labels, predicted)  # a network may have many thousands of classes
    confusion = np.zeros((len(seen), len(seen)), dtype=np.int64)
    np.add.at(confusion, (np.searchsorted(seen, labels), np.searchsorted(seen, predicted)), 1)
    place = np.arange(count)
    place[seen] = seen[linear_sum_assignment(confusion, maximize=True)[1]]
    return place


def _moved(place: Labels, predicted: Labels, labels: Labels, names: Sequence[str]) -> str:
    """Return the first classes that are called by a different one, in most of their images."""
    hits = place[labels] == predicted
    moved = [
        label for label in np.unique(labels) if place[label] != label and hits[labels == label].mean() > 0.5
    ]
    return ", ".join([*(f"{names[label]} as {names[place[label]]}" for label in moved[:_SHOWN]), "..."])
