"""Prints the leaderboard."""

from typing import Any

import pandas as pd
from rich.table import Table

from robustbench_act.cli.table_formats import grid, width
from robustbench_act.cli.terminal import console, say
from robustbench_act.english import count
from robustbench_act.metrics import axis_columns, leaderboard_texts, leaderboard_title

_WIDE = 110  # columns of a terminal that the groups of corruptions fit into


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


def running_leaderboard(board: pd.DataFrame, *, networks: int, labelled: bool) -> Any:
    """Return a table of the leaderboard of a run that is under way, for a terminal; no intervals yet."""
    from rich.console import Group

    done = f"{board['seeds'].sum()} of {count(networks, 'network')} so far"
    texts = leaderboard_texts(board, groups=console(stderr=True).width >= _WIDE)
    known = {name: own for name, own in texts.items() if set(own) != {"–"}}
    return Group(f"{done}. {leaderboard_title(board, labelled=labelled)}", grid(known, left=_left(board)))


def _leaderboard_table(board: pd.DataFrame, *, groups: bool) -> Table:
    best = int((board["rank"] == 1).sum())
    return grid(leaderboard_texts(board, groups=groups), left=_left(board), bold=best)


def _left(board: pd.DataFrame) -> tuple[str, ...]:
    return ("activation", *axis_columns(board), "architecture")
