"""The unit training: recipes, not networks, are held to the baseline."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from robustbench_act.errors import InputError
from robustbench_act.gate import Baseline, Rule, Rules, check, make_baseline, read_baseline, self_test
from robustbench_act.gate.lines import Line
from robustbench_act.gate.rules import TRAINING_LEVEL
from robustbench_act.gate.training import joint_of, training_lines
from robustbench_act.run import Run
from tests.build_run import Builder, with_error
from tests.simulations.gate import simulate_trained

ROOT = Path(__file__).parents[3]
ACTIVATIONS = ("relu", "silu", "gelu")


def trained(
    seeds: int, *, drop: float = 0.0, start: int = 0, images: int = 300, names: tuple[str, ...] = ACTIVATIONS
) -> Run:
    """Return networks whose accuracy varies by 2 points from training to training; relu loses `drop`."""
    random, right = np.random.default_rng(start), {}
    hard = np.random.default_rng(99).random(images)
    for name in names:
        for seed in range(start + 1, start + seeds + 1):
            accuracy = 0.8 + 0.02 * random.standard_normal() - (drop if name == "relu" else 0)
            noise = 0.05 * random.standard_normal((5, images))
            right[name, seed] = hard + noise < accuracy
    builder = Builder(right, corruptions=(("shot_noise", "noise"), ("fog", "weather")), severities=(1.0, 3.0))
    builder.probes = False
    return builder.run()


def verdicts(run: Run, baseline: Baseline) -> dict[str, str]:
    table = check(run, baseline).table
    return dict(zip(table["name"] + ": " + table["rule"], table["verdict"], strict=True))


def test_retrained_networks_pass_and_a_worse_recipe_falls() -> None:
    """Networks of other seeds and names, paired by their activation."""
    baseline = make_baseline(trained(4))
    assert baseline.unit == "training"
    again = check(trained(4, start=10), baseline)
    assert again.passed
    assert "fell" not in set(again.table["verdict"])
    found = check(trained(4, start=10, drop=0.25), baseline)
    assert set(found.table.loc[found.table["verdict"] == "fell", "name"]) == {"relu"}
    assert found.reasons[0].startswith("relu: accuracy on corruptions fell: ")
    assert "(Holm over 9); no worse than " in found.reasons[0]
    assert found.table[["seeds_before", "seeds_after"]].to_numpy().tolist() == [[4, 4]] * 9


def test_with_two_groups_and_many_images_it_is_the_t_test_with_a_common_variance() -> None:
    """Equal variances of all four cohorts, so that they are all what is lent."""
    scores = np.array([0.70, 0.72, 0.74, 0.76])
    before = {"a": np.repeat(scores[:, None], 50, axis=1), "b": np.repeat(scores[:, None] + 0.1, 50, axis=1)}
    after = {"a": before["a"] - 0.05, "b": before["b"]}
    line, same = training_lines("baseline", Rule(tolerance=1.0, margin=9.0), before, after)
    error = 100 * scores.std(ddof=1) * np.sqrt(2 / 4)
    assert line.error == pytest.approx(error)
    assert line.worse == pytest.approx(5.0)
    assert line.p == pytest.approx(stats.t.sf((5.0 - 1.0) / error, 12), rel=1e-6)
    assert line.bound == pytest.approx(5.0 + stats.t.isf(0.05, 12) * error, rel=1e-6)
    assert same.bound == pytest.approx(stats.t.isf(0.05, 12) * error, rel=1e-6)


def test_one_seed_is_undecided_and_says_so() -> None:
    several, single = trained(3), trained(1, start=10)
    for run, baseline in (
        (single, make_baseline(several)),
        (several, make_baseline(single, unit="training")),
    ):
        found = check(run, baseline)
        assert set(found.table["verdict"]) == {"undecided"}
        assert found.table["bound"].isna().all()
        assert found.table["text"].str.contains("one training seed: what another training would give").all()
        assert found.table["text"].str.contains("training seeds on each side would decide").any()
        assert found.passed
        assert not check(run, baseline, prove=True).passed
    alone = check(single, make_baseline(single, unit="training")).table
    assert alone["text"].str.endswith("2 training seeds on each side are the least").all()


def test_metrics_without_single_images_are_tested_over_trainings() -> None:
    """A loss that varies by 0.1 and rises by 1, against one that stays."""

    def with_loss(run: Run, rise: float) -> Run:
        size = run.cells["training_seed"] % 3 * 0.1 + rise * (run.cells["activation"] == "silu")
        return replace(run, cells=run.cells.assign(loss=1 + size))

    baseline = make_baseline(with_loss(trained(3), 0), Rules((Rule("loss", margin=0.5),)))
    found = verdicts(with_loss(trained(3, start=3), 1.0), baseline)
    assert found == {
        "relu: loss on corruptions": "kept",
        "silu: loss on corruptions": "fell",
        "gelu: loss on corruptions": "kept",
    }


def test_the_seeds_that_would_decide_do() -> None:
    """The number in the note, tried: with as many trainings the measured drop is decided."""
    random = np.random.default_rng(0)

    def cohort(count: int, mean: float) -> NDArray[np.float64]:
        scores = stats.zscore(random.standard_normal(count), ddof=1) * 0.02 + mean
        return np.repeat(scores[:, None], 20, axis=1)

    rule, names = Rule(margin=2.0), [str(place) for place in range(6)]

    def line(count: int) -> Line:
        sides = [{name: cohort(count, mean) for name in names} for mean in (0.8, 0.79)]
        return training_lines("baseline", rule, *sides)[0]

    few = line(3)
    assert few.verdict(few.p * 6, TRAINING_LEVEL) == "undecided"
    assert few.needs is not None
    needed = int(few.needs(TRAINING_LEVEL / 6).split()[1])
    assert 3 < needed < 60
    assert line(needed).verdict(1.0, TRAINING_LEVEL) == "kept"


def test_a_failed_network_fails_its_activation() -> None:
    found = check(with_error(trained(3), "silu-2", "out of memory"), make_baseline(trained(3)))
    assert found.reasons == ["silu: failed: silu-2: out of memory"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: trained(3, names=("relu", "silu")), "activation 'gelu' only in the baseline"),
        (lambda: trained(3, names=(*ACTIVATIONS, "elu")), "activation 'elu' only in the run"),
        (lambda: trained(3, images=200), "200 against 300 images"),
    ],
)
def test_unlike_runs_are_refused(change: Callable[[], Run], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(change(), make_baseline(trained(3)))


def test_an_anchor_must_have_the_same_unit() -> None:
    run = trained(2)
    with pytest.raises(InputError, match="anchor with the unit training, that of the baseline, got weights"):
        check(run, make_baseline(run), anchor=make_baseline(run, unit="weights"))


def test_single_corruptions_need_weights() -> None:
    with pytest.raises(InputError, match="--unit weights for a rule on the group 'each', got training"):
        make_baseline(trained(2), Rules((Rule(group="each"),)))


def test_the_embedded_networks_pass_with_their_seeds_relabelled() -> None:
    """Each seed's networks as if another seed had trained them; and two seeds against two."""
    whole = read_baseline(ROOT / ".ci" / "embedded-default.parquet")
    run = Run(Path("embedded"), whole.info, whole.cells, whole.cells, whole.cells)
    baseline = make_baseline(run, unit="training")
    seeds = sorted(run.cells["training_seed"].unique())
    names = dict(zip(seeds, [*seeds[1:], seeds[0]], strict=True))
    assert check(_relabelled(run, names), baseline).passed
    assert check(_only(run, seeds[:2]), make_baseline(_only(run, seeds[1:]))).passed


