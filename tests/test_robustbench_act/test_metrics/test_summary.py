"""Metrics of checkpoints against sums written out by hand."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]
from scipy import stats

from robustbench_act.errors import InputError
from robustbench_act.metrics import (
    ALEXNET,
    METRICS,
    alexnet,
    class_accuracy,
    group_columns,
    image_accuracy,
    image_accuracy_by_corruption,
    leaderboard,
    run_reference,
    summary,
)
from robustbench_act.metrics.reference import ALEXNET_CLEAN_ERROR
from robustbench_act.records import DatasetInfo, RunInfo, SuiteInfo, pack_outcomes
from tests.build_run import (
    CORRUPTIONS,
    SEVERITIES,
    SHARES,
    Builder,
    N,
    by,
    corruption_means,
    score,
    simulated_run,
)


@pytest.fixture
def cells() -> pd.DataFrame:
    return Builder().cells()


def test_every_column_is_declared(cells: pd.DataFrame) -> None:
    table = summary(cells)
    groups = group_columns(table)
    assert groups == ["group_noise", "group_weather"]
    assert set(table) - {"checkpoint", "training_seed"} - set(groups) <= set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_declarations_are_whole(name: str) -> None:
    metric = METRICS[name]
    assert metric.title
    assert metric.about.endswith((".", ")."))
    assert metric.bounds[0] < metric.bounds[1]
    assert metric.scale == (100 if metric.unit in ("%", "points") else 1)


def test_relative_metrics_equal_a_hand_computation(cells: pd.DataFrame) -> None:
    reference = run_reference(cells[cells["activation"] == "relu"], "ReLU")
    table = by(summary(cells, reference=reference), "checkpoint")
    errors = {key: [1 - mean for mean in corruption_means(*key)] for key in SHARES}
    base = [fmean(pair) for pair in zip(errors["relu", 11], errors["relu", 22], strict=True)]
    clean = {key: SHARES[key][0] for key in SHARES}
    base_clean = 1 - fmean([clean["relu", 11], clean["relu", 22]])
    for (activation, seed), own in errors.items():
        row = table[f"{activation}-{seed}"]
        assert row["error"] == pytest.approx(1 - score(activation, seed))
        assert row["retained"] == pytest.approx(score(activation, seed) / clean[activation, seed])
        assert row["mce"] == pytest.approx(fmean(e / b for e, b in zip(own, base, strict=True)))
        lost = [error - 1 + clean[activation, seed] for error in own]
        assert row["relative_mce"] == pytest.approx(
            fmean(e / (b - base_clean) for e, b in zip(lost, base, strict=True))
        )
        assert np.isnan(row["effective"])  # two checkpoints make no line
    assert fmean(table[f"relu-{seed}"]["mce"] for seed in (11, 22)) == pytest.approx(1.0)


@pytest.fixture
def models() -> pd.DataFrame:
    """Ten networks whose clean logits span 1.1, from 90 to 96.5 %."""
    wrong = [20, 18, 17, 15, 14, 12, 11, 10, 9, 7]
    counts = {
        ("relu", seed): (N - own, 150, 60 + own, 140, 40 - own, 180, 90) for seed, own in enumerate(wrong, 1)
    }
    return Builder(correct=counts).cells()


def test_effective_robustness_is_the_distance_to_the_line(models: pd.DataFrame) -> None:
    reference = run_reference(models, "all")
    table = summary(models, reference=reference)
    clean, corrupted = table["clean"].to_numpy(), table["mca"].to_numpy()
    x, y = np.log(clean / (1 - clean)), np.log(corrupted / (1 - corrupted))
    exact = sm.OLS(y, sm.add_constant(x)).fit()
    line = 1 / (1 + np.exp(-exact.fittedvalues))
    assert table["effective"].to_numpy() == pytest.approx(corrupted - line)
    assert reference.line is not None
    assert reference.line[:2] == pytest.approx(exact.params)
    assert reference.line[2:4] == pytest.approx(exact.conf_int()[1])


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (["relu-5"], "got 9 that span 1.12"),
        (["relu-10"], "got 9 that span"),
        (["relu-10", "relu-1"], "got 8 that"),
    ],
)
def test_fewer_than_ten_models_make_no_line(models: pd.DataFrame, left_out: list[str], reason: str) -> None:
    reference = run_reference(models[~models["checkpoint"].isin(left_out)], "all")
    assert reason in reference.refusals(N)["effective"]
    assert summary(models, reference=reference)["effective"].isna().all()


def test_models_of_one_clean_accuracy_make_no_line(models: pd.DataFrame) -> None:
    alike = models.assign(accuracy=models["accuracy"].where(models["severity"] > 0, 0.9))
    alike.loc[(alike["severity"] == 0) & (alike["checkpoint"] == "relu-1"), "accuracy"] = 1.0  # has no logit
    assert "got 9 that span 0.00" in run_reference(alike, "all").refusals(N)["effective"]


def _jackknife(statistic: Callable[[np.ndarray], float], images: int) -> float:
    """Return the standard error over images, each left out once: asymptotically that of the delta method."""
    each = np.array([statistic(np.delete(np.arange(images), one)) for one in range(images)])
    return float(np.sqrt((images - 1) / images * ((each - each.mean()) ** 2).sum()))


def test_intervals_of_ratios_are_those_of_the_jackknife() -> None:
    random = np.random.default_rng(5)
    hard = random.random((1, 1, 400))
    right = {name: random.random((1, 5, 400)) + level > 2 * hard for name, level in (("a", 1.0), ("b", 0.8))}
    run = simulated_run({name: own[0] for name, own in right.items()})
    reference = run_reference(run.cells[run.cells["checkpoint"] == "b"], "b")
    row = by(summary(run.cells, reference=reference), "checkpoint")["a"]

    def mce(kept: np.ndarray) -> float:
        error = {name: 1 - own[0][1:, kept].reshape(2, 2, -1).mean((1, 2)) for name, own in right.items()}
        return float((error["a"] / error["b"]).mean())

    def retained(kept: np.ndarray) -> float:
        return float(right["a"][0][1:, kept].mean() / right["a"][0][0, kept].mean())

    for name, statistic in (("mce", mce), ("retained", retained)):
        assert row[name] == pytest.approx(statistic(np.arange(400)))
        half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
        assert (row[f"{name}_high"] + row[f"{name}_low"]) / 2 == pytest.approx(row[name])
        assert half == pytest.approx(stats.t.ppf(0.975, 399) * _jackknife(statistic, 400), rel=0.02)
    elsewhere = replace(reference, image_errors=None)  # other images
    again = by(summary(run.cells, reference=elsewhere), "checkpoint")["a"]
    assert (again["mce"], np.isnan(again["mce_low"])) == (row["mce"], True)


def test_a_reference_that_hardly_errs_is_refused_by_name(cells: pd.DataFrame) -> None:
    reference = run_reference(cells[cells["activation"] == "relu"], "ReLU")
    fine = replace(reference, errors={**reference.errors, "fog": 0.06})
    assert "mce" not in fine.refusals(N)
    little = replace(reference, errors={**reference.errors, "fog": 0.04})
    assert little.refusals(N)["mce"].startswith("ReLU errs on 4.0% under fog, and a ratio needs 5.0%")
    assert "mce" not in little.refusals(10_000)
    assert "relative_mce" in little.refusals(10_000)  # 4 % is less than it errs on clean images
    table = summary(cells, reference=little)
    assert table[["mce", "relative_mce", "mce_low"]].isna().to_numpy().all()


def test_area_under_the_severity_curve(cells: pd.DataFrame) -> None:
    table = by(summary(cells), "checkpoint")
    assert SEVERITIES == (1.0, 5.0)
    for (activation, seed), shares in SHARES.items():
        areas = [
            ((shares[0] + one) / 2 * 1 + (one + five) / 2 * 4) / 5
            for one, five in zip(shares[1::2], shares[2::2], strict=True)
        ]
        assert table[f"{activation}-{seed}"]["severity_area"] == pytest.approx(fmean(areas))


def test_worst_class(cells: pd.DataFrame) -> None:
    labels = np.arange(N) % 3
    random = np.random.default_rng(0)
    right = random.random((len(cells), N)) < 0.6 + 0.1 * labels
    cells = cells.assign(outcomes=pack_outcomes(right), accuracy=right.mean(1))
    found = by(class_accuracy(cells, labels), "checkpoint", "label")
    table = by(summary(cells, labels=labels), "checkpoint")
    for checkpoint, rows in cells.groupby("checkpoint"):
        by_class = [right[rows.index][:, labels == label].mean(1) for label in range(3)]
        for label, shares in enumerate(by_class):
            row = found[checkpoint, label]
            assert (row["n"], row["clean"]) == ((labels == label).sum(), pytest.approx(shares[0]))
            assert row["mca"] == pytest.approx(shares[1:].mean())
        assert table[str(checkpoint)]["worst_class"] == pytest.approx(by_class[0][1:].mean())
        assert table[str(checkpoint)]["worst_class_n"] == found[checkpoint, 0]["n"]
        shrunk = table[str(checkpoint)]["worst_class_shrunk"]
        assert table[str(checkpoint)]["worst_class"] < shrunk < right[rows.index][1:].mean()
    with pytest.raises(InputError, match="a label for each of 200 images, got 3"):
        class_accuracy(cells, [0, 1, 2])


def test_images_weigh_severities_within_their_corruption() -> None:
    """A corruption with one severity counts as much as one with two, as in the leaderboard."""
    right = np.random.default_rng(1).random((5, 30)) < 0.6
    cells = simulated_run({"a": right}).cells
    fewer = cells[~((cells["corruption"] == "fog") & (cells["severity"] == 3))]
    found = image_accuracy(fewer[fewer["severity"] > 0])
    assert found == pytest.approx((right[1:3].mean(0) + right[3]) / 2)
    assert found.mean() == pytest.approx(leaderboard(fewer)["mca"][0])
    assert image_accuracy(cells[:1]).tolist() == right[0].tolist()


def test_images_by_corruption_count_a_cell_once_and_tell_tables_apart() -> None:
    """fog comes with two tables of constants, and one of its cells in two suites."""
    right = np.random.default_rng(3).random((7, 20)) < 0.5
    cells = pd.DataFrame(
        {
            "checkpoint": "a",
            "table": ["", "32", "32", "224", "224", "32", "32"],
            "corruption": ["clean", *["fog"] * 4, "snow", "fog"],
            "severity": [0, 1, 5, 1, 5, 3, 5],
            "n": 20,
            "outcomes": pack_outcomes(np.vstack([right[:6], right[2]])),
        }
    )
    found = image_accuracy_by_corruption(cells)
    assert found.index.tolist() == ["fog [32]", "fog [224]", "snow"]
    expected = [(right[1] + right[2] * 1) / 2, (right[3] + right[4] * 1) / 2, right[5] * 1]
    assert found.to_numpy().tolist() == np.array(expected, dtype=float).tolist()


def test_alexnet_is_for_imagenet_c_alone() -> None:
    info = RunInfo(
        dataset=DatasetInfo(name="imagenet", classes=tuple(map(str, range(1000)))),
        severities=(1, 2, 3, 4, 5),
        suites=(SuiteInfo(name="c15", table="224"),),
        checkpoints=(),
    )
    reference = alexnet(info)
    assert len(ALEXNET) == 15
    rows = [
        {"corruption": name, "group": "g", "severity": float(s), "accuracy": 1 - error / 2}
        for name, error in ALEXNET.items()
        for s in range(1, 6)
    ]
    rows.append({"corruption": "clean", "group": "clean", "severity": 0.0, "accuracy": 1 - 0.435 / 2})
    facts: dict[str, Any] = {"checkpoint": "a", "architecture": "n", "activation": "r", "table": "224"}
    facts |= {
        "error": None,
        **dict.fromkeys(
            ("top5", "loss", "brier", "ece", "ece_debiased", "ece_mass", "agreement", "severity_flips"), 0.0
        ),
    }
    cells = pd.DataFrame(rows).assign(**facts)
    (row,) = summary(cells, reference=reference).to_dict("records")
    assert row["mce"] == pytest.approx(0.5)
    assert row["relative_mce"] == pytest.approx(0.5)
    with pytest.raises(InputError, match="the run lacks fog"):
        summary(cells[cells["corruption"] != "fog"], reference=reference)
    with pytest.raises(InputError, match=r"1,000 classes, table 224 .*, got 1000, 32 and"):
        alexnet(replace(info, suites=(SuiteInfo(name="c15", table="32"),)))


def test_alexnet_has_the_published_errors(shared: Callable[[str], Path]) -> None:
    found = tomllib.loads(shared("reference/constants.toml").read_text())
    published = found["alexnet_error"]["imagenet_c"]
    assert {name: published[name] for name in ("clean", *ALEXNET)} == {
        "clean": ALEXNET_CLEAN_ERROR,
        **ALEXNET,
    }


def test_references_that_do_not_fit_are_errors(cells: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="Reference x: has no checkpoint without an error"):
        run_reference(cells.assign(error="broken"), "x")
    reference = run_reference(cells[cells["severity"] < 5], "low")
    with pytest.raises(InputError, match=r"Reference low: has severities \(1.0,\), the run \(1.0, 5.0\)"):
        summary(cells, reference=reference)


def test_a_reference_without_errors_gives_no_ratio() -> None:
    perfect = Builder(correct={("relu", 1): [N] * 7}).cells()
    (row,) = summary(perfect, reference=run_reference(perfect, "perfect")).to_dict("records")
    assert np.isnan(row["mce"])
    assert np.isnan(row["relative_mce"])


def test_shifts_are_no_corruption_errors(cells: pd.DataFrame) -> None:
    shifted = cells.assign(group=cells["group"].replace("weather", "shift"))
    assert list(run_reference(shifted, "x").errors) == [name for name, _ in CORRUPTIONS[:2]]
