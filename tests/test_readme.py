"""The README is a front door: short, with one command to start and Python that runs."""

import re
from pathlib import Path

import pytest

from tests.pages import read_page, run_examples

MOST_LINES = 160
FIRST = "pip install . && actrobust evaluate"


def test_it_is_short() -> None:
    assert len(read_page("README.md").splitlines()) <= MOST_LINES


def test_one_command_to_start_and_one_to_work_on_it() -> None:
    page = read_page("README.md")
    start = page.split("## Quick start")[1].split("\n## ")[0]
    assert re.findall(r"^    ((?:pip|actrobust|pytest) .*)$", start, flags=re.MULTILINE) == [FIRST]
    assert page.count("\n    pip install -e '.[dev]' && pytest\n") == 1


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_examples("README.md")
    assert outcome.attempted > 5
    assert outcome.failed == 0
    assert (tmp_path / "runs" / "noise" / "report.html").is_file()
