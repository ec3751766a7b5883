"""Stated power is power that happens."""

import numpy as np
import pytest

from robustbench_act.gate import detectable_drop, power
from robustbench_act.gate.rules import GATE_LEVEL, TOLERANCE
from robustbench_act.statistics import drop_test


@pytest.mark.parametrize(
    ("images", "spread", "drop"), [(200, 0.1, 2.0), (200, 0.1, 3.0), (1000, 0.02, 0.35), (2000, 0.1, 1.0)]
)
def test_power_is_the_share_of_drops_that_fail(images: int, spread: float, drop: float) -> None:
    random = np.random.default_rng(0)
    caught = 0
    for _ in range(2000):
        x = drop / 100 + spread * random.standard_normal(images)
        p, _ = drop_test(x)
        caught += 100 * x.mean() > TOLERANCE and p < GATE_LEVEL
    stated = power(drop, images=images, spread=spread)
    assert 0.02 < stated < 0.98 or drop == 0.35
    assert caught / 2000 == pytest.approx(stated, abs=0.035)


def test_detectable_drop_is_seen_in_99_of_100() -> None:
    found = detectable_drop(images=1000, spread=0.1, tests=39)
    assert power(found, images=1000, spread=0.1, tests=39) == pytest.approx(0.99, abs=1e-3)
    assert detectable_drop(images=10_000, spread=0.12, tests=39) < 1


def test_tolerance_bounds_what_is_seen_from_below() -> None:
    assert detectable_drop(images=100_000, spread=0.01) == pytest.approx(TOLERANCE, abs=0.02)
    assert detectable_drop(images=100_000, spread=0.01, tolerance=1.0) == pytest.approx(1.0, abs=0.02)
