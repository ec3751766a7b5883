"""Shrunk means: of equal groups the lowest is not too low; groups that images tell apart stay."""

import numpy as np
import pytest

from robustbench_act.statistics import shrunk_means


def lowest(truth: list[float], images: int, times: int = 200) -> tuple[float, float]:
    """Return by how much the lowest measured and shrunk means exceed the lowest true one, on average."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(len(truth)), images)
    off = []
    for _ in range(times):
        values = random.random(len(groups)) < np.repeat(truth, images)
        plain = min(values[groups == group].mean() for group in range(len(truth)))
        off.append((plain - min(truth), shrunk_means(values, groups).min() - min(truth)))
    plain, shrunk = np.mean(off, axis=0)
    return float(plain), float(shrunk)


def test_the_lowest_of_equal_groups_is_hardly_too_low() -> None:
    plain, shrunk = lowest([0.8] * 10, 6)
    assert plain < -0.15
    assert abs(shrunk) < 0.05


def test_groups_that_many_images_tell_apart_stay() -> None:
    plain, shrunk = lowest([0.9, 0.8, 0.5], 300)
    assert plain == pytest.approx(0, abs=0.01)
    assert shrunk == pytest.approx(0, abs=0.01)


def test_by_hand() -> None:
    """s^2 = 0.25, n = 4: chance 0.0625; between them 0.5 - 0.25, / 4: t^2 = 0.0625."""
    found = shrunk_means([0, 1, 1, 1, 0, 0, 0, 1], list("bbbbaaaa"))
    assert found == pytest.approx([0.375, 0.625])


def test_what_cannot_be_told() -> None:
    assert np.isnan(shrunk_means([0, 1, 1], [0, 0, 0])).all()
    assert np.isnan(shrunk_means([0, 1], [0, 1])).all()
    assert shrunk_means([1, 1, 1, 1], [0, 0, 1, 1]).tolist() == [1, 1]
    assert shrunk_means([1, 1, 0, 0], [0, 0, 1, 1]).tolist() == [1, 0]
