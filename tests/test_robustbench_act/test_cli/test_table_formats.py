"""Tables lose no cell, however narrow the terminal and odd the names."""

import pandas as pd
import pytest
from rich.console import Console
from rich.text import Text

from robustbench_act.cli import table_formats
from robustbench_act.cli.table_formats import Block

FRAME = pd.DataFrame(
    {"activation": ["ReLU", "LA-SiLU"], **{f"metric {place} %": [f"{place}.5", "–"] for place in range(9)}}
)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_narrow_terminal_gets_every_cell(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(Console, "is_terminal", True)
    table_formats.print_blocks([Block("title", FRAME)])
    text = Text.from_ansi(capsys.readouterr().out).plain
    assert all(f"{place}.5" in text for place in range(9))
    assert max(map(len, text.splitlines())) <= width
    assert text.count("LA-SiLU") == {40: 5, 80: 2, 200: 1}[width]


def test_a_pipe_gets_one_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table_formats.print_blocks([Block("title", FRAME)])
    assert capsys.readouterr().out.count("LA-SiLU") == 1


def test_a_table_without_rows_is_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = pd.DataFrame({"p": pd.Series(dtype=float)})
    table_formats.print_blocks([Block("nothing moved", FRAME.iloc[:0]), Block("none", numbers)])
    assert capsys.readouterr().out == "nothing moved\nnone\n"


def test_markdown_and_latex_escape_names() -> None:
    frame = pd.DataFrame({"name": [r"a|b_c% <\x>"], "value": ["0.5"]})
    assert table_formats.markdown([Block("t", frame)]).splitlines() == [
        "**t**",
        "",
        "| name | value |",
        "| --- | ---: |",
        r"| a\|b_c% \<\\x\> | 0.5 |",
    ]
    latex = table_formats.latex([Block("50% of_all", frame)])
    assert r"\caption{50\% of\_all}" in latex
    assert r"a|b\_c\% $<$\textbackslash{}x$>$ & 0.5 \\" in latex
    names = pd.DataFrame({"name": ["a", "[lr=0.1]", "*"], "value": ["0.1", "0.2", "0.3"]})
    rows = table_formats.latex([Block("t", names)]).splitlines()
    # A bracket after the end of a row would be its height, a star would forbid a page to end there.
    assert [row.partition(" &")[0] for row in rows if " & 0." in row] == ["a", "{[}lr=0.1]", "{*}"]
