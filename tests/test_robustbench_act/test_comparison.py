"""What moved between two runs, against the tests it is made of; unlike runs are refused."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from robustbench_act.comparison import compare_runs
from robustbench_act.errors import InputError
from robustbench_act.statistics import Joint, compare_images, compare_outcomes, holm
from tests.build_run import simulated_run, with_error, with_info

Outcomes = NDArray[np.bool_]
NAMES = ("relu_1", "relu_2", "relu_3")


def draw(accuracy: float, seed: int, images: int = 300) -> Outcomes:
    return np.random.default_rng(seed).random((5, images)) < accuracy


@pytest.fixture
def before() -> dict[str, Outcomes]:
    return {name: draw(0.7, seed) for seed, name in enumerate(NAMES)}


@pytest.fixture
def after(before: dict[str, Outcomes]) -> dict[str, Outcomes]:
    """Return the same with fog at severity 3 better, and shot_noise of the last network worse."""
    changed = {name: outcomes.copy() for name, outcomes in before.items()}
    for seed, outcomes in enumerate(changed.values()):
        outcomes[4] |= draw(0.5, 100 + seed)[0]
    changed["relu_3"][1:3] &= draw(0.6, 200)[:2]
    return changed


def test_tables_hold_what_the_tests_say(before: dict[str, Outcomes], after: dict[str, Outcomes]) -> None:
    found = compare_runs(simulated_run(before, path="A"), simulated_run(after, path="B"))
    assert found.notes == ()
    for place, row in enumerate(found.checkpoints.to_dict("records")):
        name = NAMES[place]
        a, b = before[name][1:].mean(0), after[name][1:].mean(0)
        expected = compare_images(b, a)
        assert (row["checkpoint"], row["other"], row["activation"]) == (name, name, "relu")
        assert (row["a"], row["b"]) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
        assert row["difference"] == pytest.approx((b - a).mean())
        assert row["p"] == pytest.approx(expected.p)
        assert (row["low"], row["high"]) == pytest.approx(tuple(expected.interval))
    assert found.checkpoints["adjusted"].tolist() == holm(found.checkpoints["p"]).tolist()
    (row,) = found.activations.to_dict("records")
    right = {
        run: np.array([outcomes[name][1:].mean(0) for name in NAMES])
        for run, outcomes in (("a", before), ("b", after))
    }
    joint = Joint.of(right, dict.fromkeys(right, (1, 2, 3))).compare("b", "a")
    assert (row["a"], row["b"]) == pytest.approx((right["a"].mean(), right["b"].mean()))
    assert (row["p"], row["low"]) == pytest.approx((joint.p, joint.interval.low))
    assert len(found.cells) == 3 * 5
    (cell,) = found.cells.query("checkpoint == 'relu_2' and corruption == 'fog' and severity == 3").to_dict(
        "records"
    )
    expected = compare_outcomes(after["relu_2"][4], before["relu_2"][4])
    assert (cell["difference"], cell["p"], cell["effect"]) == (
        expected.difference,
        expected.p,
        expected.effect,
    )


def test_what_moved_comes_first(before: dict[str, Outcomes], after: dict[str, Outcomes]) -> None:
    found = compare_runs(simulated_run(before), simulated_run(after))
    moved = found.moved()
    cells = set(zip(moved["checkpoint"], moved["corruption"], moved["severity"], strict=True))
    assert cells == {
        *((name, "fog", 3.0) for name in NAMES),
        ("relu_3", "shot_noise", 1.0),
        ("relu_3", "shot_noise", 3.0),
    }
    assert found.cells["adjusted"].is_monotonic_increasing
    assert (moved["adjusted"] < 0.05).all()
    assert (found.cells[len(moved) :]["p"] == 1).all()
    assert "fog" in found._repr_html_()


def test_the_surest_comes_before_the_largest() -> None:
    """Twelve images fall and none rises (4 points); 60 fall and 40 rise (6.7 points, less sure)."""
    a = np.ones((5, 300), dtype=bool)
    b = a.copy()
    b[1, :12] = False
    a[4, :40], b[4, 40:100] = False, False
    found = compare_runs(simulated_run({"x": a}), simulated_run({"x": b})).cells
    assert found["corruption"].tolist()[:2] == ["shot_noise", "fog"]
    assert found["difference"].tolist()[:2] == pytest.approx([-12 / 300, -20 / 300])


def test_the_only_checkpoints_are_paired_whatever_their_names(before: dict[str, Outcomes]) -> None:
    a = simulated_run({"relu_1": before["relu_1"]})
    b = simulated_run({"retrained": before["relu_2"]})
    (row,) = compare_runs(a, b).checkpoints.to_dict("records")
    assert (row["checkpoint"], row["other"]) == ("relu_1", "retrained")
    assert compare_runs(a, b).activations.empty


def test_a_run_compared_with_itself_did_not_move(before: dict[str, Outcomes]) -> None:
    run = simulated_run(before)
    found = run.compare(run)
    assert found.moved().empty
    assert (found.checkpoints["difference"] == 0).all()
    assert (found.checkpoints["p"] == 1).all()


def test_unlike_runs_are_refused_or_marked(before: dict[str, Outcomes]) -> None:
    run = simulated_run(before, path="A")
    other = with_info(run, seed=7)
    with pytest.raises(InputError, match=r"A and A are not alike: seed 42 against 7\. --force compares them"):
        compare_runs(run, other)
    assert compare_runs(run, other, force=True).notes == ("unlike runs: seed 42 against 7",)
    fewer = replace(run, cells=run.cells[run.cells["corruption"] != "fog"])
    with pytest.raises(InputError, match=r"cells 'fog:1 \[32\]' and 'fog:3 \[32\]' only in the first"):
        compare_runs(run, fewer)
    forced = compare_runs(run, fewer, force=True)
    assert set(forced.cells["corruption"]) == {"clean", "shot_noise"}


def test_other_images_are_never_paired(before: dict[str, Outcomes]) -> None:
    run = simulated_run(before)
    more = simulated_run({name: draw(0.7, 3, images=200) for name in before})
    with pytest.raises(InputError, match="only the same images can be compared: 300 against 200 images"):
        compare_runs(run, more, force=True)
    with pytest.raises(InputError, match="other images, data set 'toy' against 'toy'"):
        compare_runs(run, with_info(run, dataset=replace(run.info.dataset, digest="x")), force=True)


def test_what_is_not_in_both_is_said(before: dict[str, Outcomes]) -> None:
    run = simulated_run(before)
    two = simulated_run({name: before[name] for name in NAMES[:2]})
    assert compare_runs(run, two).notes == ("not compared one by one: checkpoint 'relu_3' only in the first",)
    failed = compare_runs(run, with_error(run, "relu_2", "broken"))
    assert failed.notes == ("not compared: checkpoint 'relu_2' failed",)
    assert failed.checkpoints["checkpoint"].tolist() == ["relu_1", "relu_3"]
    renamed = simulated_run({"x": before["relu_1"], "y": before["relu_2"]})
    by_activation = compare_runs(run, renamed)
    assert (len(by_activation.checkpoints), by_activation.activations["activation"].tolist()) == (0, ["relu"])
    other = replace(renamed, cells=renamed.cells.assign(activation="elu"))
    with pytest.raises(InputError, match="no checkpoint has the same name in both, and no activation"):
        compare_runs(run, other)
    alone = simulated_run({"relu_1": before["relu_1"]})
    nothing = compare_runs(alone, with_error(alone, "relu_1", "broken"))
    assert nothing.checkpoints.empty
    assert nothing.moved().empty


def test_one_image_has_no_test(before: dict[str, Outcomes]) -> None:
    run = simulated_run({name: outcomes[:, :1] for name, outcomes in before.items()})
    found = compare_runs(run, run)
    assert found.checkpoints["p"].isna().all()
    assert (found.checkpoints["note"] == "one image has no test").all()
