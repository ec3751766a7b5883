"""The README is a front door: short, with two commands to start and Python that runs."""

import re
from pathlib import Path

import pytest

from tests.pages import read_page, run_examples

MOST_LINES = 160


def test_it_is_short() -> None:
    assert len(read_page("README.md").splitlines()) <= MOST_LINES


def test_quick_start_is_two_commands() -> None:
    start = read_page("README.md").split("## Quick start")[1].split("\n## ")[0]
    commands = re.findall(r"^    ((?:pip|actrobust|pytest) .*)$", start, flags=re.MULTILINE)
    assert commands == ["pip install . && actrobust evaluate", "pip install -e '.[dev]' && pytest"]


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_examples("README.md")
    assert outcome.attempted > 5
    assert outcome.failed == 0
    assert (tmp_path / "runs" / "noise" / "report.html").is_file()
