"""One verdict on two runs: what differs, and whether it keeps them from being compared."""

from dataclasses import replace

import numpy as np
import pytest

from robustbench_act.comparability import compare_setups
from robustbench_act.run import Run
from tests.build_run import simulated_run, with_info

RIGHT = np.random.default_rng(0).random((5, 40)) < 0.6


@pytest.fixture
def run() -> Run:
    return simulated_run({"a": RIGHT, "b": RIGHT})


def test_a_run_and_its_copy_may_be_compared(run: Run) -> None:
    other = with_info(run, version="later", device="cuda", created="tomorrow")
    verdict = compare_setups(run, other)
    assert verdict.unlike == verdict.images == verdict.unpaired == ()
    assert verdict.refusal("x and y", whole=True) == ""


def test_unlike_sources_are_refused_unless_forced(run: Run) -> None:
    verdict = compare_setups(run, with_info(run, seed=7, severities=(1, 5)))
    assert (
        verdict.refusal("x and y") == "x and y are not alike: seed 42 against 7; severities 1,3 against 1,5."
    )
    assert verdict.refusal("x and y", forced=True) == ""


def test_other_images_are_refused_even_if_forced(run: Run) -> None:
    verdict = compare_setups(run, with_info(run, seed=7, dataset=replace(run.info.dataset, images=60)))
    assert verdict.refusal("x and y", forced=True) == (
        "x and y: only the same images can be compared: 40 against 60 images."
    )


def test_a_checkpoint_without_a_partner_matters_to_who_wants_all(run: Run) -> None:
    verdict = compare_setups(simulated_run({"a": RIGHT}), run, places=("the run", "the baseline"))
    assert verdict.unpaired == ("checkpoint 'b' only in the baseline",)
    assert verdict.refusal("x and y") == ""
    assert verdict.refusal("x and y", whole=True) == (
        "x and y are not alike: checkpoint 'b' only in the baseline."
    )


def test_networks_of_pairs_are_compared_and_no_others(run: Run) -> None:
    first, second = run.info.checkpoints
    other = with_info(run, checkpoints=(first, replace(second, mean=(0.4,))))
    assert compare_setups(run, other).networks == ("b: mean [0.5] against [0.4]",)
    assert compare_setups(run, other, pairs=[("a", "a")]).networks == ()
    assert compare_setups(run, other, pairs=[("a", "b")]).networks == ("a: mean [0.5] against [0.4]",)
