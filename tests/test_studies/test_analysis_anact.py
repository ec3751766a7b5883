"""H-d and H-e, against sums over the tables written out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from studies.analysis.anact import GRADIENTS, speed, variances
from studies.analysis.contrasts import PRIMARY, SECONDARY
from studies.analysis.tables import Results
from studies.analysis.verdicts import verdicts
from tests.test_studies.study_tables import (
    SIX,
    Tables,
    curve,
    null_tables,
    of,
    rows_of,
    scale,
    write_tables,
)

ALL = (*SIX, "nrelu")
SEEDS = range(1, 7)


def read(folder: Path, tables: Tables) -> Results:
    return Results.read(write_tables(folder, tables))


def flatten(tables: Tables, activation: str, power: float) -> None:
    """Raise the gradient variances of an activation to a power: their logs spread `power` times as far."""
    tracks = tables["tracks"]
    tracks.loc[of(tracks, activation), "gradient_variance"] **= power


def test_variances_written_out(tmp_path: Path) -> None:
    tables = null_tables(ALL)
    flatten(tables, "nswish", 0.2)
    found = variances(read(tmp_path, tables))

    def apart(name: str) -> list[float]:
        rows = [rows_of(tables["tracks"], name, seed) for seed in SEEDS]
        columns = ["normalized_rho", "normalized_rho_prime"]
        return [np.abs(np.log(own[columns].to_numpy())).sum() / len(own) for own in rows]

    def spread(name: str) -> list[float]:
        rows = [rows_of(tables["tracks"], name, seed) for seed in SEEDS]
        moments = ([own[own["step"] == step] for step in (0, 25, 50, 100)] for own in rows)
        return [np.mean([np.log(one["gradient_variance"]).std(ddof=1) for one in own]) for own in moments]

    assert {(one.a, one.b) for one in found} == {("nrelu", "relu"), ("nswish", "silu")}
    for one in found:
        measure = spread if one.measure == GRADIENTS else apart
        a, b = measure(one.a), measure(one.b)
        assert one.estimate == pytest.approx(np.mean(a) - np.mean(b))
        assert one.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    p = np.sort([one.p for one in found])
    expected = np.minimum(np.maximum.accumulate(p * [4, 3, 2, 1]), 1)
    assert np.sort([one.adjusted for one in found]) == pytest.approx(expected)
    assert verdicts(found)["outcome"].tolist() == ["not shown", "shown"]


def test_the_variance_of_gradients_decides(tmp_path: Path) -> None:
    """NReLU keeps the moments of its outputs alone; NSwish spreads gradients further than SiLU."""
    tables = null_tables(ALL)
    scale(tables["tracks"], "relu", normalized_rho=20)
    flatten(tables, "nswish", 4)
    found = variances(read(tmp_path, tables))
    (moments,) = [one for one in found if one.a == "nrelu" and one.measure != GRADIENTS]
    assert moments.adjusted < 1e-6
    assert moments.estimate < 0
    assert verdicts(found)["outcome"].tolist() == ["not shown", "opposite shown"]


def with_curves(tables: Tables, steps: Mapping[str, Sequence[tuple[int | None, int | None]]]) -> Tables:
    """Give activations other curves: for each seed the checks from which it is at 95 % and at 98 %."""
    curves = tables["curves"]
    rest = [curves[~np.logical_or.reduce([of(curves, name) for name in steps])]]
    new = [
        curve(f"{name}_{seed}", *ends)
        for name, own in steps.items()
        for seed, ends in zip(SEEDS, own, strict=True)
    ]
    return {**tables, "curves": pd.concat([*rest, *new], ignore_index=True)}


def test_speed_is_the_first_check_at_a_threshold(tmp_path: Path) -> None:
    """NSwish is sooner at 95 % and censored at 98 %: one threshold is enough for the claim."""
    fast = [(50, 200), (50, None), (100, 200), (100, 300), (50, 200), (50, 250)]
    slow = [(300, 200), (350, None), (400, 350), (450, None), (300, 350), (400, 250)]
    tables = with_curves(null_tables(ALL), {"nswish": fast, "silu": slow})
    found = speed(read(tmp_path, tables), [0.95, 0.98])
    first, second = (one for one in found if one.a == "nswish")
    steps = [[50, 50, 100, 100, 50, 50], [200, 350, 350, 450, 300, 250]]  # at 98 % it is at 95 % too
    assert first.p == pytest.approx(stats.ttest_rel(*np.log(steps)).pvalue)
    assert (first.test, second.test) == ("paired t", "sign")
    assert second.p == pytest.approx(stats.binomtest(3, 3).pvalue)
    assert second.adjusted > 0.05
    family = [one for one in found if one.role == PRIMARY]
    assert len(family) == 4
    assert first.adjusted == pytest.approx(4 * first.p)
    assert {one.a for one in found if one.role == SECONDARY} == {"la_silu", "la_hardsilu"}
    outcomes = verdicts(found).set_index("a")["outcome"]
    assert outcomes["nswish"] == "shown"
    slower = with_curves(tables, {"nswish": slow, "silu": fast})
    found = speed(read(tmp_path, slower), [0.95, 0.98])
    assert verdicts(found).set_index("a").loc["nswish", "outcome"] == "opposite shown"


def test_faster_at_one_threshold_and_slower_at_the_other_shows_nothing(tmp_path: Path) -> None:
    tables = with_curves(
        null_tables(ALL), {"nswish": [(50, 450)] * 5 + [(100, 400)], "silu": [(200, 250)] * 6}
    )
    found = speed(read(tmp_path, tables), [0.95, 0.98])
    first, second = (one for one in found if one.a == "nswish")
    assert first.adjusted < 0.01 > second.adjusted
    assert verdicts(found).set_index("a").loc["nswish", "outcome"] == "not shown"
