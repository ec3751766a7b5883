"""The leaderboard fits where it is shown and leaves out no row."""

import pandas as pd
import pytest
from rich.text import Text

from robustbench_act.cli.leaderboard import print_leaderboard


@pytest.fixture
def board() -> pd.DataFrame:
    """Return a leaderboard of two activations and five groups."""
    shares = {f"group_{name}": [0.5, 0.25] for name in ("noise", "blur", "weather", "digital", "shift")}
    return pd.DataFrame(
        {
            "rank": [1, 2],
            "activation": ["la_hardsilu", "mine"],
            "architecture": "cifar:resnet8",
            "seeds": [3, 1],
            "clean": [0.99, 0.98],
            "mca": [0.8125, 0.75],
            "joint_low": [0.8, float("nan")],
            "joint_high": [0.825, float("nan")],
            "rank_low": [1.0, float("nan")],
            "rank_high": [2.0, float("nan")],
            "first": [0.876, float("nan")],
            "retained": [0.82, 0.77],
            **shares,
        }
    )


def shown(board: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> str:
    print_leaderboard(board)
    return Text.from_ansi(capsys.readouterr().out).plain


def test_a_pipe_gets_every_column_on_one_line(
    board: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [" ".join(line.split()) for line in shown(board, capsys).splitlines()]
    assert "1 LA-HardSiLU 3 99.0 81.2 1.2 1–2 0.88 82.0 50.0 50.0 50.0 50.0 | 50.0" in lines
    assert "2 mine 1 98.0 75.0 – – – 77.0 25.0 25.0 25.0 25.0 | 25.0" in lines


@pytest.mark.parametrize(("columns", "groups"), [(80, False), (126, True)])
def test_a_terminal_gets_what_fits(
    columns: int,
    groups: bool,
    board: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "FORCE_COLOR": "1",
        "TERM": "xterm",
        "COLUMNS": str(columns),
        "NO_COLOR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    text = shown(board, capsys)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns
    assert ("weather" in text) is groups
    assert ("For groups of corruptions" in text) is not groups
    assert "81.2" in text


def test_architectures_are_told_apart(board: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(board.assign(architecture=["cifar:resnet8", "cifar:resnet20"]), capsys)
    assert "cifar:resnet20" in text
