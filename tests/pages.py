"""The pages that a reader sees, cut into what tests can check."""

import doctest
import re
import shlex
from pathlib import Path

import click

from robustbench_act.cli import load_command, main

ROOT = Path(__file__).parent.parent
_DOCS = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in _DOCS))
_COMMAND = re.compile(r"^ {4,}(?:\$ |- run: |[^\n]*&& )?(actrobust (?:.*\\\n)*.*)$", flags=re.MULTILINE)


def read_page(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", read_page(page), flags=re.DOTALL | re.MULTILINE)
    return [text for name, text in fences if name == language]


def block(page: str, language: str) -> str:
    """Return the only fenced block of a page in one language."""
    (found,) = blocks(page, language)
    return found


def commands(page: str) -> list[str]:
    """Return the `actrobust` command lines of a page, from listings and from workflows.

    >>> commands("docs/gate.md")[1]
    'actrobust baseline runs/main -o robustness.parquet'
    """
    return [found.replace("\\\n", " ") for found in _COMMAND.findall(read_page(page))]


def parse_command(line: str) -> None:
    """Let the parser take a command line, without running it."""
    _, name, *arguments = shlex.split(line, comments=True)
    command = load_command(name)
    with click.Context(main) as parent, command.make_context(name, arguments, parent=parent):
        pass


def run_examples(page: str) -> doctest.TestResults:
    """Run the `>>>` examples of a page in the working directory, in one namespace."""
    return doctest.testfile(str(ROOT / page), module_relative=False, optionflags=doctest.ELLIPSIS)


def anchors(page: str) -> set[str]:
    """Return the names by which links reach the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", read_page(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
