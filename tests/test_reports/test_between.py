"""What changed between runs, table by table, against sums written out by hand."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from reports import make_report
from tests.build_run import CORRECT, CORRUPTIONS, LABELS, ORDER, SEVERITIES, Builder, N, by

FALL = {("relu", 11): (0, 0, -20, 0, 0, -40, -60), ("relu", 22): (0, 0, 0, 0, 0, 0, -28)}
GAIN = {("la_silu", 11): (0, 0, 0, 0, 6, 2, 0)}
MOVES = {key: FALL.get(key, GAIN.get(key, (0,) * 7)) for key in CORRECT}
LATER = {key: tuple(map(sum, zip(CORRECT[key], MOVES[key], strict=True))) for key in CORRECT}
PARTS = {"noise": ("gaussian_noise", "impulse_noise"), **{name: (name,) for name, _ in CORRUPTIONS}}


def right(
    counts: Mapping[tuple[str, int], Sequence[int]], activation: str, corruption: str
) -> NDArray[np.float64]:
    """Return (images,): the mean over seeds and severities of what is right."""
    first = 1 + len(SEVERITIES) * [name for name, _ in CORRUPTIONS].index(corruption)
    cells = product((11, 22), range(first, first + len(SEVERITIES)))
    return np.asarray(np.mean([counts[activation, seed][cell] > ORDER for seed, cell in cells], axis=0))


def side(
    counts: Mapping[tuple[str, int], Sequence[int]], activations: list[str], part: str
) -> NDArray[np.float64]:
    return np.asarray(np.mean([right(counts, *pair) for pair in product(activations, PARTS[part])], axis=0))


def adjusted(p: list[float]) -> list[float]:
    """Return Holm's p-values: of the k-th smallest of n, n + 1 - k times as much, never falling."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    found, highest = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        found[place] = highest
    return found


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return Builder().write(tmp_path / "old"), Builder(correct=LATER).write(tmp_path / "new")


def test_the_change_under_each_corruption(runs: tuple[Path, Path]) -> None:
    table = make_report(*runs).analysis.corruption_changes
    assert set(zip(table["base"], table["run"], strict=True)) == {("old", "new")}
    rows = by(table, "name", "group", "corruption")
    groups = dict(CORRUPTIONS)
    columns = {"": ["relu", "la_silu"], "relu ⟨2⟩ new": ["relu"], "la_silu ⟨2⟩ new": ["la_silu"]}
    assert len(rows) == len(columns) * len(PARTS)
    for family in ([""], [name for name in columns if name]):
        known = list(product(family, PARTS))
        tests = []
        for name, part in known:
            now, was = (side(counts, columns[name], part) for counts in (LATER, CORRECT))
            row = rows[name, groups.get(part, part), part if part in groups else ""]
            assert row["change"] == pytest.approx((now - was).mean(), abs=1e-12)
            test = stats.ttest_rel(now, was)
            p = 1.0 if (now == was).all() else float(test.pvalue)
            assert row["p"] == pytest.approx(p)
            if p < 1:
                low, high = test.confidence_interval()
                assert (row["low"], row["high"]) == pytest.approx((low, high))
            tests.append((row, p))
        expected = adjusted([p for _, p in tests])
        assert [row["adjusted"] for row, _ in tests] == pytest.approx(expected)
    assert rows["relu ⟨2⟩ new", "weather", "fog"]["change"] == pytest.approx(fmean([-40, -60, 0, -28]) / N)


def test_without_outcomes_changes_are_known_and_tests_are_not(tmp_path: Path) -> None:
    paths = [Builder().write(tmp_path / "old"), Builder(correct=LATER).write(tmp_path / "new")]
    for path in (path for run in paths for path in (run / "cells").glob("*.parquet")):
        pd.read_parquet(path).drop(columns="outcomes").to_parquet(path)
    report = make_report(*paths)
    table = report.analysis.corruption_changes
    assert table["adjusted"].isna().all()
    assert table.loc[table["corruption"] == "fog", "change"].min() == pytest.approx(
        fmean([-40, -60, 0, -28]) / N
    )
    assert report.analysis.class_changes.empty
    assert "*</td>" not in report.html()


def test_a_single_activation_has_no_mean_beside_it(tmp_path: Path) -> None:
    only = {key: CORRECT[key] for key in CORRECT if key[0] == "relu"}
    later = {key: LATER[key] for key in only}
    table = make_report(
        Builder(correct=only).write(tmp_path / "old"), Builder(correct=later).write(tmp_path / "new")
    ).analysis.corruption_changes
    assert set(table["name"]) == {"relu ⟨2⟩ new"}


def test_the_change_of_each_class(runs: tuple[Path, Path]) -> None:
    table = make_report(*runs).analysis.class_changes.set_index("label")
    whole = [
        np.mean([right(counts, *pair) for pair in product(("relu", "la_silu"), dict(CORRUPTIONS))], axis=0)
        for counts in (LATER, CORRECT)
    ]
    p = []
    for label in range(4):
        now, was = (values[np.equal(LABELS, label)] for values in whole)
        assert table.loc[label, "difference"] == pytest.approx((now - was).mean())
        assert table.loc[label, "pairs"] == N / 4
        p.append(float(stats.ttest_rel(now, was).pvalue))
    assert table["adjusted"].tolist() == pytest.approx(adjusted(p))


def test_what_one_run_alone_has_is_said(tmp_path: Path) -> None:
    extra = {**CORRECT, ("mish", 11): CORRECT["relu", 11]}
    report = make_report(Builder().write(tmp_path / "old"), Builder(correct=extra).write(tmp_path / "new"))
    assert report.analysis.run.info["alone"] == {"old": [], "new": ["mish"]}
    assert "Not compared, since one run alone has them: Mish (new)." in report.html()
    assert "Not compared" not in make_report(tmp_path / "old").html()


def test_the_page_has_every_change_and_marks_those_beyond_noise(runs: tuple[Path, Path]) -> None:
    report = make_report(*runs)
    table = report.analysis.corruption_changes
    (section,) = (section for section in report.sections if section.name == "between")
    (found,) = section.content["maps"]
    assert [column["label"] for column in found["columns"]] == [
        "mean",
        "ReLU",
        "LA-SiLU",
    ]  # largest fall first
    shown = {
        (column["activation"], row["name"]): cell
        for block in found["blocks"]
        for row in block["rows"]
        for column, cell in zip(found["columns"], row["cells"], strict=True)
    }
    assert len(shown) == len(table)
    for row in table.to_dict("records"):
        cell = shown[row["name"], row["corruption"] or f"mean of {row['group']}"]
        assert cell["text"].endswith("*") == cell["beyond"] == (row["adjusted"] < 0.05)
        assert float(cell["text"].rstrip("*").replace("−", "-")) == pytest.approx(
            100 * row["change"], abs=0.051
        )
    assert {cell["beyond"] for cell in shown.values()} == {True, False}
    page = report.html()
    assert '<td class="lost9" data-activation="relu ⟨2⟩ new"><b>−16.0*</b></td>' in page
    (change,) = (drawing for drawing in section.exports if drawing.name == "change-map-0")
    assert change.data.set_index("corruption").loc["fog", "ReLU"] == pytest.approx(-0.16)
