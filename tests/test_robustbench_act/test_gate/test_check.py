"""The gate lets equal models pass, catches a drop, and refuses what it cannot compare."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from robustbench_act.errors import InputError
from robustbench_act.gate import Rule, Rules, check, make_baseline, read_baseline, write_baseline
from robustbench_act.gate.rules import GATE_LEVEL, TOLERANCE
from robustbench_act.run import Run
from robustbench_act.statistics import drop_test
from tests.build_run import simulated_run, with_error, with_info

Outcomes = NDArray[np.bool_]


def draw(accuracy: float, *, images: int = 400, seed: int = 0, cells: int = 5) -> Outcomes:
    """Return outcomes of images that differ in difficulty; the same seed gives the same images."""
    return np.random.default_rng(seed).random((cells, images)) < accuracy


@pytest.fixture
def run() -> Run:
    return simulated_run({"a": draw(0.8), "b": draw(0.7, seed=1)})


def test_an_identical_rerun_passes(run: Run, tmp_path: Path) -> None:
    write_baseline(make_baseline(run), tmp_path / "b.parquet")
    found = check(run, read_baseline(tmp_path / "b.parquet"))
    assert found.passed
    assert found.table["p"].tolist() == [1.0, 1.0]
    assert found.table["worse"].tolist() == [0.0, 0.0]
    assert found.verdict == "Robustness kept: 2 checks passed. No image changed."


def test_a_drop_fails_with_its_reason(run: Run) -> None:
    worse = draw(0.8)
    worse[1:3] &= draw(0.9, seed=9, cells=2)  # shot_noise
    found = check(simulated_run({"a": worse, "b": draw(0.7, seed=1)}), make_baseline(run))
    assert not found.passed
    (reason,) = found.reasons
    before, after = 100 * draw(0.8)[1:].mean(), 100 * worse[1:].mean()
    assert reason.startswith(
        f"a: accuracy on corruptions got worse by {before - after:.2f} points "
        f"({before:.2f}% to {after:.2f}%), tolerance 0.3, p = "
    )
    assert "(Holm over 2 tests); most: shot_noise -" in reason
    assert "fog" not in reason
    assert found.verdict == "Robustness fell: 1 of 2 checks failed."
    row = found.table.iloc[0]
    drop = draw(0.8)[1:].mean(0) - worse[1:].mean(0)
    expected = stats.ttest_1samp(drop, 0, alternative="greater")
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert row["error"] == pytest.approx(100 * stats.sem(drop))
    assert row["adjusted"] == pytest.approx(2 * expected.pvalue, rel=1e-9)


def test_a_drop_within_tolerance_or_noise_passes(run: Run) -> None:
    better = draw(0.8) | draw(0.1, seed=5)
    assert check(simulated_run({"a": better, "b": draw(0.7, seed=1)}), make_baseline(run)).passed
    noisy = draw(0.8).copy()
    noisy[1:, :3] = False  # 12 of 1,600 outcomes: 0.6 points, of 3 images alone
    found = check(simulated_run({"a": noisy, "b": draw(0.7, seed=1)}), make_baseline(run))
    assert found.table.iloc[0]["worse"] > 0.3
    assert found.passed
    low, high = found.table.iloc[0]["detectable"], found.table.iloc[1]["detectable"]
    assert high == 0.3 < low
    assert f"beyond {low:.2f} points would have failed" in found.verdict


def test_detectable_is_where_the_verdict_turns(run: Run) -> None:
    """Scaled to just below and just above it, the same difference passes and fails."""
    baseline = make_baseline(run)
    for changed in range(1, 400):
        worse = draw(0.8).copy()
        worse[1:, :changed] = False
        row = check(simulated_run({"a": worse, "b": draw(0.7, seed=1)}), baseline).table.iloc[0]
        assert bool(row["reason"]) == (row["worse"] > row["detectable"]), changed
        if row["reason"]:
            break
    assert changed > 3


def test_rules_on_groups_and_other_metrics(run: Run) -> None:
    rules = Rules((Rule(group="noise", tolerance=1), Rule(group="clean"), Rule("loss", "weather", 0.05)))
    baseline = make_baseline(run, rules)
    cells = run.cells.copy()
    fog = (cells["corruption"] == "fog") & (cells["checkpoint"] == "b")
    cells.loc[fog, "loss"] = 1.7
    found = check(replace(run, cells=cells), baseline)
    assert found.reasons == [
        "b: loss on weather got worse by 0.20 nats (1.50 nats to 1.70 nats), tolerance 0.05"
    ]
    table = found.table.set_index(["checkpoint", "rule"])
    assert table["p"].isna().tolist() == [False, False, True] * 2
    assert table.loc[("a", "accuracy on noise"), "baseline"] == pytest.approx(100 * draw(0.8)[1:3].mean())
    assert table.loc[("a", "accuracy on clean images"), "value"] == pytest.approx(100 * draw(0.8)[0].mean())


@pytest.mark.parametrize(("metric", "better"), [("agreement", 0.9), ("brier", 0.1)])
def test_better_is_not_worse(metric: str, better: float, run: Run) -> None:
    baseline = make_baseline(run, Rules((Rule(metric),)))
    cells = run.cells.assign(**{metric: better})
    found = check(replace(run, cells=cells), baseline)
    assert found.passed
    assert (found.table["worse"] < -0.3).all()
    cells = run.cells.assign(**{metric: 1 - better})
    assert not check(replace(run, cells=cells), baseline).passed


def test_rounding_is_not_worse(run: Run) -> None:
    """A loss that was summed in a different order, and a rule that allows nothing."""
    baseline = make_baseline(run, Rules((Rule("loss", tolerance=0),)))
    loss = run.cells["loss"] * (1 + 4 * np.finfo(float).eps)
    assert (loss > run.cells["loss"]).all()
    assert check(replace(run, cells=run.cells.assign(loss=loss)), baseline).passed
    assert not check(replace(run, cells=run.cells.assign(loss=loss + 1e-6)), baseline).passed


def test_a_metric_that_is_no_number_fails(run: Run) -> None:
    baseline = make_baseline(run, Rules((Rule("loss"),)))
    cells = run.cells.assign(loss=np.nan)
    found = check(replace(run, cells=cells), baseline)
    assert len(found.reasons) == 2


def test_a_failed_checkpoint_fails(run: Run) -> None:
    found = check(with_error(run, "b", "out of memory"), make_baseline(run))
    assert found.reasons == ["b: failed: out of memory"]
    several = Rules((Rule(), Rule(group="clean"), Rule("loss")))
    found = check(with_error(run, "b", "out of memory"), make_baseline(run, several))
    assert found.reasons == ["b: failed: out of memory"]
    assert found.verdict == "Robustness fell: 3 of 6 checks failed."


def other_suite(run: Run) -> Run:
    return with_info(run, suites=(replace(run.info.suites[0], hash="badbadba"),))


def other_mean(run: Run) -> Run:
    first, second = run.info.checkpoints
    return with_info(run, checkpoints=(first, replace(second, mean=(0.4,))))


def other_images(run: Run) -> Run:
    return with_info(run, dataset=replace(run.info.dataset, digest="x"))


def fewer_cells(run: Run) -> Run:
    cells = run.cells[~((run.cells["corruption"] == "fog") & (run.cells["severity"] == 3))]
    return replace(run, cells=cells)


DIFFERENCES: list[tuple[Callable[[Run], Run], str]] = [
    (lambda run: with_info(run, seed=4), "seed 4 against 42"),
    (lambda run: with_info(run, severities=(1, 5)), "severities 1,5 against 1,3"),
    (lambda run: with_info(run, suites=()), "suite 'core' only in the baseline"),
    (other_suite, "suite 'core' of another content (hash badbadba against 5ea1ed00)"),
    (other_mean, "b: mean [0.4] against [0.5]"),
    (fewer_cells, "cell 'fog:3 [32]' only in the baseline"),
    (lambda run: with_info(run, dataset=replace(run.info.dataset, images=60)), "60 against 400 images"),
    (
        lambda run: with_info(run, dataset=replace(run.info.dataset, digest="x")),
        "other images, data set 'toy'",
    ),
    (lambda run: simulated_run({"a": draw(0.8)}), "checkpoint 'b' only in the baseline"),
    (
        lambda run: simulated_run({"a": draw(0.8), "c": draw(0.7)}),
        "checkpoint 'c' only in the run; checkpoint 'b' only in the baseline",
    ),
]


@pytest.mark.parametrize(("change", "message"), DIFFERENCES, ids=[message for _, message in DIFFERENCES])
def test_unlike_runs_are_refused_by_name(change: Callable[[Run], Run], message: str, run: Run) -> None:
    with pytest.raises(InputError) as caught:
        check(change(run), make_baseline(run))
    assert message in str(caught.value)


def per_image_differences(random: np.random.Generator, drop: float) -> Iterator[NDArray[np.float64]]:
    """Yield differences of 10,000 images' means over 95 cells: standard deviation 0.12, mean `drop`.

    Most images do not change, some change much: the tails are what a t-test could stumble over.
    """
    for _ in range(20_000):
        size = random.integers(1, 41, 1_000) / 95
        sign = np.where(random.random(1_000) < 0.5, 1, -1)
        steep = np.zeros(10_000)
        steep[:1_000] = size * sign * (0.12 / np.sqrt(0.1 * np.mean((np.arange(1, 41) / 95) ** 2)))
        yield steep + drop


def fails(drop: NDArray[np.float64], tests: int = 1) -> bool:
    """Decide as the gate does, of the most certain of its tests."""
    p, _ = drop_test(drop)
    return 100 * float(drop.mean()) > TOLERANCE and p * tests < GATE_LEVEL


@pytest.mark.slow
def test_false_alarms_and_power() -> None:
    """Equally accurate models: at most 1 alarm in 1,000 runs. A drop of a point: caught in 99 of 100."""
    equal = [fails(x) for x in per_image_differences(np.random.default_rng(0), 0.0)]
    assert np.std(next(per_image_differences(np.random.default_rng(0), 0.0))) == pytest.approx(0.12, rel=0.05)
    assert np.mean(equal) <= 0.001
    worse = [fails(x, tests=39) for x in per_image_differences(np.random.default_rng(1), 0.01)]
    assert np.mean(worse) >= 0.99


@pytest.mark.slow
def test_false_alarms_of_whole_checks() -> None:
    """Twelve checkpoints at once, 96 cells of 10,000 images, models that are equal and do differ."""
    random = np.random.default_rng(3)
    corruptions = [(f"c{place}", "noise") for place in range(19)]
    names = [f"net{place}" for place in range(12)]

    def model(skill: NDArray[np.float64], lost: float) -> Outcomes:
        chance = np.clip(skill + 0.085 * random.standard_normal(10_000) - lost, 0, 1)
        return random.random((96, 10_000)) < chance

    skill = np.clip(0.75 + 0.2 * random.standard_normal(10_000), 0, 1)
    facts: dict[str, Any] = {"corruptions": corruptions, "severities": (1.0, 2.0, 3.0, 4.0, 5.0)}
    for _ in range(3):
        baseline = make_baseline(simulated_run({name: model(skill, 0) for name in names}, **facts))
        again = check(simulated_run({name: model(skill, 0) for name in names}, **facts), baseline)
        assert again.passed
        assert 0.08 < again.table["error"].mean() < 0.14  # points: a spread of 0.08 to 0.14
        worse = check(simulated_run({name: model(skill, 0.012) for name in names}, **facts), baseline)
        assert len(worse.reasons) == len(names)
        assert pd.notna(worse.table["detectable"]).all()
