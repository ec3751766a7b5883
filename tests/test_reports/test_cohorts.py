"""Activations with several normalisations stand side by side, under names of their own."""

from reports.analysis import Analysis
from reports.multi_run.join import join
from reports.names import label
from reports.report import Report
from reports.sections.leaderboard import leaderboard
from reports.sections.verdict import verdict
from robustbench_act.metrics import told_apart
from tests.build_run import Builder

NORMS = {"relu-11": "batch", "relu-22": "layer", "la_silu-11": "batch", "la_silu-22": "layer"}
NAMES = {f"{name} ‹{norm} norm›" for name in ("relu", "la_silu") for norm in ("batch", "layer")}


def test_names_lines_and_labels() -> None:
    analysis = Analysis(Builder(normalization=NORMS).run())
    assert set(analysis.activations) == set(analysis.lines) == NAMES
    assert len({(line.colour, line.dash) for line in analysis.lines.values()}) == 4
    assert {line.family for line in analysis.lines.values()} == {"LayerAct", "rectifier"}
    assert analysis.anchor == "relu ‹batch norm›"
    assert {label(name) for name in NAMES} >= {"LA-SiLU · layer norm", "ReLU · batch norm"}
    assert set(analysis.layers["activation"]) == NAMES


def test_the_leaderboard_has_a_column_where_there_are_several() -> None:
    board = leaderboard(Analysis(Builder(normalization=NORMS).run())).content["board"]
    assert {row["cells"]["activation"][0] for row in board["rows"]} == {"ReLU", "LA-SiLU"}
    assert {row["cells"]["normalization"][0] for row in board["rows"]} == {"batch", "layer"}
    alike = leaderboard(Analysis(Builder().run())).content["board"]
    assert "normalization" not in alike["columns"]


def test_the_verdict_counts_variants() -> None:
    content = verdict(Analysis(Builder(normalization=NORMS).run())).content
    assert "4 variants compared" in str(content["facts"])
    assert "the next of 4 variants." in str(content)
    assert "2 activations compared" in str(verdict(Analysis(Builder().run())).content["facts"])


def test_numbers_leave_with_a_column_for_each_part() -> None:
    report = Report(Builder(normalization=NORMS).run())
    numbers = leaderboard(report.analysis).numbers["leaderboard"]
    found = told_apart(numbers.drop(columns="normalization"), report.analysis.run.cells)
    assert list(found["activation"]) == [name.partition(" ")[0] for name in numbers["activation"]]
    assert list(found["normalization"]) == list(numbers["normalization"])


def joined(first: str | dict[str, str], second: str) -> set[str]:
    """Return the names in two runs, a and b, with these normalisations."""
    runs = [Builder(normalization=norm).run(f"at/{name}") for name, norm in (("a", first), ("b", second))]
    return set(join(runs).cells["activation"])


def test_runs_are_joined_normalisation_by_normalisation() -> None:
    """What both have is told apart by run; what an older run does not record tells nothing apart."""
    names = joined(NORMS, "batch")
    assert {"relu ‹batch norm› ⟨1⟩ a", "relu ‹batch norm› ⟨2⟩ b", "relu ‹layer norm›"} <= names
    assert {"relu ⟨1⟩ a", "relu ⟨2⟩ b"} <= joined("", "batch")
