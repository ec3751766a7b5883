"""Runs at the edge of what can be shown: numbers where there are some, one line where there are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robustbench_act.cli import result_tables
from robustbench_act.cli.metric_table import SHOWN
from robustbench_act.comparison import compare_runs
from robustbench_act.errors import InputError
from robustbench_act.metrics import METRICS
from tests.build_run import Builder, simulated_run, with_error

RIGHT = np.random.default_rng(0).random((5, 40)) < 0.7
RUNS = {
    "one seed": simulated_run({"a": RIGHT}),
    "one image": simulated_run({"a": RIGHT[:, :1], "b": RIGHT[:, :1]}),
    "all right": simulated_run({"a": np.ones((5, 40), dtype=bool)}),
    "all wrong": simulated_run({"a": np.zeros((5, 40), dtype=bool)}),
}


@pytest.mark.parametrize("name", RUNS)
def test_edges_are_numbers_or_dashes(name: str) -> None:
    run = RUNS[name]
    for _, shown, _ in (*result_tables.metrics(run, "relu")[1], *result_tables.layeract(run)[1]):
        assert len(shown) > 0
        assert not shown.isin(["nan", "inf"]).any(axis=None)
    (*_, (title, table, _)) = result_tables.comparison(compare_runs(run, run), 20)
    assert title.startswith("None of ")
    assert table.empty
    assert "40 images" in repr(run) or name == "one image"


def test_nothing_to_show_is_said() -> None:
    run = RUNS["one seed"]
    empty = replace(run, cells=run.cells.iloc[:0])
    for nothing in (empty, with_error(run, "a", "broken")):
        for show in (lambda run: result_tables.metrics(run, None), result_tables.layeract):
            with pytest.raises(InputError, match="nothing to show, every checkpoint failed"):
                show(nothing)
        assert nothing.leaderboard().empty


def test_an_activation_with_parameters_is_written_one_way() -> None:
    run = simulated_run({"a": RIGHT, "b": RIGHT}, activation="la_silu(alpha=0.1)")
    activations = result_tables.comparison(compare_runs(run, run), 20)[0]
    for _, shown, _ in (*result_tables.metrics(run, None)[1], *result_tables.layeract(run)[1], activations):
        assert set(shown["activation"]) == {"LA-SiLU (alpha=0.1)"}


def test_every_metric_shown_is_declared() -> None:
    assert set(SHOWN) <= set(METRICS)


def test_a_run_as_baseline_must_be_one() -> None:
    with pytest.raises(InputError, match=r"run\.json is missing"):
        result_tables.metrics(RUNS["one seed"], str(Path(__file__).parent))


def test_a_reference_is_one_variant() -> None:
    norms = {"relu-11": "batch", "relu-22": "layer", "la_silu-11": "batch", "la_silu-22": "layer"}
    run = Builder(normalization=norms).run()
    frame, (block,) = result_tables.metrics(run, "relu layer")
    assert frame.set_index("checkpoint").loc["relu-22", "mce"] == pytest.approx(1)
    assert list(block.frame.columns[:2]) == ["activation", "normalisation"]
    with pytest.raises(
        InputError, match=r"\(la_silu batch, la_silu layer, relu batch, relu layer\), got 'relu'"
    ):
        result_tables.metrics(run, "relu")
