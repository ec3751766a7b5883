"""Every number of the tables against sums written out by hand, in plain Python."""

from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports import ReportError, RunData, tables

from .build import CORRECT, CORRUPTIONS, LAYERS, SEVERITIES, Builder, N

SHARES = {key: [count / N for count in counts] for key, counts in CORRECT.items()}
STUDENT_1 = 12.706204736432095  # 97.5% quantile, one degree of freedom (two seeds): tan(0.475 pi)
STUDENT_2 = 4.302652729911275  # two degrees of freedom: 0.95 sqrt(2 / (1 - 0.95^2))


def by(table: pd.DataFrame, *keys: str) -> dict[Any, dict[str, Any]]:
    """Return the rows of a table by the values of its keys."""
    rows = {tuple(row[key] for key in keys): row for row in table.to_dict("records")}
    assert len(rows) == len(table)
    return {key if len(keys) > 1 else key[0]: row for key, row in rows.items()}  # type: ignore[misc]


def corruption_means(activation: str, seed: int) -> list[float]:
    values = SHARES[activation, seed]
    return [fmean(values[1 + 2 * place : 3 + 2 * place]) for place in range(len(CORRUPTIONS))]


def score(activation: str, seed: int) -> float:
    return fmean(corruption_means(activation, seed))


@pytest.mark.parametrize(("place", "activation"), [(0, "la_silu"), (1, "relu")])
def test_leaderboard_equals_a_hand_computation(run: RunData, place: int, activation: str) -> None:
    row = tables.leaderboard(run.cells).iloc[place]
    scores = [score(activation, seed) for seed in (11, 22)]
    clean = fmean(SHARES[activation, seed][0] for seed in (11, 22))
    half = STUDENT_1 * stdev(scores) / 2**0.5
    expected = {
        "rank": place + 1,
        "activation": activation,
        "architecture": "net",
        "corrupted": fmean(scores),
        "low": fmean(scores) - half,
        "high": fmean(scores) + half,
        "spread": stdev(scores),
        "seeds": 2,
        "clean": clean,
        "retained": fmean(scores) / clean,
        "group_noise": fmean(fmean(corruption_means(activation, seed)[:2]) for seed in (11, 22)),
        "group_weather": fmean(corruption_means(activation, seed)[2] for seed in (11, 22)),
    }
    assert row.to_dict() == pytest.approx(expected)
    assert list(row.index) == list(expected) == [*tables.LEADERBOARD, "group_noise", "group_weather"]


def test_interval_over_three_seeds() -> None:
    run = Builder(
        correct={("relu", seed): (100, *[count] * 6) for seed, count in ((1, 40), (2, 50), (3, 90))}
    )
    row = tables.leaderboard(run.cells()).iloc[0]
    spread = stdev([0.20, 0.25, 0.45])
    assert row["spread"] == pytest.approx(spread)
    assert row["high"] - row["corrupted"] == pytest.approx(STUDENT_2 * spread / 3**0.5)


def test_one_seed_has_no_interval() -> None:
    row = tables.leaderboard(Builder(correct={("relu", 1): (100, *[50] * 6)}).cells()).iloc[0]
    assert row[["spread", "low", "high"]].isna().all()
    assert (row["corrupted"], row["seeds"], row["rank"]) == (0.25, 1, 1)


def test_severities_weigh_within_their_corruption() -> None:
    cells = Builder(correct={("relu", 1): (200, 100, 0, 100, 0, 200, 200)}).cells()
    fewer = cells[~((cells["corruption"] == "fog") & (cells["severity"] == 5))]
    row = tables.leaderboard(fewer).iloc[0]
    assert row["corrupted"] == pytest.approx((0.25 + 0.25 + 1.0) / 3)  # not (0.5 + 0 + 0.5 + 0 + 1) / 5


def test_ties_share_a_rank_and_architectures_have_their_own() -> None:
    same = {(name, 1): (100, *[50] * 6) for name in ("relu", "elu")}
    cells = pd.concat([Builder(correct=same).cells(), Builder(architecture="other").cells()])
    cells["checkpoint"] = cells["architecture"] + cells["checkpoint"]
    board = tables.leaderboard(cells)
    ranks = {(row["architecture"], row["activation"]): row["rank"] for _, row in board.iterrows()}
    assert ranks == {("net", "relu"): 1, ("net", "elu"): 1, ("other", "la_silu"): 1, ("other", "relu"): 2}
    assert board["corrupted"].is_monotonic_decreasing


def test_zero_clean_accuracy_retains_nothing_measurable() -> None:
    board = tables.leaderboard(Builder(correct={("relu", 1): (0, *[20] * 6)}).cells())
    assert board["retained"].isna().all()


def test_a_cell_of_two_suites_counts_once_and_two_tables_are_two_corruptions(run: RunData) -> None:
    board = tables.leaderboard(run.cells)
    again = run.cells[run.cells["corruption"] == "fog"].assign(suite="another")
    twice = pd.concat([run.cells, again[again["severity"] == 5]])  # would weigh more, if it counted
    pd.testing.assert_frame_equal(tables.leaderboard(twice), board)
    both = pd.concat([run.cells, again.assign(table="224")])
    assert ("weather", "fog [224]") in tables.heat(both).index
    assert ("weather", "fog [32]") in tables.heat(both).index
    assert ("noise", "gaussian_noise") in tables.heat(both).index


