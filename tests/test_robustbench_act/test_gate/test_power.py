"""Stated power is power that happens."""

import numpy as np
import pytest

from robustbench_act.gate import detectable_drop, power
from robustbench_act.gate.power import training_power, usual_bound
from robustbench_act.gate.rules import GATE_LEVEL, TOLERANCE
from robustbench_act.statistics import drop_test


@pytest.mark.parametrize(("images", "spread", "drop"), [(200, 0.1, 3.0), (200, 0.1, 4.0), (2000, 0.1, 1.0)])
def test_power_is_the_share_of_drops_that_fail(images: int, spread: float, drop: float) -> None:
    random = np.random.default_rng(0)
    caught = 0
    for _ in range(2000):
        x = drop / 100 + spread * random.standard_normal(images)
        caught += drop_test(x, tolerance=TOLERANCE / 100)[0] < GATE_LEVEL
    stated = power(drop, images=images, spread=spread)
    assert 0.02 < stated < 0.98
    assert caught / 2000 == pytest.approx(stated, abs=0.035)


def test_detectable_drop_is_seen_in_99_of_100() -> None:
    found = detectable_drop(images=1000, spread=0.1, tests=39)
    assert power(found, images=1000, spread=0.1, tests=39) == pytest.approx(0.99, abs=1e-3)
    assert detectable_drop(images=10_000, spread=0.12, tests=39) < 1.1


def test_no_drop_within_the_tolerance_is_seen() -> None:
    assert detectable_drop(images=100_000, spread=0.001) == pytest.approx(TOLERANCE, abs=0.01)
    assert detectable_drop(images=100_000, spread=0.001, tolerance=1.0) == pytest.approx(1.0, abs=0.01)


def test_power_of_trainings_grows_with_seeds_and_bounds_shrink() -> None:
    """Many seeds: as of a normal distribution with a known variance."""
    facts = {"deviation": 2.0, "activations": 4}
    few, many = (training_power(5.0, seeds=seeds, tests=1, **facts) for seeds in (3, 100))  # type: ignore[arg-type]
    assert few < 0.9 < many
    bounds = [usual_bound(seeds=seeds, **facts) for seeds in (3, 100)]  # type: ignore[arg-type]
    assert bounds[1] == pytest.approx(1.645 * 2.0 * np.sqrt(2 / 100), rel=0.05)
    assert bounds[0] > 2 * bounds[1]
