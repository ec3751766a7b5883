"""What changed between runs, table by table, against sums written out by hand."""

import json
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
from reports.multi_run.tables import class_changes, unpaired
from reports.sections.cells import DRAWN
from tests.build_run import CLASSES, CORRECT, CORRUPTIONS, LABELS, ORDER, SEVERITIES, Builder, N, by

from ..pieces import page_of, section_of

FALL = {("relu", 11): (0, 0, -21, 0, 0, -42, -58), ("relu", 22): (0, 0, 0, 0, 0, 0, -28)}
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
            assert row["p"] == pytest.approx(p, rel=1e-9, abs=0)
            if p < 1:
                low, high = test.confidence_interval()
                assert (row["low"], row["high"]) == pytest.approx((low, high))
            tests.append((row, p))
        expected = adjusted([p for _, p in tests])
        assert [row["adjusted"] for row, _ in tests] == pytest.approx(expected)
    assert rows["relu ⟨2⟩ new", "weather", "fog"]["change"] == pytest.approx(fmean([-42, -58, 0, -28]) / N)


def test_without_outcomes_changes_are_known_and_tests_are_not(tmp_path: Path) -> None:
    paths = [Builder().write(tmp_path / "old"), Builder(correct=LATER).write(tmp_path / "new")]
    for path in (path for run in paths for path in (run / "cells").glob("*.parquet")):
        pd.read_parquet(path).drop(columns="outcomes").to_parquet(path)
    report = make_report(*paths)
    table = report.analysis.corruption_changes
    assert table["adjusted"].isna().all()
    assert table.loc[table["corruption"] == "fog", "change"].min() == pytest.approx(
        fmean([-42, -58, 0, -28]) / N
    )
    assert report.analysis.class_changes.empty
    assert "*</b></td>" not in page_of(report, "between", "classes")


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


def test_three_runs_are_families_of_their_own_and_seeds_need_not_match(tmp_path: Path) -> None:
    """relu has two seeds, la_silu one: they weigh alike. Holm's correction is over the rows of two runs."""
    counts: Mapping[tuple[str, int], Sequence[int]]
    counts = {key: CORRECT[key] for key in CORRECT if key != ("la_silu", 22)}
    later = {key: LATER[key] for key in counts}
    paths = [Builder(correct=counts).write(tmp_path / "old"), Builder(correct=later).write(tmp_path / "mid")]
    paths.append(Builder(correct={**counts, ("mish", 1): CORRECT["relu", 11]}).write(tmp_path / "new"))
    analysis = make_report(*paths).analysis
    only, whole = analysis.corruption_changes, analysis.run_changes.set_index("run")
    two = make_report(*paths[:2]).analysis.corruption_changes
    shown = ["group", "corruption", "change", "p", "adjusted"]
    pd.testing.assert_frame_equal(only.loc[only["run"] == "mid", shown], two[shown])
    assert (only.loc[only["run"] == "new", "p"] == 1).all()
    relu = (side(LATER, ["relu"], "fog") - side(CORRECT, ["relu"], "fog")).mean()
    row = by(two, "name", "corruption")["", "fog"]
    silu = fmean(LATER["la_silu", 11][place] - CORRECT["la_silu", 11][place] for place in (5, 6)) / N
    assert row["change"] == pytest.approx((relu + silu) / 2)
    alone = [
        np.mean([own["la_silu", 11][place] > ORDER for place in (5, 6)], axis=0) for own in (LATER, CORRECT)
    ]
    moved = side(LATER, ["relu"], "fog") - side(CORRECT, ["relu"], "fog") + alone[0] - alone[1]
    test = stats.ttest_1samp(moved / 2, 0)
    assert row["p"] == pytest.approx(test.pvalue, rel=1e-9, abs=0)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval()))
    by_class = analysis.class_changes[analysis.class_changes["run"] == "mid"]
    assert by_class["change"].mean() == pytest.approx(whole.loc["mid", "mca"])  # 50 images in each
    assert whole.loc["mid", "difference"] == pytest.approx(whole.loc["mid", "mca"])


def test_checkpoints_without_a_partner_make_no_change_under_any_corruption(tmp_path: Path) -> None:
    whole = Builder().write(tmp_path / "old")
    part = Builder(failed={"relu-22": "out of ink"}).write(tmp_path / "new")
    analysis = make_report(whole, part).analysis
    assert (analysis.corruption_changes["change"] == 0).all()
    assert (analysis.corruption_changes["p"] == 1).all()
    assert (analysis.class_changes["change"] == 0).all()


