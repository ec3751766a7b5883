"""Every number of the tables against sums written out by hand, in plain Python."""

from dataclasses import replace
from itertools import product
from statistics import fmean, stdev

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports import tables
from reports.grid import make_grid
from reports.paired_tests import significance
from robustbench_act import metrics
from robustbench_act.records import CheckpointInfo, failures
from robustbench_act.run import Run
from robustbench_act.statistics import mean_interval
from tests.build_run import CORRECT, CORRUPTIONS, LAYERS, ORDER, SEVERITIES, SHARES, Builder, by, score


def test_a_cell_of_two_suites_counts_once_and_two_tables_are_two_corruptions(run: Run) -> None:
    board = metrics.leaderboard(run.cells)
    again = run.cells[run.cells["corruption"] == "fog"].assign(suite="another")
    twice = pd.concat([run.cells, again[again["severity"] == 5]])  # would weigh more, if it counted
    pd.testing.assert_frame_equal(metrics.leaderboard(twice), board)
    both = pd.concat([run.cells, again.assign(table="224")])
    found = make_grid(both).corruptions
    assert list(found["corruption"]) == ["gaussian_noise", "impulse_noise", "fog [32]", "fog [224]"]
    assert list(found["group"]) == ["noise", "noise", "weather", "weather"]


def test_curves(run: Run) -> None:
    table = by(tables.curves(run.cells), "activation", "corruption", "severity")
    assert len(table) == 2 * len(CORRUPTIONS) * (1 + len(SEVERITIES))
    for activation in ("relu", "la_silu"):
        for place, (name, group) in enumerate(CORRUPTIONS):
            for step, severity in enumerate((0.0, *SEVERITIES)):
                position = 0 if severity == 0 else 2 * place + step
                values = [SHARES[activation, seed][position] for seed in (11, 22)]
                row = table[activation, name, severity]
                assert row["accuracy"] == pytest.approx(fmean(values))
                assert row["spread"] == pytest.approx(stdev(values))
                assert (row["seeds"], row["group"]) == (2, group)


def test_mean_curves(run: Run) -> None:
    """The mean over corruptions, each once; a severity that one of them lacks is left out."""
    fog = run.cells["corruption"] == "fog"
    more = run.cells[fog & (run.cells["severity"] == 5)].assign(severity=3.0)
    shift = run.cells[fog].assign(corruption="shift_up", group="shift", accuracy=0.0)
    table = by(tables.mean_curves(pd.concat([run.cells, more, shift])), "activation", "severity")
    assert {key[1] for key in table} == {0.0, 1.0, 5.0}
    for activation, step in product(("relu", "la_silu"), (0, 1, 2)):
        shares = [SHARES[activation, seed] for seed in (11, 22)]
        means = [own[0] if step == 0 else fmean(own[step::2]) for own in shares]
        row = table[activation, (0.0, *SEVERITIES)[step]]
        assert row["accuracy"] == pytest.approx(fmean(means))
        assert row["spread"] == pytest.approx(stdev(means))


def test_layer_profile(run: Run) -> None:
    table = by(tables.layer_profile(run.layers), "activation", "index")
    mean_severity = fmean(SEVERITIES)
    for first_place, activation in ((0, "relu"), (2, "la_silu")):  # places of the two seeds: 0, 1 and 2, 3
        for index, (layer, elements) in enumerate(LAYERS):
            row = table[activation, index]
            size = mean_severity * (index + 1)
            output = fmean([1.0 + first_place, 2.0 + first_place])
            assert (row["layer"], row["elements"]) == (layer, elements)
            assert row["input_fluctuation"] == pytest.approx(4 * size / elements)
            assert row["output_fluctuation"] == pytest.approx(output * size / elements)
            assert row["fluctuation_ratio"] == pytest.approx(output / 4)
            assert row["scale_free_amplification"] == pytest.approx(0.6 + 0.1 * (first_place + 0.5))
            assert row["input_spread"] == pytest.approx((9 * mean_severity) ** 0.5 / elements)
            assert row["output_spread"] == pytest.approx((4 * size) ** 0.5 / elements)


