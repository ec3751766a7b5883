"""`actrobust report`: the files that are asked for."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from .test_evaluate import QUICK


def test_report_can_be_made_again(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    actrobust("evaluate", checkpoints, *QUICK, "--suite", "light", "--no-probes", "--out", "out")
    first = Path("out/report.html").read_bytes()
    Path("out/report.html").unlink()
    result = actrobust("report", "out")
    assert result.stdout.strip() == str(Path("out/report.html"))
    assert Path("out/report.html").read_bytes() == first


def test_report_of_something_else(actrobust: Callable[..., Result]) -> None:
    result = actrobust("report", "nowhere")
    assert result.exit_code == 2
    assert "nowhere: does not exist" in result.stderr
    Path("empty").mkdir()
    assert "empty: is not a run directory" in actrobust("report", "empty").stderr


def test_report_writes_what_is_asked_for(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made = ("--suite", "light", "--no-probes", "--out", name, "--seed", seed, "--report", "none")
        assert actrobust("evaluate", checkpoints, *QUICK, *made).exit_code == 0
    assert not list(Path("a").glob("report.*"))
    chosen = ("--figures", "figures", "--only", "heat*,curve*")
    both = actrobust("report", "a", "--format", "html,pdf", *chosen)
    assert both.exit_code == 0, both.output
    assert both.stdout.splitlines()[:2] == ["a/report.html", "a/report.pdf"]
    assert Path("a/report.pdf").read_bytes().startswith(b"%PDF")
    files = list(Path("figures").iterdir())
    assert f"figures  ({len(files)} files)" in both.stdout
    assert {path.suffix for path in files} == {".svg", ".pdf", ".png", ".csv"}
    beside = actrobust("report", "a", "b", "--out", "beside")
    assert beside.exit_code == 0, beside.output
    assert "LA-SiLU · a" in Path("beside/report-a-b.html").read_text()
    unlike = actrobust("report", "a", "c", "--out", "unlike")
    assert unlike.exit_code == 2
    assert "a and c are not alike: seed 0 against 1" in unlike.stderr
    assert not Path("unlike").exists()
    wrong = actrobust("report", "a", "--format", "docx")
    assert wrong.exit_code == 2
    assert "expected html, pdf or html,pdf, got 'docx'" in wrong.stderr