def test_very_few_images_are_not_tested() -> None:
    """Of two or three images that move alike a t-test is certain: of nothing."""
    scores = pd.DataFrame({"checkpoint": ["a", "b"], "architecture": "net", "training_seed": 1})
    scores = scores.assign(activation=["relu ⟨1⟩ old", "relu ⟨2⟩ new"])
    was = np.tile([0.25, 0.5], 50)
    for few, tested in ((5, 0), (10, 10)):
        labels = pd.Series(np.arange(100) % (100 // few))
        table = class_changes(scores, {"a": was, "b": was - 0.25}, labels)
        assert table["change"].to_numpy() == pytest.approx(-0.25)
        assert table["adjusted"].notna().sum() == tested


def test_each_class_has_its_own_change(runs: tuple[Path, Path]) -> None:
    report = make_report(*runs)
    changes = by(report.analysis.class_changes, "label")
    section = section_of(report.analysis, "classes")
    rows = {row["name"]: row["changes"][0] for row in section.content["rows"]}
    assert len({cell["text"] for cell in rows.values()}) > 1
    for label, name in enumerate(CLASSES):
        shown = float(rows[name]["text"].rstrip("*").replace("−", "-"))
        assert shown == pytest.approx(100 * changes[label]["change"], abs=0.051)
        assert rows[name]["beyond"] == (changes[label]["adjusted"] < 0.05)
    assert "old → new: Of 4 classes, the mean of these networks loses in 4 (" in page_of(
        report, "verdict", "classes"
    )


def test_what_one_run_alone_has_is_said(tmp_path: Path) -> None:
    extra = {**CORRECT, ("mish", 11): CORRECT["relu", 11]}
    old, new = Builder().write(tmp_path / "old"), Builder(correct=extra).write(tmp_path / "new")
    page = page_of(make_report(old, new), "verdict")
    assert "Not compared, since measured in one run alone: Mish (new)." in page
    assert "Not compared" not in page_of(make_report(old), "verdict")
    failed = {f"relu-{seed}": "out of ink" for seed in (11, 22)}
    gone = Builder(failed=failed).write(tmp_path / "gone")
    assert "Not compared, since measured in one run alone: ReLU (old)." in page_of(
        make_report(old, gone), "verdict"
    )


def test_an_activation_of_another_architecture_is_another() -> None:
    scores = pd.DataFrame(
        {
            "checkpoint": ["a", "b", "c"],
            "architecture": ["net", "net", "big"],
            "activation": ["relu ⟨1⟩ old", "relu ⟨2⟩ new", "relu"],
        }
    )
    found = unpaired(scores, {"a": "old", "b": "new", "c": "old"})
    assert found.to_dict("records") == [{"architecture": "big", "activation": "relu", "run": "old"}]
    assert unpaired(scores, {}).empty


def test_of_which_architecture_an_activation_is_not_compared(tmp_path: Path) -> None:
    run = Builder().write(tmp_path / "old"), Builder().write(tmp_path / "new")
    big = Builder(architecture="big", correct={("relu", 1): CORRECT["relu", 11]})
    for kind, table in (("cells", big.cells()), ("layers", big.layers())):
        table.assign(checkpoint="big-1").to_parquet(run[0] / kind / "part-9.parquet")
    info = json.loads((run[0] / "run.json").read_text())
    info["checkpoints"].append({**big.run_json()["checkpoints"][0], "name": "big-1"})
    (run[0] / "run.json").write_text(json.dumps(info))
    page = page_of(make_report(*run), "verdict")
    assert "Not compared, since measured in one run alone: ReLU in big (old)." in page


def test_the_page_has_every_change_and_marks_those_beyond_noise(runs: tuple[Path, Path]) -> None:
    report = make_report(*runs)
    table = report.analysis.corruption_changes
    section = section_of(report.analysis, "between")
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
    page = page_of(report, "between")
    assert '<td class="lost9" data-activation="relu ⟨2⟩ new"><b>−16.0*</b></td>' in page
    (change,) = (drawing for drawing in section.exports if drawing.name == "change-map-0")
    assert change.data.set_index("corruption").loc["fog", "ReLU"] == pytest.approx(-0.16)


def test_of_many_activations_the_figure_has_those_that_fell_most(tmp_path: Path) -> None:
    was = {(f"act{place:02}", 1): CORRECT["relu", 11] for place in range(45)}
    now = {key: tuple(count - place for count in own) for place, (key, own) in enumerate(was.items())}
    now = {key: tuple(max(count, 0) for count in own) for key, own in now.items()}
    runs = Builder(correct=was).write(tmp_path / "old"), Builder(correct=now).write(tmp_path / "new")
    section = section_of(make_report(*runs).analysis, "between")
    (drawing,) = section.exports
    assert list(drawing.data)[:3] == ["corruption", "mean", "act44"]
    assert len(drawing.data.columns) == 1 + DRAWN
