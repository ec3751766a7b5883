"""The paper's layout: means, deviations and p-values by hand; published figures as the paper has them."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustbench_act.paper_tables import COLUMNS, layeract_table
from robustbench_act.run import Run
from tests.build_run import simulated_run

SEEDS = 4


@pytest.fixture(scope="module")
def run() -> Run:
    """Return a run of three activations with four training seeds, and a shift that does not count."""
    random = np.random.default_rng(0)
    corruptions = (("shot_noise", "noise"), ("fog", "weather"), ("shift_up", "shift"))
    runs = []
    for activation, accuracy in (("relu", 0.6), ("la_silu", 0.7), ("elu", 0.5)):
        right = {f"{activation}_{seed}": random.random((7, 200)) < accuracy for seed in range(SEEDS)}
        runs.append(simulated_run(right, corruptions=corruptions, activation=activation))
    cells = pd.concat([run.cells for run in runs], ignore_index=True)
    return replace(runs[0], cells=cells)


def scores(run: Run, activation: str, *, corruption: str) -> list[float]:
    rows = run.cells[(run.cells["activation"] == activation) & (run.cells["corruption"] == corruption)]
    return [100 * fmean(own["accuracy"]) for _, own in rows.groupby("training_seed")]


def find(table: pd.DataFrame, activation: str, statistic: str) -> dict[str, Any]:
    """Return the one row of an activation and a statistic."""
    rows = table[(table["activation"] == activation) & (table["statistic"] == statistic)]
    (row,) = rows.to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_equal_to_hand_made_sums(run: Run) -> None:
    table = layeract_table(run)
    assert set(table["source"]) == {"ours"}
    for activation in ("relu", "la_silu", "elu"):
        shot, fog = (scores(run, activation, corruption=name) for name in ("shot_noise", "fog"))
        total = [fmean(pair) for pair in zip(shot, fog, strict=True)]
        clean = scores(run, activation, corruption="clean")
        for statistic, function in (("mean", fmean), ("std", stdev)):
            row = find(table, activation, statistic)
            found = [row[name] for name in ("clean", "total", "noise", "weather")]
            assert found == pytest.approx([function(values) for values in (clean, total, shot, fog)])
            assert row["seeds"] == SEEDS
            assert all(np.isnan(row[name]) for name in ("blur", "digital", "extra"))
    relu, la_silu = (scores(run, name, corruption="fog") for name in ("relu", "la_silu"))
    row = find(table, "relu", "p vs la_silu")
    assert row["weather"] == pytest.approx(stats.ttest_rel(la_silu, relu).pvalue)
    tested = table[table["statistic"].str.startswith("p vs")]
    assert set(tested["statistic"]) == {"p vs la_silu"}
    assert set(tested["activation"]) == {"relu", "elu"}


def test_published_figures_stand_beside_ours(run: Run, shared: Callable[[str], Path]) -> None:
    cells = run.cells.assign(architecture="cifar:resnet32?width=16", dataset="cifar-10")
    named = replace(run, cells=cells)
    table = layeract_table(named)
    published = table[table["source"] == "published"]
    assert (published["architecture"] == "cifar:resnet32?width=16").all()
    mean = find(published, "la_silu", "mean")
    with shared("papers/layeract_corrupted.csv").open() as file:
        (row,) = [
            row
            for row in csv.DictReader(file)
            if (row["dataset"], row["architecture"], row["activation"])
            == ("cifar10-c", "resnet32", "LA-SiLU")
        ]
    assert [mean[name] for name in COLUMNS[1:]] == [float(row[name]) for name in COLUMNS[1:]]
    stds = published[published["statistic"] == "std"].set_index("activation")
    assert stds["clean"].notna().all()
    assert len(stds) == 10


def test_seeds_that_do_not_match_have_no_test(run: Run) -> None:
    cells = run.cells.copy()
    cells.loc[cells["activation"] == "elu", "training_seed"] += 100
    table = layeract_table(replace(run, cells=cells))
    row = find(table, "elu", "p vs la_silu")
    assert (row["seeds"], row["note"]) == (0, "no training seed in both")
    assert all(np.isnan(row[name]) for name in COLUMNS)


def test_one_seed_has_no_spread_and_no_test(run: Run) -> None:
    cells = run.cells[run.cells["training_seed"] == 1]
    table = layeract_table(replace(run, cells=cells))
    assert table[table["statistic"] == "std"][list(COLUMNS)].isna().all(axis=None)
    row = find(table, "relu", "p vs la_silu")
    assert row["note"] == "one training seed has no test"


def test_normalisations_stand_apart(run: Run, shared: Callable[[str], Path]) -> None:
    """Next to layer normalisation stand the figures of Tables 1 to 5, next to batch those of 6 to 13."""
    cells = run.cells.assign(architecture="cifar:resnet20", dataset="cifar-10", normalization="layer")
    both = pd.concat([cells, cells.assign(normalization="batch", checkpoint=cells["checkpoint"] + "b")])
    table = layeract_table(replace(run, cells=both))
    ours = table[table["source"] == "ours"]
    assert (ours.groupby(["activation", "statistic"])["normalization"].nunique() == 2).all()
    published = table[table["source"] == "published"]
    layer = find(published[published["normalization"] == "layer"], "silu", "mean")
    with shared("papers/layeract_normalisation_tables.csv").open() as file:
        wanted = {"normalisation": "layer_norm", "dataset": "cifar10", "architecture": "resnet20"}
        rows = [row for row in csv.DictReader(file) if wanted.items() <= row.items()]
    (row,) = [row for row in rows if row["activation"] == "SiLU"]
    assert [layer[name] for name in COLUMNS] == [float(row[name]) for name in COLUMNS]
    assert (published["normalization"] == "batch").sum() == 20
