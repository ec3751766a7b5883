"""Activations with several normalisations are several cohorts, everywhere."""

import pandas as pd
import pytest

from robustbench_act.comparison import compare_runs
from robustbench_act.gate.units import members
from robustbench_act.metrics import (
    COHORT,
    checkpoint_scores,
    image_scores,
    joint_analyses,
    leaderboard,
    named,
)
from robustbench_act.metrics.cohorts import split_cohort
from robustbench_act.run import Run
from tests.build_run import Builder, by

NAMES = {f"{name} ‹{norm} norm›" for name in ("relu", "la_silu") for norm in ("batch", "layer")}
NORMS = {"relu-11": "batch", "relu-22": "layer", "la_silu-11": "batch", "la_silu-22": "layer"}


@pytest.fixture
def run() -> Run:
    """The run of the builder, as if the networks of the second seed had layer normalisation."""
    return Builder(normalization=NORMS).run()


def test_normalizations_are_ranked_side_by_side(run: Run) -> None:
    board = leaderboard(run.cells)
    scores = checkpoint_scores(run.cells).set_index(["activation", "normalization"])["mca"]
    assert list(board.columns[:3]) == ["rank", "activation", "normalization"]
    assert board["rank"].to_list() == [1, 2, 3, 4]
    assert {
        row: own["mca"] for row, own in by(board, "activation", "normalization").items()
    } == scores.to_dict()
    (joint,) = joint_analyses(checkpoint_scores(run.cells), image_scores(run.cells)).values()
    assert set(joint.names) == {
        f"{name} ‹{norm} norm›" for name in ("relu", "la_silu") for norm in NORMS.values()
    }


def test_one_normalization_changes_no_name(run: Run) -> None:
    for value in ("batch", ""):
        assert list(leaderboard(Builder(normalization=value).run().cells)["normalization"]) == [value] * 2
    alike = Builder().run().cells
    assert named(alike) is alike
    bare = alike.drop(columns="normalization")
    pd.testing.assert_frame_equal(leaderboard(bare).assign(normalization="batch"), leaderboard(alike))


def test_groups_are_never_averaged_together() -> None:
    cells = Builder().run().cells
    mine = cells["checkpoint"].isin(["relu-11"])
    board = leaderboard(cells.assign(network_group=mine.map({True: "mine", False: ""})))
    rows = sorted(map(tuple, board[["activation", "network_group", "seeds"]].to_numpy().tolist()))
    assert rows == [("la_silu", "", 2), ("relu", "", 1), ("relu", "mine", 1)]
    names = set(named(cells.assign(network_group=mine.map({True: "mine", False: ""})))["activation"])
    assert names == {"relu ‹mine›", "relu ‹no group›", "la_silu ‹no group›"}


def test_names_are_made_once_and_in_one_architecture_alone(run: Run) -> None:
    other = Builder(architecture="other").run().cells
    both = named(pd.concat([run.cells, other]))
    pd.testing.assert_frame_equal(named(both), both)
    names = {tuple(pair) for pair in both[COHORT].drop_duplicates().to_numpy()}
    assert ("other", "relu") in names
    assert ("net", "relu ‹layer norm›") in names
    assert {split_cohort(name)[0] for _, name in names} == {"relu", "la_silu"}
    failed = both[both["activation"] == "relu ‹layer norm›"]
    assert set(named(failed)["activation"]) == {"relu ‹layer norm›"}  # a part keeps its names


def test_the_gate_holds_each_normalization_to_itself(run: Run) -> None:
    assert set(members(run.info, "training")) == NAMES
    assert set(members(Builder().run().info, "training")) == {"relu", "la_silu"}


def test_runs_are_compared_normalization_by_normalization(run: Run) -> None:
    batch = Builder().run()
    found = compare_runs(batch, run, force=True).activations  # only the first seeds are of the same recipe
    assert set(found["normalization"]) == {"batch"}
    older = Builder(normalization="").run()
    found = compare_runs(older, Builder().run()).activations
    assert len(found) == 2  # what an older run does not say tells nothing apart
