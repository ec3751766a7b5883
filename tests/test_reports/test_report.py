"""Reports of several runs, and figures as files."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

import reports
from reports import Report, SectionError, make_report
from reports.figures.severity import CURVE_SIZE
from robustbench_act.cli import main
from robustbench_act.errors import InputError
from robustbench_act.metrics import leaderboard
from robustbench_act.run import Run
from tests.build_run import CORRECT, CORRUPTIONS, Builder, score

from .pieces import page_of, section_of


def two(tmp_path: Path, **changes: Any) -> tuple[Path, Path]:
    """Write a run of two activations, and another with one of them again, better by two images a cell."""
    better = {("relu", 11): tuple(count + 2 for count in CORRECT["relu", 11])}
    old, new = tmp_path / "old", tmp_path / "new"
    return Builder().write(old), Builder(correct=better, info=changes).write(new)


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    old, new = two(tmp_path)
    report = make_report(old, new)
    board = report.analysis.board.set_index("activation")["mca"]
    assert set(board.index) == {"la_silu", "relu ⟨1⟩ old", "relu ⟨2⟩ new"}
    assert board["relu ⟨2⟩ new"] == pytest.approx(score("relu", 11) + 0.01)
    assert {"relu-11 · old", "relu-11 · new", "la_silu-11"} <= set(report.analysis.scores["checkpoint"])
    (path,) = report.write(tmp_path)
    assert path.name == "report-old-new.html"
    page = path.read_text(encoding="utf-8")
    assert "ReLU · new" in page
    assert page.count("d1635relu11") == 2  # the digests of both
    assert str(new) in page


def test_what_changed_from_run_to_run(tmp_path: Path) -> None:
    """The later run has 20 more of 200 images right in every cell, but in fog 10 fewer."""
    changes = (20, 20, 20, 20, 20, -10, -10)
    counts = {("relu", seed): CORRECT["relu", 22] for seed in (1, 2, 3)}
    later = {
        key: tuple(min(count + change, 200) for count, change in zip(own, changes, strict=True))
        for key, own in counts.items()
    }
    runs = Builder(correct=counts).write(tmp_path / "old"), Builder(correct=later).write(tmp_path / "new")
    report = make_report(*runs)
    (row,) = report.analysis.between.to_dict("records")
    assert (row["base"], row["run"], row["activation"]) == ("old", "new", "relu")
    assert row["was"] == pytest.approx(score("relu", 22))
    assert row["clean"] == pytest.approx(6 / 200)  # 200 of 200 is the most
    assert [row["group_noise"], row["group_weather"]] == pytest.approx([0.1, -0.05])
    assert [row["mca"], row["images_difference"]] == pytest.approx([(0.1 + 0.1 - 0.05) / 3] * 2)
    assert (row["lost"], row["lost_change"]) == ("fog", pytest.approx(-0.05))
    assert row["images_adjusted"] < 0.001
    page = page_of(report, "verdict", "between")
    assert "From old to new, ReLU gains 5.0 points of accuracy on corrupted images (95% interval" in page
    assert '<td class="more"><b>+5.0</b></td>' in page
    assert "fog −5.0" in page.replace("<wbr>", "")


def test_the_largest_fall_comes_first_and_several_runs_are_named(tmp_path: Path) -> None:
    worse = {**CORRECT, ("relu", 11): tuple(count - 15 for count in CORRECT["relu", 11])}
    later = [Builder(correct=worse).write(tmp_path / name) for name in "bc"]
    report = make_report(Builder().write(tmp_path / "a"), *later)
    found = report.analysis.between
    assert found["activation"].tolist() == ["relu", "relu", "la_silu", "la_silu"]
    assert found["mca"].is_monotonic_increasing
    page = page_of(report, "verdict", "between")
    assert "From a to b, the mean of 2 activations loses 1.9 points of accuracy" in page
    assert "From a to c, the mean of 2 activations loses" in page
    assert "a → c" in page
    assert report.name == "report-a-b-c"


def test_a_run_and_its_copy_do_not_differ(tmp_path: Path) -> None:
    report = make_report(Builder().write(tmp_path / "a"), Builder().write(tmp_path / "b"))
    found = report.analysis.between
    assert found["mca"].tolist() == [0.0, 0.0]
    assert found["images_adjusted"].tolist() == [1.0, 1.0]
    page = page_of(report, "verdict", "between")
    assert "From a to b, the mean of 2 activations does not change in accuracy on corrupted images" in page


def test_a_failed_checkpoint_is_no_change(tmp_path: Path) -> None:
    """Of relu only seed 11 is in both: the numbers of seed 22 must not make a difference."""
    whole, failed = (
        Builder().write(tmp_path / "a"),
        Builder(failed={"relu-22": "out of ink"}).write(tmp_path / "b"),
    )
    report = make_report(whole, failed)
    found = report.analysis.between.set_index("activation")
    assert found["mca"].tolist() == found["clean"].tolist() == [0.0, 0.0]
    assert found["left_out"].to_dict() == {"relu": 1, "la_silu": 0}
    assert found.loc["relu", "was"] == pytest.approx(score("relu", 11))
    assert found["images_adjusted"].tolist() == [1.0, 1.0]
    page = page_of(report, "verdict", "between")
    assert "1 checkpoint has no partner with the same training seed and is left out." in page


def test_each_architecture_is_its_own_row_and_runs_keep_their_order(tmp_path: Path) -> None:
    paths = [Builder().write(tmp_path / name) for name in ("z", "y", "b")]
    assert make_report(*paths).analysis.run_changes["run"].tolist() == ["y", "b"]
    big = pd.concat([Builder(architecture="big").cells(), Builder().cells()])
    for path in (tmp_path / "y", tmp_path / "b"):
        for part in (path / "cells").glob("*.parquet"):
            part.unlink()
        big.assign(checkpoint=big["checkpoint"] + big["architecture"]).to_parquet(
            path / "cells" / "part-0.parquet"
        )
        for part in (path / "layers").glob("*.parquet"):
            part.unlink()
        info = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**info, "probe": None, "precision": path.name}))
    report = make_report(tmp_path / "y", tmp_path / "b")
    assert len(report.analysis.between) == 4
    page = page_of(report, "verdict", "between", "provenance")
    assert "ReLU, big" in page
    assert "Worst is LA-SiLU (big) under" in page
    assert "The runs differ in precision (see provenance)" in page
    assert "<dt>precision: y</dt><dd>y</dd>" in page


def test_what_cannot_be_ruled_out_is_said(tmp_path: Path) -> None:
    counts = {("relu", seed): CORRECT["relu", 22] for seed in (1, 2, 3)}
    bit = {key: tuple(count - (place == 2) for place, count in enumerate(own)) for key, own in counts.items()}
    runs = Builder(correct=counts).write(tmp_path / "old"), Builder(correct=bit).write(tmp_path / "new")
    report = make_report(*runs)
    low = report.analysis.between["joint_low"][0]
    assert low < 0
    page = page_of(report, "verdict", "between")
    assert f"These seeds and images do not rule out a loss of up to {-100 * low:.1f} points." in page


def test_a_run_without_layers_beside_one_with_them_is_said(tmp_path: Path) -> None:
    with_them, without = Builder().write(tmp_path / "a"), Builder(probes=False).write(tmp_path / "b")
    page = page_of(make_report(with_them, without), "verdict")
    assert "Layers were measured for 4 of the 8 checkpoints only." in page
    assert "Layers were measured for" not in page_of(make_report(with_them), "verdict")


def test_one_run_has_nothing_to_say_between_runs(report: Report) -> None:
    assert "between" not in [section.name for section in report.sections]
    assert report.name == "report"


def test_a_single_run_is_as_it_is(run: Run) -> None:
    assert reports.join([run]) is run
    with pytest.raises(InputError, match="Expected at least one run"):
        reports.join([])


def test_a_run_beside_itself_is_refused(run_dir: Path, run: Run) -> None:
    with pytest.raises(InputError, match=rf"Expected different runs, got {run_dir} 2 times"):
        reports.join([run, replace(run, path=run_dir / "cells" / "..")])


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [Builder().write(tmp_path / place / "run") for place in ("a", "b")]
    assert {"relu ⟨1⟩ a/run", "relu ⟨2⟩ b/run"} <= set(make_report(*paths).analysis.activations)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": {"name": "toy", "images": 100, "digest": "0ddba11"}}, "200 against 100 images"),
        ({"dataset": {"name": "toy", "images": 200, "digest": "0ther"}}, "other images"),
        ({"seed": 7}, "seed 42 against 7"),
    ],
)
def test_unlike_runs_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    old, new = two(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"{old} and {new}.*: .*{message}"):
        make_report(old, new)


def test_runs_with_other_cells_are_refused(tmp_path: Path) -> None:
    old, new = two(tmp_path)
    for path in (new / "cells").glob("*.parquet"):
        cells = pd.read_parquet(path)
        cells[cells["corruption"] != "fog"].to_parquet(path)
    with pytest.raises(InputError, match=r"are not alike: .*fog.*only in the first"):
        make_report(old, new)


class Figures(NamedTuple):
    """All figures of a report as files, and what it said while it made them."""

    report: Report
    folder: Path
    paths: list[Path]
    parts: list[str]


@pytest.fixture(scope="module")
def figures(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Figures:
    parts: list[str] = []
    report, folder = Report(run, parts.append), tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patch:  # a PDF takes three times as long as the others
        patch.setattr("reports.report.FIGURE_FORMATS", ("svg", "png"))
        return Figures(report, folder, report.write_figures(folder), parts)


def test_figures_are_files_with_their_numbers(run: Run, figures: Figures) -> None:
    assert {path.name for path in figures.folder.iterdir()} == {path.name for path in figures.paths}
    drawings = [drawing for section in figures.report.sections for drawing in section.drawings]
    assert len(drawings) == 19
    for drawing in drawings:
        stem = figures.folder / drawing.name
        root = ElementTree.parse(stem.with_suffix(".svg")).getroot()
        assert root.tag.endswith("svg")
        with Image.open(stem.with_suffix(".png")) as picture:
            width, height = drawing.size
            assert picture.size[0] >= round(300 * width) - 1  # and a legend
            assert picture.size[1] == pytest.approx(300 * height, abs=1)
        numbers = pd.read_csv(stem.with_suffix(".csv"))
        assert len(numbers) == len(drawing.data) > 0
    board = pd.read_csv(figures.folder / "leaderboard.csv")
    expected = leaderboard(run.cells)
    assert board["mca"].tolist() == pytest.approx(expected["mca"].tolist())
    heat = pd.read_csv(figures.folder / "heat.csv").set_index("checkpoint")
    assert heat.loc["relu-11", "fog"] == pytest.approx((180 + 90) / 400)


def test_tables_of_the_page_are_figures_too(figures: Figures) -> None:
    """The heat map and the matrix have the page's texts; their colours too, by eye."""
    heat = pd.read_csv(figures.folder / "heat-map.csv").set_index("corruption")
    assert heat.loc["fog", "ReLU 11"] == pytest.approx((180 + 90) / 400)
    drawn = texts_of(figures.folder / "heat-map.svg")
    assert {f"{100 * share:.1f}" for share in heat.to_numpy().ravel()} <= drawn
    assert {"fog", "mean of noise", "ReLU 11", "LA-SiLU 22"} <= drawn
    (lead,) = figures.report.analysis.significance["net"]["images_difference"]
    drawn = texts_of(figures.folder / "significance-matrix-0.svg")
    assert {f"{100 * lead:+.1f}", "ReLU", "LA-SiLU"} <= drawn
    assert figures.parts[:2] == ["section verdict", "section between"]
    assert "figure heat-map" in figures.parts


