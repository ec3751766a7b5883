"""Orders of many classes, found from a few hundred predictions; networks that merely err are left alone."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from robustbench_act.datasets import Dataset
from robustbench_act.datasets.folders import imagenet_synsets
from robustbench_act.datasets.ground_truth import devkit_order
from robustbench_act.doctor.class_order import find_order

Labels = NDArray[np.int64]


def named(names: tuple[str, ...], *, open_ended: bool = False) -> Dataset:
    """Return a data set of these classes; its images are not looked at."""
    pixels, labels = torch.zeros((1, 1, 8, 8), dtype=torch.uint8), torch.tensor([len(names) - 1])
    ids = torch.arange(1)
    return Dataset("many", pixels, labels, ids, names, (0.5,), (0.5,), total=1, open_ended=open_ended)


def answers(labels: Labels, classes: int, accuracy: float, random: np.random.Generator) -> Labels:
    """Return predictions that are right with a probability, and else any class."""
    right = random.random(len(labels)) < accuracy
    return np.where(right, labels, random.integers(0, classes, len(labels)))


def number_names(classes: int) -> tuple[str, ...]:
    return tuple(sorted(map(str, range(classes))))


@pytest.mark.parametrize("classes", [12, 100, 1000, 10_000])
def test_string_order_of_any_number_of_classes(classes: int) -> None:
    """256 images; the network knows 0, 1, 2, ..., the folders are sorted as strings."""
    random = np.random.default_rng(classes)
    data, numbers = named(number_names(classes)), random.integers(0, classes, 256)
    labels = np.array([data.classes.index(str(number)) for number in numbers])
    found = find_order(data, classes, answers(numbers, classes, 0.6, random), labels)
    assert found.startswith("with the classes in natural order its accuracy is ")
    assert found.endswith("set --class-order natural")
    assert find_order(data, classes, answers(labels, classes, 0.6, random), labels) == ""


def test_numbers_for_labels_and_a_network_of_sorted_folders() -> None:
    """An .npz of labels 0 to 199, and a network that saw them as folders."""
    random = np.random.default_rng(0)
    data, labels = named(tuple(map(str, range(200))), open_ended=True), random.integers(0, 200, 256)
    place = np.argsort(np.array(number_names(200)).astype(int))
    found = find_order(data, 200, answers(place[labels], 200, 0.7, random), labels)
    assert found.startswith("with the classes in string order its accuracy is ")
    assert found.endswith("is the order of the classes right?")


def test_the_order_of_the_development_kit() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 1000, 256)
    place = np.array([devkit_order().index(name) for name in imagenet_synsets()])
    found = find_order(named(imagenet_synsets()), 1000, answers(place[labels], 1000, 0.7, random), labels)
    assert found.startswith("with the classes in development kit's order its accuracy is ")


@pytest.mark.parametrize("step", [1, -1])
def test_labels_moved_by_one(step: int) -> None:
    """A network with a background class, or labels that count from 1; 1,001 classes."""
    random = np.random.default_rng(0)
    labels = random.integers(1, 1000, 256)
    data = named(tuple(f"c{place:04}" for place in range(1000)))
    found = find_order(data, 1001, answers(labels + step, 1001, 0.7, random), labels)
    assert found.startswith("with the classes permuted its accuracy is ")


@pytest.mark.parametrize(("classes", "accuracy"), [(2, 0.9), (10, 0.7), (100, 0.7), (200, 0.6), (1000, 0.6)])
def test_any_permutation_of_any_number_of_classes(classes: int, accuracy: float) -> None:
    random = np.random.default_rng(classes)
    labels = np.arange(classes).repeat(max(4, 256 // classes))
    place = np.roll(np.arange(classes), 1) if classes == 2 else random.permutation(classes)
    names = tuple(f"c{number:04}" for number in range(classes))
    found = find_order(named(names), classes, answers(place[labels], classes, accuracy, random), labels)
    assert found.startswith("with the classes permuted its accuracy is ")
    for pair in found[found.index("(") + 1 :].split(", ...")[0].split(", "):
        label, other = map(names.index, pair.split(" as "))
        assert other == place[label] or classes == 1000  # of a thousand classes a few are taken for others


@pytest.mark.parametrize("classes", [2, 10, 64, 128, 1000])
def test_networks_that_err_are_left_alone(classes: int) -> None:
    """By chance, for one class in place of another, and for one class in place of all."""
    random = np.random.default_rng(classes)
    data = named(number_names(classes))
    for _ in range(40):
        labels = np.sort(random.integers(0, classes, 256))
        neighbour = np.where(random.random(256) < 0.4, (labels + 1) % classes, labels)
        for predicted in (
            answers(labels, classes, 0.0, random),
            answers(labels, classes, 0.5, random),
            answers(np.full_like(labels, classes - 1), classes, 0.9, random),
            *([neighbour] if classes > 2 else []),
        ):
            assert find_order(data, classes, predicted, labels) == ""