def test_layer_profile_shows_missing_values_and_still_inputs_as_nan(run: Run) -> None:
    layers = run.layers.copy()
    row = layers.index[(layers["severity"] > 0) & (layers["activation"] == "relu") & (layers["index"] == 0)][
        0
    ]
    layers.loc[row, "output_fluctuation_mean"] = np.nan
    layers.loc[layers["activation"] == "la_silu", "input_fluctuation_mean"] = 0.0
    table = by(tables.layer_profile(layers), "activation", "index")
    assert np.isnan(table["relu", 0]["output_fluctuation"])
    assert not np.isnan(table["relu", 1]["output_fluctuation"])
    assert np.isnan(table["la_silu", 0]["fluctuation_ratio"])


def test_activation_means(run: Run) -> None:
    layers = run.layers.copy()
    layers.loc[layers["severity"] > 0, ["activation_mean", "activation_abs_mean"]] += 1
    table = by(tables.activation_means(layers), "activation", "index")
    for first_place, activation in ((0, "relu"), (2, "la_silu")):
        for index in range(len(LAYERS)):
            row = table[activation, index]
            mean = 0.1 * (first_place + 0.5) - 0.1 * index
            assert row["clean_mean"] == pytest.approx(mean)
            assert row["clean_offset"] == pytest.approx(0.01 * (first_place + 0.5))
            assert row["clean_abs_mean"] == pytest.approx(0.3 + 0.1 * (first_place + 0.5))
            assert row["corruptions_mean"] == pytest.approx(mean + 1)
            assert row["corruptions_abs_mean"] == pytest.approx(1.3 + 0.1 * (first_place + 0.5))


def test_failures_name_rows_and_checkpoints_without_rows() -> None:
    builder = Builder(failed={"relu-11": "NaN in the weights"})
    listed = [CheckpointInfo(name="gone", status="failed", error="truncated", activation="elu")]
    listed += builder.run().info.checkpoints
    table = by(failures(builder.cells(), listed), "checkpoint")
    assert list(table) == ["relu-11", "gone"]
    assert (table["relu-11"]["failed_cells"], table["relu-11"]["error"]) == (7, "NaN in the weights")
    gone = table["gone"]
    assert (gone["activation"], gone["failed_cells"], gone["error"]) == ("elu", 0, "truncated")


def test_inputs_are_not_written_to(run: Run) -> None:
    before = replace(run, cells=run.cells.copy(), layers=run.layers.copy())
    for table in (metrics.leaderboard, make_grid, tables.curves, metrics.checkpoint_scores):
        table(run.cells)
    tables.layer_profile(run.layers)
    tables.activation_means(run.layers)
    pd.testing.assert_frame_equal(run.cells, before.cells)
    pd.testing.assert_frame_equal(run.layers, before.layers)


def test_intervals_of_curves_are_students(run: Run) -> None:
    table = by(tables.curves(run.cells), "activation", "corruption", "severity")
    for activation in ("relu", "la_silu"):
        expected = mean_interval([SHARES[activation, seed][1] for seed in (11, 22)])
        row = table[activation, CORRUPTIONS[0][0], SEVERITIES[0]]
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    single = tables.curves(run.cells[run.cells["training_seed"] == 11])
    assert single[["low", "high", "spread"]].isna().all(axis=None)


