"""The README is true: its Python runs, its commands exist."""

import doctest
import re
import shlex
from pathlib import Path

import click
import pytest

from corruptions.__main__ import _conform_parser
from robustbench_act.cli import main

README = Path(__file__).parent.parent / "README.md"
COMMANDS = re.findall(r"^    actrobust .*(?:\\\n.*)*", README.read_text(), flags=re.MULTILINE)


def test_quick_start_is_two_commands() -> None:
    start = README.read_text().split("## Quick start")[1].split("\n## ")[0]
    commands = re.findall(r"^    ((?:pip|actrobust|pytest) .*)$", start, flags=re.MULTILINE)
    assert commands == ["pip install . && actrobust evaluate", "pip install -e '.[dev]' && pytest"]


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testfile(str(README), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 5
    assert outcome.failed == 0
    assert (tmp_path / "runs" / "noise" / "report.html").is_file()


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist(line: str) -> None:
    """Every command line is taken by the parser; `slow` tests and a newcomer run them."""
    _, name, *arguments = shlex.split(line.replace("\\\n", " "), comments=True)
    command = main.commands[name]
    with click.Context(main) as parent, command.make_context(name, arguments, parent=parent):
        pass


def test_every_option_named_exists() -> None:
    options = {
        option for command in main.commands.values() for part in command.params for option in part.opts
    }
    options |= {
        option
        for command in main.commands.values()
        for part in command.params
        for option in part.secondary_opts
    }
    options |= set(re.findall(r"--[a-z-]+", _conform_parser().format_help()))
    named = set(re.findall(r"`(--[a-z-]+)", README.read_text()))
    assert named
    assert named <= options