def test_checkpoint_scores(run: RunData) -> None:
    table = by(tables.checkpoint_scores(run.cells), "checkpoint")
    for (activation, seed), values in SHARES.items():
        row = table[f"{activation}-{seed}"]
        assert row["clean"] == values[0]
        assert row["training_seed"] == seed
        assert row["corrupted"] == pytest.approx(score(activation, seed))
        assert row["group_weather"] == pytest.approx(corruption_means(activation, seed)[2])


def test_heat(run: RunData) -> None:
    table = tables.heat(run.cells)
    columns: list[Any] = list(table.columns)
    assert columns == [("net", "la_silu"), ("net", "relu")]
    rows = [("clean", "clean"), *((group, name) for name, group in CORRUPTIONS)]
    index: list[Any] = list(table.index)
    assert index == rows
    for activation in ("la_silu", "relu"):
        clean = fmean(SHARES[activation, seed][0] for seed in (11, 22))
        means = zip(*(corruption_means(activation, seed) for seed in (11, 22)), strict=True)
        assert table["net", activation].tolist() == pytest.approx([clean, *map(fmean, means)])


def test_curves(run: RunData) -> None:
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


def test_layer_profile(run: RunData) -> None:
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
            assert row["amplification"] == pytest.approx(output / 4)
            assert row["input_spread"] == pytest.approx((9 * mean_severity) ** 0.5 / elements)
            assert row["output_spread"] == pytest.approx((4 * size) ** 0.5 / elements)


def test_layer_profile_shows_missing_values_and_still_inputs_as_nan(run: RunData) -> None:
    layers = run.layers.copy()
    row = layers.index[(layers["severity"] > 0) & (layers["activation"] == "relu") & (layers["index"] == 0)][
        0
    ]
    layers.loc[row, "output_fluctuation_mean"] = np.nan
    layers.loc[layers["activation"] == "la_silu", "input_fluctuation_mean"] = 0.0
    table = by(tables.layer_profile(layers), "activation", "index")
    assert np.isnan(table["relu", 0]["output_fluctuation"])
    assert not np.isnan(table["relu", 1]["output_fluctuation"])
    assert np.isnan(table["la_silu", 0]["amplification"])


def test_activation_means(run: RunData) -> None:
    layers = run.layers.copy()
    layers.loc[layers["severity"] > 0, ["activation_mean", "activation_abs_mean"]] += 1
    table = by(tables.activation_means(layers), "activation", "index")
    for first_place, activation in ((0, "relu"), (2, "la_silu")):
        for index in range(len(LAYERS)):
            row = table[activation, index]
            mean = 0.1 * (first_place + 0.5) - 0.1 * index
            assert row["clean_mean"] == pytest.approx(mean)
            assert row["clean_abs_mean"] == pytest.approx(0.3 + 0.1 * (first_place + 0.5))
            assert row["corrupted_mean"] == pytest.approx(mean + 1)
            assert row["corrupted_abs_mean"] == pytest.approx(1.3 + 0.1 * (first_place + 0.5))


def test_failures_name_rows_and_checkpoints_without_rows() -> None:
    builder = Builder(failed={"relu-11": "NaN in the weights"})
    listed = [{"name": "gone", "status": "failed", "error": "truncated", "activation": "elu"}]
    listed += builder.run_json()["checkpoints"]
    table = by(tables.failures(builder.cells(), listed), "checkpoint")
    assert list(table) == ["relu-11", "gone"]
    assert (table["relu-11"]["failed_cells"], table["relu-11"]["error"]) == (7, "NaN in the weights")
    gone = table["gone"]
    assert (gone["activation"], gone["failed_cells"], gone["error"]) == ("elu", 0, "truncated")


def test_one_failed_cell_takes_its_checkpoint_out_of_every_average(run: RunData) -> None:
    cells = run.cells.copy()
    row = cells.index[(cells["checkpoint"] == "relu-11") & (cells["severity"] == 5)][0]
    cells.loc[row, "accuracy"] = np.nan
    cells.loc[row, "error"] = "out of memory"
    board = by(tables.leaderboard(cells), "activation")
    assert board["relu"]["seeds"] == 1
    assert board["relu"]["corrupted"] == pytest.approx(score("relu", 22))
    assert board["la_silu"]["seeds"] == 2


def test_all_failed_gives_an_empty_board_with_its_columns() -> None:
    failed = {f"{activation}-{seed}": "broken" for activation, seed in CORRECT}
    board = tables.leaderboard(Builder(failed=failed).cells())
    assert board.empty
    assert list(board) == list(tables.LEADERBOARD)


def test_missing_numbers_are_errors(run: RunData) -> None:
    cells = run.cells.copy()
    cells.loc[3, "accuracy"] = np.nan
    with pytest.raises(
        ReportError, match=r"'relu-11' has no accuracy and no error for 'impulse_noise' at sev"
    ):
        tables.leaderboard(cells)
    with pytest.raises(ReportError, match=r"'relu-22' has no clean cell or no corrupted cell"):
        tables.leaderboard(cells[(cells["severity"] > 0) & (cells["checkpoint"] == "relu-22")])


def test_inputs_are_not_written_to(run: RunData) -> None:
    before = replace(run, cells=run.cells.copy(), layers=run.layers.copy())
    for table in (tables.leaderboard, tables.heat, tables.curves, tables.checkpoint_scores):
        table(run.cells)
    tables.layer_profile(run.layers)
    tables.activation_means(run.layers)
    pd.testing.assert_frame_equal(run.cells, before.cells)
    pd.testing.assert_frame_equal(run.layers, before.layers)


def test_columns_say_direction_and_unit_once() -> None:
    assert {name for name, column in tables.LEADERBOARD.items() if column.better == "lower"} == {"spread"}
    assert tables.group_column("noise").unit == "%"