def test_significance_over_both_and_over_images_alone(run: Run) -> None:
    """Against scipy, on differences written out by hand."""
    scores = metrics.checkpoint_scores(run.cells)
    right = {
        f"{name}-{seed}": np.mean(
            [
                np.mean(
                    [count > ORDER for count in CORRECT[name, seed][1 + 2 * place : 3 + 2 * place]], axis=0
                )
                for place in range(len(CORRUPTIONS))
            ],
            axis=0,
        )
        for name, seed in CORRECT
    }
    joint = metrics.joint_analyses(scores, right)["net"]
    (row,) = significance(scores, right, joint, ["la_silu", "relu"]).to_dict("records")
    images = (right["la_silu-11"] + right["la_silu-22"] - right["relu-11"] - right["relu-22"]) / 2
    assert (row["a"], row["b"]) == ("la_silu", "relu")
    found = stats.ttest_1samp(images, 0)
    assert row["images_difference"] == pytest.approx(np.mean(images))
    assert row["images_p"] == pytest.approx(found.pvalue)
    assert row["images_adjusted"] == row["images_p"]  # a single pair
    ends = found.confidence_interval()
    assert (row["images_low"], row["images_high"]) == pytest.approx((ends.low, ends.high))
    seeds = np.array([score("la_silu", seed) - score("relu", seed) for seed in (11, 22)])
    apart = np.array([right[f"la_silu-{seed}"] - right[f"relu-{seed}"] for seed in (11, 22)])
    rest = apart - apart.mean(1, keepdims=True) - apart.mean(0) + apart.mean()
    of_images = images.var(ddof=1) / len(images) - (rest**2).sum() / (len(images) - 1) / (2 * len(images))
    error = np.sqrt(seeds.var(ddof=1) / 2 + max(of_images, 0))
    assert row["joint_difference"] == pytest.approx(seeds.mean())
    assert row["joint_p"] == pytest.approx(2 * stats.t.sf(seeds.mean() / error, 1))
    assert (row["joint_seeds"], row["joint_superiority"]) == (2, 1)


def test_many_pairs_are_corrected_for_their_number() -> None:
    random = np.random.default_rng(2)
    names = ["a", "b", "c"]
    scores = pd.DataFrame({"activation": names, "checkpoint": names, "training_seed": 1, "mca": 0.5})
    table = significance(scores, {name: random.random(50) for name in names}, None, names)
    assert list(zip(table["a"], table["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    p = table["images_p"].to_numpy()
    smallest = p.argmin()
    assert table["images_adjusted"][smallest] == pytest.approx(min(3 * p[smallest], 1))
    assert (table["images_adjusted"] >= p).all()


def test_without_outcomes_of_images_there_is_no_test(run: Run) -> None:
    scores = metrics.checkpoint_scores(run.cells)
    (row,) = significance(scores, None, None, ["la_silu", "relu"]).to_dict("records")
    assert {row["joint_note"], row["images_note"]} == {"this run does not say which images were right"}
    assert np.isnan([row["joint_p"], row["images_p"]]).all()


def test_signals_and_distributions_are_those_of_clean_images(run: Run) -> None:
    signals = by(tables.signals(run.layers), "activation", "index")
    boxes = by(tables.mean_quantiles(run.layers), "activation", "index")
    for first_place, activation in ((0, "relu"), (2, "la_silu")):
        place = first_place + 0.5  # mean over two seeds
        for index in range(len(LAYERS)):
            assert signals[activation, index]["rho"] == pytest.approx(0.5 + 0.1 * place)
            assert boxes[activation, index]["activation_q95"] == pytest.approx(0.1 * place + 0.95)
    assert "gradient_variance" not in tables.signals(run.layers)  # was not measured
    bare = run.layers.drop(columns=[name for name in run.layers if "_q" in str(name)])
    assert tables.mean_quantiles(bare).empty


def test_disturbance_and_loss(run: Run) -> None:
    """Inputs move by 0.2 s (index + 1); severities 1 and 5, two layers."""
    found = by(tables.disturbance_and_loss(run.cells, run.layers), "checkpoint")
    assert len(found) == len(CORRECT)
    for place, (activation, seed) in enumerate(CORRECT):
        row = found[f"{activation}-{seed}"]
        assert row["input_disturbance"] == pytest.approx(0.2 * 3 * 1.5)
        assert row["scale_free_amplification"] == pytest.approx(0.6 + 0.1 * place)
        assert row["lost"] == pytest.approx(SHARES[activation, seed][0] - score(activation, seed))
    without = run.layers.drop(columns="input_disturbance_mean")
    assert tables.disturbance_and_loss(run.cells, without).empty
