"""Names are text, and no encoding of a terminal or a pipe costs a line."""

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from robustbench_act.cli import main
from robustbench_act.cli.layers import print_layers
from robustbench_act.cli.terminal import prepare_streams, say
from tests.build_run import Builder

RIGHT = np.arange(200)[None] < np.array([190, 150, 40, 140, 20, 180, 90])[:, None]


def invoke(*arguments: object, charset: str = "utf-8") -> Result:
    return CliRunner(charset=charset).invoke(main, [str(argument) for argument in arguments])


NAMES = ("run[lr=0.1]", "net[/wd]", ":smile:", "[bold red]x", "\\[a]", "[link=x]y[/]")


@pytest.mark.parametrize("name", NAMES)
def test_markup_in_names_is_text(name: str, tmp_path: Path) -> None:
    run = Builder({name: RIGHT}, activation=f"mine{name}", failed={}).write(tmp_path / name.replace("/", "_"))
    other = Builder({name: RIGHT[:, ::-1]}, activation=f"mine{name}").write(tmp_path / "other")
    compared = invoke("compare", run, other, "--force")
    assert compared.exit_code == 0, compared.output
    assert any(line.strip().startswith(f"{name} ") for line in compared.stdout.splitlines())
    table = invoke("table", run)
    assert f" mine{name} " in table.stdout


@pytest.mark.parametrize("charset", ["ascii", "cp1252", "cp932", "gbk", "cp437"])
def test_an_encoding_costs_no_line_and_no_column(charset: str, tmp_path: Path) -> None:
    names = {"caf\xe9 \u7db2 \N{SNAKE}": RIGHT, "plain": RIGHT[:, ::-1]}
    run = Builder(names, "net \N{SNAKE}", activation="mi\xf1e").write(tmp_path / "run \N{SNAKE}")
    pages = [invoke("compare", run, run, charset=each) for each in ("utf-8", charset)]
    texts = [page.stdout_bytes.decode(each) for page, each in zip(pages, ("utf-8", charset), strict=True)]
    assert [page.exit_code for page in pages] == [0, 0]
    assert len(texts[0].splitlines()) == len(texts[1].splitlines())
    assert "plain" in texts[1]
    assert "\\U0001f40d" in texts[1]
    assert ("caf\xe9" in texts[1]) or ("caf\\xe9" in texts[1])
    rows = [line.partition("paired t-test")[0] for line in texts[1].splitlines() if "over images |" in line]
    assert len(rows) == 2
    assert cell_len(rows[0]) == cell_len(rows[1])
    table = invoke("table", run, charset=charset)
    assert table.exit_code == 0
    assert table.stdout_bytes.decode(charset).startswith("net \\U0001f40d, 200 images of toy: mean ")


@pytest.mark.parametrize(
    ("encoding", "head", "bar"),
    [("ascii", "+- sd", "#"), ("cp1252", "\xb1 sd", "#"), ("gbk", "\xb1 sd", "\u2588")],
)
def test_layers_are_readable_without_unicode(
    encoding: str, head: str, bar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = ["input_relative_mean", "output_relative_mean", "output_relative_var", "amplification_mean"]
    numbers += ["scale_free_amplification_mean", "activation_offset", "saturated", "dead", "rho", "rho_prime"]
    rows = [(version, place, f"act[{place}]") for version in (0, 1) for place in (0, 1)]
    table = pd.DataFrame(rows, columns=["version", "index", "layer"])
    table = table.assign(elements=4, nonfinite=0, **{name: [0.5, 0.25] * 2 for name in numbers})
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding=encoding))
    prepare_streams()
    print_layers(table, "net: \N{SNAKE}")
    text = stream.getvalue().decode(encoding)
    assert head in text
    assert "act[0]" in text
    assert "net: \\U0001f40d" in text
    assert 8 * bar in text
    assert len({len(row.rstrip()) for row in text.splitlines() if "act[" in row}) == 1


def test_what_a_terminal_would_obey_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say("net\x1b[2J\n::error::x \udce9", err=True)
    assert capsys.readouterr().err == "net\\x1b[2J\\n::error::x \\xe9\n"
