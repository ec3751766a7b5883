"""Prints the leaderboard."""

import pandas as pd
from rich.table import Table

from robustbench_act.cli.table_formats import grid, width
from robustbench_act.cli.terminal import console, say
from robustbench_act.metrics import axis_columns, leaderboard_texts, leaderboard_title


def print_leaderboard(board: pd.DataFrame, *, labelled: bool = True) -> None:
    """Print the leaderboard on stdout: shares in %, intervals over trainings and images, input shifts apart.

    If a terminal is too narrow, the columns by group are left out; a file or a pipe gets them all. Unless
    `labelled`, the shares are agreement.
    """
    screen = console()
    whole = _leaderboard_table(board, groups=True)
    needed = width(whole)
    say(leaderboard_title(board, labelled=labelled))
    if not screen.is_terminal:
        console(width=needed).print(whole)
    elif needed <= screen.width:
        screen.print(whole)
    else:
        screen.print(_leaderboard_table(board, groups=False))
        screen.print(f"For groups of corruptions see the report, or widen the terminal to {needed} columns.")


def _leaderboard_table(board: pd.DataFrame, *, groups: bool) -> Table:
    left = ("activation", *axis_columns(board), "architecture")
    return grid(leaderboard_texts(board, groups=groups), left=left, bold=int((board["rank"] == 1).sum()))
