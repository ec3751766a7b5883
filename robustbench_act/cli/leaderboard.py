"""Prints the leaderboard."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from rich.table import Table

from robustbench_act.activations import activation_label
from robustbench_act.cli.table_formats import grid, percent, width
from robustbench_act.cli.terminal import console, say
from robustbench_act.metrics import AXES, METRICS, HeadlineWords, group_columns, group_label, headline_words
from robustbench_act.records import SHIFT


def print_leaderboard(board: pd.DataFrame, *, labelled: bool = True) -> None:
    """Print the leaderboard on stdout: shares in %, intervals over trainings and images, input shifts apart.

    If a terminal is too narrow, the columns by group are left out; a file or a pipe gets them all. Unless
    `labelled`, the shares are agreement.
    """
    screen = console()
    whole = _leaderboard_table(board, groups=True)
    needed = width(whole)
    what = "Accuracy" if labelled else "Agreement with the prediction on the clean image (no labels)"
    say(f"{what} in %: mean over {_words(board).cells}, severities and training seeds")
    if not screen.is_terminal:
        console(width=needed).print(whole)
    elif needed <= screen.width:
        screen.print(whole)
    else:
        screen.print(_leaderboard_table(board, groups=False))
        screen.print(f"For groups of corruptions see the report, or widen the terminal to {needed} columns.")


def _leaderboard_table(board: pd.DataFrame, *, groups: bool) -> Table:
    several = len(board["architecture"].unique()) > 1
    words, axes = _words(board), axis_columns(board)
    named = group_columns(board) if groups else []
    titled = {group_label(name.removeprefix("group_")): board[name].map(percent) for name in named}
    shifts = titled.pop(group_label(SHIFT), None)
    apart: dict[str, Iterable[str]] = (
        {} if shifts is None or not titled else {"|": ["|"] * len(board), group_label(SHIFT): shifts}
    )
    texts: dict[str, Iterable[str]] = {
        "#": board["rank"].map(str),
        "activation": board["activation"].map(activation_label),
        **axes,
        **({"architecture": board["architecture"]} if several else {}),
        "seeds": board["seeds"].map(str),
        "clean": board["clean"].map(percent),
        words.images: board["mca"].map(percent),
        "± 95%": ((board["joint_high"] - board["joint_low"]) / 2).map(percent),
        "ranks": _ranks(board),
        "P(first)": [_probability(share) for share in board["first"]],
        "retained": board["retained"].map(percent),
        **titled,
        **apart,
    }
    left = ("activation", *axes, "architecture")
    return grid(texts, left=left, bold=int((board["rank"] == 1).sum()))


def axis_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return a column for each of `metrics.AXES` that has several values in a table, under its title.

    >>> axis_columns(pd.DataFrame({"normalization": ["layer", "batch"]}))
    {'normalisation': ['layer', 'batch']}
    """
    several = [axis for axis in AXES if axis in table and len(set(table[axis])) > 1]
    return {METRICS[axis].title.lower(): [value or "–" for value in table[axis]] for axis in several}


def _ranks(board: pd.DataFrame) -> list[str]:
    ends = zip(board["rank_low"], board["rank_high"], strict=True)
    return ["–" if np.isnan(low) else f"{low:.0f}–{high:.0f}" for low, high in ends]


def _probability(share: float) -> str:
    return (
        "–" if np.isnan(share) else "<0.01" if share < 0.01 else ">0.99" if share > 0.99 else f"{share:.2f}"
    )


def _words(board: pd.DataFrame) -> HeadlineWords:
    return headline_words(name.removeprefix("group_") for name in group_columns(board))
