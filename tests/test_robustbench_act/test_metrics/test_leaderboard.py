"""Every number of the leaderboard against sums written out by hand, in plain Python."""

from statistics import fmean, stdev

import numpy as np
import pandas as pd
import pytest

from robustbench_act.errors import InputError
from robustbench_act.metrics import LEADERBOARD, checkpoint_scores, leaderboard
from robustbench_act.statistics import Joint
from tests.build_run import CORRECT, SHARES, Builder, by, corruption_means, score


def joint_of(cells: pd.DataFrame) -> Joint:
    """Return the joint analysis, from what is right in each image, written out."""
    right: dict[str, list[list[float]]] = {"la_silu": [], "relu": []}
    for name, own in cells[cells["severity"] > 0].groupby("checkpoint"):
        bits = [np.unpackbits(np.frombuffer(packed, np.uint8))[:200] for packed in own["outcomes"]]
        right[str(name).rsplit("-", 1)[0]].append(np.mean(bits, axis=0).tolist())
    return Joint.of(right, {"la_silu": [11, 22], "relu": [11, 22]})


@pytest.fixture
def cells() -> pd.DataFrame:
    return Builder().cells()


@pytest.mark.parametrize(("place", "activation"), [(0, "la_silu"), (1, "relu")])
def test_leaderboard_equals_a_hand_computation(cells: pd.DataFrame, place: int, activation: str) -> None:
    row = leaderboard(cells).iloc[place]
    scores = [score(activation, seed) for seed in (11, 22)]
    clean = fmean(SHARES[activation, seed][0] for seed in (11, 22))
    joint = joint_of(cells)
    place_of = joint.names.index(activation)
    (low, high), ranks = (ends[:2] for ends in (joint.levels(), joint.ranks()))
    expected = {
        "rank": place + 1,
        "activation": activation,
        "normalization": "batch",
        "network_group": "",
        "architecture": "net",
        "mca": fmean(scores),
        "joint_low": low[place_of],
        "joint_high": high[place_of],
        "rank_low": ranks[0][place_of],
        "rank_high": ranks[1][place_of],
        "first": joint.first()[place_of],
        "spread": stdev(scores),
        "seeds": 2,
        "clean": clean,
        "retained": fmean(scores) / clean,
        "group_noise": fmean(fmean(corruption_means(activation, seed)[:2]) for seed in (11, 22)),
        "group_weather": fmean(corruption_means(activation, seed)[2] for seed in (11, 22)),
    }
    assert row.to_dict() == pytest.approx(expected)
    assert list(row.index) == list(expected) == [*LEADERBOARD, "group_noise", "group_weather"]


def test_one_seed_has_no_interval() -> None:
    row = leaderboard(Builder(correct={("relu", 1): (100, *[50] * 6)}).cells()).iloc[0]
    assert row[["spread", "joint_low", "joint_high", "rank_low", "rank_high", "first"]].isna().all()
    assert (row["mca"], row["seeds"], row["rank"]) == (0.25, 1, 1)


def test_severities_weigh_within_their_corruption() -> None:
    cells = Builder(correct={("relu", 1): (200, 100, 0, 100, 0, 200, 200)}).cells()
    fewer = cells[~((cells["corruption"] == "fog") & (cells["severity"] == 5))]
    row = leaderboard(fewer).iloc[0]
    assert row["mca"] == pytest.approx((0.25 + 0.25 + 1.0) / 3)  # not (0.5 + 0 + 0.5 + 0 + 1) / 5


def test_ties_share_a_rank_and_architectures_have_their_own() -> None:
    same = {(name, 1): (100, *[50] * 6) for name in ("relu", "elu")}
    cells = pd.concat([Builder(correct=same).cells(), Builder(architecture="other").cells()])
    cells["checkpoint"] = cells["architecture"] + cells["checkpoint"]
    board = leaderboard(cells)
    ranks = {(row["architecture"], row["activation"]): row["rank"] for _, row in board.iterrows()}
    assert ranks == {("net", "relu"): 1, ("net", "elu"): 1, ("other", "la_silu"): 1, ("other", "relu"): 2}
    assert board["mca"].is_monotonic_decreasing


def test_zero_clean_accuracy_retains_nothing_measurable() -> None:
    board = leaderboard(Builder(correct={("relu", 1): (0, *[20] * 6)}).cells())
    assert board["retained"].isna().all()


def test_checkpoint_scores(cells: pd.DataFrame) -> None:
    table = by(checkpoint_scores(cells), "checkpoint")
    for (activation, seed), values in SHARES.items():
        row = table[f"{activation}-{seed}"]
        assert row["clean"] == values[0]
        assert row["training_seed"] == seed
        assert row["mca"] == pytest.approx(score(activation, seed))
        assert row["group_weather"] == pytest.approx(corruption_means(activation, seed)[2])


def test_one_failed_cell_takes_its_checkpoint_out_of_every_average(cells: pd.DataFrame) -> None:
    cells = cells.copy()
    row = cells.index[(cells["checkpoint"] == "relu-11") & (cells["severity"] == 5)][0]
    cells.loc[row, "accuracy"] = np.nan
    cells.loc[row, "error"] = "out of memory"
    board = by(leaderboard(cells), "activation")
    assert board["relu"]["seeds"] == 1
    assert board["relu"]["mca"] == pytest.approx(score("relu", 22))
    assert board["la_silu"]["seeds"] == 2


def test_all_failed_gives_an_empty_board_with_its_columns() -> None:
    failed = {f"{activation}-{seed}": "broken" for activation, seed in CORRECT}
    board = leaderboard(Builder(failed=failed).cells())
    assert board.empty
    assert list(board) == list(LEADERBOARD)


def test_missing_numbers_are_errors(cells: pd.DataFrame) -> None:
    cells = cells.copy()
    cells.loc[3, "accuracy"] = np.nan
    with pytest.raises(InputError, match=r"impulse_noise at severity 1 of checkpoint 'relu-11' has neither"):
        leaderboard(cells)
    with pytest.raises(InputError, match=r"'relu-22' has no clean cell or no corrupted cell"):
        leaderboard(cells[(cells["severity"] > 0) & (cells["checkpoint"] == "relu-22")])
