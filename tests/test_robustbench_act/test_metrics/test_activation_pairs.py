"""Mine against theirs inside one run: the report's pair in the mean, sums written out at every level."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from reports.analysis import Analysis
from robustbench_act.errors import InputError
from robustbench_act.metrics import ANSWER, NO_OUTCOMES, PAIR
from robustbench_act.run import Run
from robustbench_act.statistics import ONE_SEED
from tests.build_run import Builder, by, with_error

CORRUPTIONS = (
    ("gaussian_noise", "noise"),
    ("shot_noise", "noise"),
    ("fog", "weather"),
    ("shift_gaussian", "shift"),
    ("shift_up", "shift"),
)
SEEDS, IMAGES, CELLS = 4, 30, 1 + 2 * len(CORRUPTIONS)
PLACES = {
    ("mean", "corruptions"): [[1, 2], [3, 4], [5, 6]],
    ("group", "noise"): [[1, 2], [3, 4]],
    ("group", "weather"): [[5, 6]],
    ("corruption", "gaussian_noise"): [[1, 2]],
    ("corruption", "shot_noise"): [[3, 4]],
    ("corruption", "fog"): [[5, 6]],
    ("shifts", "input shifts"): [[7, 8], [9, 10]],
    ("shift", "shift_gaussian"): [[7, 8]],
    ("shift", "shift_up"): [[9, 10]],
}
"""What is in each row: for each corruption the places of its cells."""


def outcomes(*names: str) -> dict[tuple[str, int], NDArray[np.bool_]]:
    """Return which images each network has right; seeds move all activations alike, and each by itself."""
    random = np.random.default_rng(3)
    ease, seed = random.normal(size=(1, 1, 1, IMAGES)), random.normal(size=(1, SEEDS, 1, 1))
    lead = np.linspace(1.5, 0, len(names)).reshape(-1, 1, 1, 1)
    noise = random.normal(size=(len(names), SEEDS, CELLS, IMAGES))
    right = lead + ease + 0.3 * seed + noise > 0
    return {(name, 7 + k): right[place, k] for place, name in enumerate(names) for k in range(SEEDS)}


def run_of(*names: str) -> Run:
    return Builder(outcomes(*names), corruptions=CORRUPTIONS, probes=False).run()


def test_the_mean_is_the_pair_of_the_report() -> None:
    run = run_of("la_silu", "relu", "mine(alpha=0.1)")
    (pairs,) = Analysis(run).significance.values()
    own = by(pairs, "a", "b")
    found = run.compare_activations("la_silu", "relu", "mine (alpha=0.1)")
    assert list(found) == list(ANSWER)
    rows = by(found[found["level"] == "mean"], "b")
    for b in ("relu", "mine(alpha=0.1)"):
        expected = own["la_silu", b]
        for name in set(PAIR) - {"adjusted", "detectable"}:  # the report corrects over other pairs
            known = expected[f"joint_{name}"]
            assert rows[b][name] == (known if name == "note" else pytest.approx(known, rel=1e-12))


def test_like_is_compared_with_like() -> None:
    """Normalisation by normalisation, each as in the report; across an axis only if nothing is in common."""
    run = run_of("la_silu", "relu", "gelu")
    cells, again = run.cells, run_of("gelu", "la_silu", "relu").cells
    again = again.assign(normalization="layer", checkpoint="l" + again["checkpoint"])
    cells = pd.concat([cells.assign(normalization="batch"), again[again["activation"] != "gelu"]])
    run = replace(run, cells=cells.reset_index(drop=True))
    (pairs,) = Analysis(run).significance.values()
    expected = {frozenset((row["a"], row["b"])): row for row in pairs.to_dict("records")}
    found = run.compare_activations("la_silu", "relu")
    rows = by(found[found["level"] == "mean"], "normalization")
    assert rows.keys() == {"batch", "layer"}
    for norm, row in rows.items():
        assert (row["a"], row["b"]) == ("la_silu", "relu")
        known = expected[frozenset(f"{name} ‹{norm} norm›" for name in ("la_silu", "relu"))]
        assert abs(row["difference"]) == pytest.approx(abs(known["joint_difference"]))
        assert row["p"] == row["adjusted"] == pytest.approx(known["joint_p"])
        assert row["high"] - row["low"] == pytest.approx(known["joint_high"] - known["joint_low"])
    (row,) = by(run.compare_activations("gelu", "relu"), "level", "name", "normalization").keys() & {
        ("mean", "corruptions", "batch"), ("mean", "corruptions", "layer"), ("mean", "corruptions", "")
    }  # fmt: skip
    assert row[2] == "batch"
    other = cells[(cells["activation"] == "gelu") | (cells["normalization"] == "layer")]
    across = replace(run, cells=other).compare_activations("gelu", "relu").iloc[0]
    assert (across["a"], across["b"]) == ("gelu ‹batch norm›", "relu ‹layer norm›")
    assert across["normalization"] == ""


def test_every_level_written_out() -> None:
    """Two activations of the same seeds: the crossed analysis of variance of their differences."""
    right = outcomes("la_silu", "relu")
    found = by(run_of("la_silu", "relu").compare_activations("la_silu", "relu"), "level", "name")
    assert list(found) == list(PLACES)
    for key, places in PLACES.items():
        scores = {
            name: np.array(
                [
                    np.mean([right[name, 7 + k][own].mean(axis=0) for own in places], axis=0)
                    for k in range(SEEDS)
                ]
            )
            for name in ("la_silu", "relu")
        }
        apart = scores["la_silu"] - scores["relu"]
        of_seeds = IMAGES * apart.mean(axis=1).var(ddof=1)
        of_images = SEEDS * apart.mean(axis=0).var(ddof=1)
        rest = apart - apart.mean(axis=1, keepdims=True) - apart.mean(axis=0) + apart.mean()
        of_both = (rest**2).sum() / ((SEEDS - 1) * (IMAGES - 1))
        error = np.sqrt((max(of_seeds, of_both) + max(of_images - of_both, 0)) / apart.size)
        half = stats.t.ppf(0.975, SEEDS - 1) * error
        row = found[key]
        assert (row["a_accuracy"], row["b_accuracy"]) == pytest.approx(
            (scores["la_silu"].mean(), scores["relu"].mean())
        )
        expected = (apart.mean(), apart.mean() - half, apart.mean() + half)
        assert (row["difference"], row["low"], row["high"]) == pytest.approx(expected)
        assert row["p"] == pytest.approx(2 * stats.t.sf(abs(apart.mean()) / error, SEEDS - 1))


def test_holm_is_inside_each_level_of_each_architecture() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    run = run_of("la_silu", "relu", "gelu")
    again = run.cells.assign(architecture="other", checkpoint="o" + run.cells["checkpoint"])
    both = pd.concat([run.cells, again])
    found = replace(run, cells=both).compare_activations("relu", "la_silu", "gelu")
    alone = run.compare_activations("relu", "la_silu", "gelu")
    for _, own in found.groupby("architecture"):
        pd.testing.assert_frame_equal(own.reset_index(drop=True).iloc[:, 1:], alone.iloc[:, 1:])
    sizes = {"mean": 2, "group": 4, "corruption": 6, "shifts": 2, "shift": 4}
    for level, own in alone.groupby("level"):
        assert len(own) == sizes[str(level)]
        expected = multitest.multipletests(own["p"], method="holm")[1]
        assert own["adjusted"].to_numpy() == pytest.approx(expected)


def test_one_seed_and_no_outcomes_say_what_can_be_said() -> None:
    run = run_of("la_silu", "relu")
    whole = run.compare_activations("la_silu", "relu")
    one, bare = (
        replace(run, cells=cells).compare_activations("la_silu", "relu")
        for cells in (run.cells[run.cells["training_seed"] == 7], run.cells.drop(columns="outcomes"))
    )
    for found, note in ((one, ONE_SEED), (bare, NO_OUTCOMES)):
        assert (found["note"] == note).all()
        assert found["difference"].notna().all()
        assert found[["low", "high", "p", "adjusted", "detectable"]].isna().all(axis=None)
    for name in ("difference", "superiority", "seeds"):
        assert bare[name].to_numpy() == pytest.approx(whole[name].to_numpy())


def test_a_run_of_shifts_alone_has_its_mean_over_them() -> None:
    run = run_of("la_silu", "relu")
    shifts = run.cells["group"].isin(["clean", "shift"])
    found = replace(run, cells=run.cells[shifts]).compare_activations("la_silu", "relu")
    assert list(zip(found["level"], found["name"], strict=True)) == [
        ("mean", "input shifts"), ("shift", "shift_gaussian"), ("shift", "shift_up"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("la_silu", "relo"), "Unknown activation of this run 'relo'. Did you mean 'relu'?"),
        (("la_silu", "LA-SiLU"), "Expected two activations or more, each once, got la_silu, LA-SiLU."),
        (("la_silu",), "Expected two activations or more, each once, got la_silu."),
        (("la_silu", "gelu"), "No network of gelu was measured without an error."),
        (("la_silu", "mish"), "No architecture has both la_silu and mish."),
    ],
)
def test_names_that_cannot_be_compared(names: tuple[str, ...], message: str) -> None:
    run: Any = run_of("la_silu", "relu", "gelu", "mish")
    cells = run.cells.assign(architecture=np.where(run.cells["activation"] == "mish", "other", "net"))
    run = replace(run, cells=cells)
    for seed in range(7, 7 + SEEDS):
        run = with_error(run, f"gelu-{seed}", "broken")
    with pytest.raises(InputError) as caught:
        run.compare_activations(*names)
    assert str(caught.value) == message