def _relabelled(run: Run, names: dict[int, int]) -> Run:
    def renamed(name: str) -> str:
        stem, seed = name.rsplit("_", 1)
        return f"{stem}_{names[int(seed)]}"

    entries = [replace(entry, name=renamed(entry.name)) for entry in run.info.checkpoints]
    cells = run.cells.assign(
        checkpoint=run.cells["checkpoint"].map(renamed), training_seed=run.cells["training_seed"].map(names)
    )
    return replace(run, cells=cells, info=replace(run.info, checkpoints=tuple(entries)))


def _only(run: Run, seeds: list[int]) -> Run:
    cells = run.cells[run.cells["training_seed"].isin(seeds)]
    names = set(cells["checkpoint"])
    entries = tuple(entry for entry in run.info.checkpoints if entry.name in names)
    return replace(run, cells=cells, info=replace(run.info, checkpoints=entries))


def test_a_self_test_counts_alarms_of_equal_recipes() -> None:
    found = self_test(trained(6))
    assert (found.checks, found.alarms, found.activations, found.seeds) == (20, 0, 3, 3)
    assert found.sentence.startswith("One half of the seeds against the other: 0 of 20 checks (0.0%) raised")


def test_a_self_test_finds_seeds_that_are_no_chance() -> None:
    """Half of the networks were trained by another recipe: splits along it alarm."""
    run = trained(6)
    bad = run.cells["training_seed"] > 3
    cells = run.cells.copy()
    flipped = [bytes(255 - byte for byte in own) for own in cells.loc[bad, "outcomes"]]
    cells.loc[bad, "outcomes"] = flipped
    cells.loc[bad, "accuracy"] = 1 - cells.loc[bad, "accuracy"]
    assert self_test(replace(run, cells=cells)).alarms > 0


@pytest.mark.slow
def test_unchanged_recipes_hardly_ever_fail() -> None:
    """A setting of docs/simulations.md: 3 seeds, without a loss and with all losses at the tolerance."""
    found = simulate_trained(seeds=3, images=60, experiments=500)
    assert found.at_tolerance <= 0.01
    assert found.alarms <= 0.01
    assert found.wrong <= 0.05


def test_joint_of_names_both_sides() -> None:
    table = np.full((2, 3), 0.5)
    assert joint_of({"a": table}, {"a": table}, by_image=True).names == ("baseline: a", "run: a")
