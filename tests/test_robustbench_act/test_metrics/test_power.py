"""What studies are planned from, and how many seeds and images they need."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustbench_act.errors import InputError
from robustbench_act.gate import read_baseline
from robustbench_act.metrics.power import EMBEDDED, MOST_SEEDS, Planned, Spreads, run_spreads
from robustbench_act.run import Run
from robustbench_act.statistics import Components
from tests.build_run import Builder, with_error

BASELINE = Path(__file__).parents[3] / ".ci" / "embedded-default.parquet"
PARTS = Components(0.02, 0.03, 0.05)


def drawn(
    activations: int, seeds: int, images: int = 400, *, first: str = "a"
) -> dict[tuple[str, int], np.ndarray]:
    """Return outcomes (clean and 6 cells, images) of networks whose accuracy varies over trainings."""
    random = np.random.default_rng(ord(first))
    hard = random.normal(size=(7, images))
    found = {}
    for activation in range(activations):
        own = random.normal(scale=0.5, size=images)
        for seed in range(seeds):
            shift = random.normal(scale=0.2)
            noise = random.normal(size=(7, images))
            found[chr(ord(first) + activation), seed] = hard + own + 0.7 * noise < 0.8 + shift
    return found


def test_spreads_of_a_run_are_sums_of_squares() -> None:
    """Against the mean squares of the table activation x seed x image, written out."""
    right = drawn(4, 5)
    found = run_spreads(Builder(correct=right, probes=False).run())
    scores = np.array([own[1:].reshape(3, 2, -1).mean(axis=(0, 1)) for own in right.values()])
    table = scores.reshape(4, 5, -1)
    apart = table - table.mean(axis=0)
    over_images = apart.mean(axis=1).var(axis=-1, ddof=1).sum() / 3
    rest = apart - apart.mean(axis=1, keepdims=True)
    residual = rest.var(axis=-1, ddof=1).sum() / (3 * 4)
    training = apart.mean(axis=-1).var(axis=1, ddof=1).sum() / 3 - residual / 400
    assert found.components.residual**2 == pytest.approx(residual)
    assert found.components.image**2 == pytest.approx(over_images - residual / 5)
    assert found.components.training**2 == pytest.approx(training)
    assert (found.df, found.activations, found.source) == (12, 4, "simulated")


def test_architectures_share_by_their_degrees_of_freedom() -> None:
    runs = [
        Builder(correct=drawn(2, 3), architecture="net", probes=False).run(),
        Builder(correct=drawn(3, 4, first="p"), architecture="other", probes=False).run(),
    ]
    alone = [run_spreads(run) for run in runs]
    both = run_spreads(with_cells(runs))
    variances = [own.components.training**2 for own in alone]
    assert both.components.training**2 == pytest.approx(np.average(variances, weights=[2, 6]))
    assert (both.df, both.activations) == (8, 3)


def with_cells(runs: list[Run]) -> Run:
    return replace(runs[0], cells=pd.concat([run.cells for run in runs], ignore_index=True))


def test_a_failed_checkpoint_does_not_count() -> None:
    right = drawn(3, 4)
    run = Builder(correct=right, probes=False).run()
    whole = {key: own for key, own in right.items() if key != ("b", 2)}
    found = run_spreads(with_error(run, "b-2", "boom"))
    assert found == run_spreads(Builder(correct=whole, probes=False).run())


def test_the_embedded_spreads_are_those_of_the_embedded_networks() -> None:
    baseline = read_baseline(BASELINE)
    run = Run(BASELINE, baseline.info, baseline.cells, baseline.cells[:0], baseline.cells[:0])
    found = run_spreads(run)
    assert (found.df, found.activations) == (EMBEDDED.df, EMBEDDED.activations) == (24, 13)
    measured, known = (np.array([*vars(own.components).values()]) for own in (found, EMBEDDED))
    assert known == pytest.approx(measured, rel=0.3)  # these are of 60 images


def test_the_interval_is_that_of_a_variance() -> None:
    low, high = Spreads(PARTS, 24, 13, "").training
    assert stats.chi2.cdf(24 * (PARTS.training / low) ** 2, 24) == pytest.approx(0.975)
    assert stats.chi2.cdf(24 * (PARTS.training / high) ** 2, 24) == pytest.approx(0.025)


def test_the_fewest_show_a_lead_and_one_less_does_not() -> None:
    planned = Planned(PARTS, 3)
    seeds = planned.fewest_seeds(0.03, images=500)
    assert seeds is not None
    assert planned.lead(seeds, 500) <= 0.03 < planned.lead(seeds - 1, 500)
    images = planned.fewest_images(0.03, seeds=seeds + 1)
    assert images is not None
    assert planned.lead(seeds + 1, images) <= 0.03 < planned.lead(seeds + 1, images - 1)
    assert planned.chance(planned.lead(5, 100), seeds=5, images=100) == pytest.approx(0.8, abs=0.001)


def test_a_lead_that_nothing_shows() -> None:
    planned = Planned(PARTS, 2)
    assert planned.fewest_images(0.01, seeds=3) is None
    assert planned.fewest_seeds(0.005, images=10) is None
    assert planned.lead(MOST_SEEDS, 10) > 0.005


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (drawn(4, 1), "got 4 activations, 1 seeds and 400 images"),
        (drawn(1, 5), "got 1 activations, 5 seeds"),
        (drawn(2, 2, images=1), "got 2 activations, 2 seeds and 1 images"),
    ],
)
def test_runs_that_show_no_spread(right: dict[tuple[str, int], np.ndarray], said: str) -> None:
    with pytest.raises(InputError, match=f"simulated: expected at least 2 activations .*, {said}"):
        run_spreads(Builder(correct=right, probes=False).run())


def test_a_run_that_does_not_say_which_images_were_right() -> None:
    run = Builder(correct=drawn(2, 2), probes=False).run()
    for cells in (run.cells.drop(columns="outcomes"), run.cells.assign(outcomes=None)):
        with pytest.raises(InputError, match="simulated: does not say which images were right"):
            run_spreads(replace(run, cells=cells))


def test_all_checkpoints_failed() -> None:
    failed = dict.fromkeys(["a-0", "a-1", "b-0", "b-1"], "boom")
    builder = Builder(correct=drawn(2, 2), probes=False, failed=failed)
    with pytest.raises(InputError, match="got 0 activations, 0 seeds"):
        run_spreads(builder.run())