def test_figures_that_stand_together_come_together(figures: Figures) -> None:
    folder = figures.folder
    assert {"gaussian_noise", "impulse_noise", "Noise", "LA-SiLU"} <= texts_of(folder / "curves-0-noise.svg")
    numbers = pd.read_csv(folder / "curves-0-noise.csv")
    single = pd.read_csv(folder / "curve-0-01-impulse-noise.csv")
    own = numbers[numbers["figure"] == "impulse_noise"].drop(columns="figure").reset_index(drop=True)
    pd.testing.assert_frame_equal(own, single)
    assert not (folder / "curves-1-weather.svg").exists()  # one figure is its own file
    with Image.open(folder / "curves-0-noise.png") as picture:
        assert picture.size[0] > 2 * 300 * CURVE_SIZE[0]


def texts_of(path: Path) -> set[str]:
    root = ElementTree.parse(path).getroot()
    return {element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")}


def test_a_figure_that_cannot_be_drawn_is_an_error(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report.sections

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("reports.layout.to_sheet", broken)
    with pytest.raises(SectionError, match="the figure 'curves-0-noise' cannot be made: division by zero"):
        report.write_figures(tmp_path)
    assert not list(tmp_path.glob("curves-0-noise*"))


def test_figures_are_the_same_every_time(run: Run, figures: Figures, tmp_path: Path) -> None:
    """As SVG, PNG and CSV the same as those drawn before."""
    written: list[list[Path]] = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        report = Report(run)
        report.sections = [section_of(report.analysis, name) for name in ("heat", "curves", "tradeoff")]
        written.append(report.write_figures(folder, report.figures(["heat-map", "curves-*", "tradeoff-0"])))
    assert len(written[0]) == len(written[1]) == 3 * 4
    for one, other in zip(*written, strict=True):
        assert one.read_bytes() == other.read_bytes(), one
        earlier = figures.folder / one.name
        assert one.suffix == ".pdf" or one.read_bytes() == earlier.read_bytes()


def test_figures_are_chosen_by_name(small: Path, tmp_path: Path) -> None:
    """What is drawn has the labels and colours that were asked for; nothing is written for a wrong name."""
    command = ["report", str(small), "--out", str(tmp_path / "out"), "--figures", str(tmp_path / "figures")]
    wrong = CliRunner().invoke(main, [*command, "--only", "curve-*,tradeof-0"])
    assert wrong.exit_code == 2
    assert "Unknown figure 'tradeof-0'. Did you mean 'tradeoff-0'?" in " ".join(wrong.stderr.split())
    for option, message in (
        (["--labels", "rellu=ReLU"], "Unknown activation of this run 'rellu'. Did you mean 'relu'?"),
        (["--colours", "relu=red"], "expected NAME=#d55e00 with commas between them, got 'relu=red'"),
        (["--labels", "relu"], "expected NAME=LABEL with commas between them, got 'relu'"),
    ):
        found = CliRunner().invoke(main, [*command, *option])
        assert (found.exit_code, message in " ".join(found.stderr.split())) == (2, True), found.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "figures").exists()
    options = ["--labels", "relu=Ours, with a comma", "--colours", "relu=#123456"]
    options += ["--only", "curve-*,scores-0"]
    found = CliRunner().invoke(main, [*command, *options])
    assert found.exit_code == 0, found.output
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {
        f"{name}.{kind}"
        for name in ("curve-0-00-gaussian-noise", "curve-0-mean", "scores-0")
        for kind in ("svg", "pdf", "png", "csv")
    }
    assert "Ours, with a comma" in texts_of(tmp_path / "figures" / "scores-0.svg")
    assert "#123456" in (tmp_path / "figures" / "scores-0.svg").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Ours, with a comma" in page
    assert "#123456" in page
    assert "ReLU" not in page


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A run that is drawn quickly."""
    correct = {("relu", 1): CORRECT["relu", 11][:3]}
    return Builder(correct=correct, corruptions=CORRUPTIONS[:1], probes=False).write(tmp_path / "run")


def test_a_pdf_that_cannot_be_made_costs_no_page(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.pdf.find_spec", lambda _: None)
    line = ["report", str(small), "--out", str(tmp_path / "out"), "--format"]
    result = CliRunner().invoke(main, [*line, "pdf,html"])
    assert result.exit_code == 1
    assert result.stdout == f"{tmp_path / 'out' / 'report.html'}\n"
    assert result.stderr == "Error: the PDF needs plutoprint: pip install plutoprint\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    assert CliRunner().invoke(main, [*line, "pdf"]).exit_code == 2  # nothing is written


def test_a_section_that_cannot_be_made_is_named_in_its_place(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    page = make_report(small).html()
    monkeypatch.setattr("reports.tables.curves", broken)
    reason = "the section 'curves' cannot be made: division by zero"
    line = ["report", str(small), "--format", "html,pdf", "--figures", str(tmp_path / "figures")]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {reason}\n"
    assert result.stdout.splitlines()[:2] == [str(small / f"report.{kind}") for kind in ("html", "pdf")]
    assert (tmp_path / "figures" / "leaderboard.csv").is_file()
    whole, found = (parts(text) for text in (page, (small / "report.html").read_text(encoding="utf-8")))
    assert found.keys() == whole.keys()
    assert [name for name in whole if found[name] != whole[name]] == ["curves"]
    assert unescape(found["curves"]).endswith(f'<p class="nothing">T{reason[1:]}.</p>')
    with pytest.raises(SectionError, match=reason):
        make_report(small).html()


def parts(page: str) -> dict[str, str]:
    """Return the sections of a page by their addresses."""
    found = re.findall(r'<section aria-labelledby="(.+?)".*?>\s*(.*?)\s*</section>', page, re.DOTALL)
    return dict(found)


def test_joined_provenance_has_both_commands(tmp_path: Path) -> None:
    old, new = two(tmp_path, command="actrobust evaluate again")
    info = make_report(old, new).analysis.run.info
    assert (
        info.command
        == "# old\nactrobust evaluate --suite 'core' --severity 1,5\n# new\nactrobust evaluate again"
    )
    assert json.dumps(info.to_json())


def test_a_run_without_outcomes_beside_one_with_them(tmp_path: Path) -> None:
    old, new = two(tmp_path)
    for path in (old / "cells").glob("*.parquet"):
        pd.read_parquet(path).drop(columns=["outcomes", "predicted"]).to_parquet(path)
    report = make_report(old, new)
    assert "this run does not say which images were right" in page_of(report, "significance")
    assert report.analysis.anchor == "relu ⟨1⟩ old"


def test_lines_of_one_report_differ(tmp_path: Path) -> None:
    report = make_report(*two(tmp_path), Builder().write(tmp_path / "third"))
    lines = [(line.colour, line.dash) for _, line in report.analysis.legend]
    assert len(set(lines)) == len(lines) == 5


def test_dollars_and_underscores_are_letters(tmp_path: Path) -> None:
    names = ("a$\\bad$", "$x$", "_hidden")
    correct = {(name, 1): CORRECT["relu", 11][:3] for name in names}
    builder = Builder(correct=correct, architecture="$net$", corruptions=CORRUPTIONS[:1])
    report = make_report(builder.write(tmp_path / "run"))
    drawn = "".join(drawing.svg for section in report.sections for drawing in section.drawings)
    assert "a$\\bad$" in drawn
    assert report.write_figures(tmp_path / "figures", report.figures(["heat-map", "curve-*", "tradeoff-0"]))


def test_what_cannot_be_laid_out_is_said_in_a_line(run: Run) -> None:
    broken = replace(run, cells=run.cells.drop(columns="suite"))
    with pytest.raises(SectionError, match="cannot be made: "):
        Report(broken).html()


def test_folders_of_any_name(tmp_path: Path) -> None:
    odd = make_report(Builder().write(tmp_path / "x in 2: y"), Builder().write(tmp_path / "b · c"))
    assert odd.analysis.between["base"].tolist() == ["x in 2: y"] * 2
    names = {
        make_report(*(Builder().write(tmp_path / name) for name in pair)).name
        for pair in ("日本", "本日", "Äa")
    }
    assert names == {"report-日-本", "report-本-日", "report-Ä-a"}
