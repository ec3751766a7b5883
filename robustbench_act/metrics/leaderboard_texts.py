"""The leaderboard as people read it, in a terminal and in a notebook."""

from typing import Any

import numpy as np
import pandas as pd

from robustbench_act.activations.names import activation_label
from robustbench_act.metrics.cohorts import AXES
from robustbench_act.metrics.declared import METRICS
from robustbench_act.metrics.scores import group_columns
from robustbench_act.records import SHIFT, HeadlineWords, group_label, headline_words


def leaderboard_title(board: pd.DataFrame, *, labelled: bool) -> str:
    """Return what the shares of `leaderboard_texts` are."""
    what = "Accuracy" if labelled else "Agreement with the prediction on the clean image (no labels)"
    return f"{what} in %: mean over {_words(board).cells}, severities and training seeds"


def leaderboard_texts(board: pd.DataFrame, *, groups: bool = True) -> dict[str, list[str]]:
    """Return the columns of `leaderboard` as texts, by their headings: shares in %, input shifts apart.

    Columns that have one value are left out, and, unless `groups`, those by group of corruptions.
    """
    words, axes = _words(board), axis_columns(board)
    several = len(board["architecture"].unique()) > 1
    named = group_columns(board) if groups else []
    titled = {group_label(name.removeprefix("group_")): [*map(percent, board[name])] for name in named}
    shifts = titled.pop(group_label(SHIFT), None)
    apart = {} if shifts is None or not titled else {"|": ["|"] * len(board), group_label(SHIFT): shifts}
    return {
        "#": [*map(str, board["rank"])],
        "activation": [*map(activation_label, board["activation"])],
        **axes,
        **({"architecture": [*map(str, board["architecture"])]} if several else {}),
        "seeds": [*map(str, board["seeds"])],
        "clean": [*map(percent, board["clean"])],
        words.images: [*map(percent, board["mca"])],
        "± 95%": [*map(percent, (board["joint_high"] - board["joint_low"]) / 2)],
        "ranks": _ranks(board),
        "P(first)": [*map(_probability, board["first"])],
        "retained": [*map(percent, board["retained"])],
        **titled,
        **apart,
    }


def axis_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return a column for each of `AXES` that has several values in a table, under its title.

    >>> axis_columns(pd.DataFrame({"normalization": ["layer", "batch"]}))
    {'normalisation': ['layer', 'batch']}
    """
    several = [axis for axis in AXES if axis in table and len(set(table[axis])) > 1]
    return {METRICS[axis].title.lower(): [value or "–" for value in table[axis]] for axis in several}


def percent(share: Any) -> str:
    """Return a share in [0, 1] in percent, a dash for NaN.

    >>> percent(0.8125), percent(float("nan"))
    ('81.2', '–')
    """
    return "–" if pd.isna(share) else f"{100 * share:.1f}"


def _ranks(board: pd.DataFrame) -> list[str]:
    ends = zip(board["rank_low"], board["rank_high"], strict=True)
    return ["–" if np.isnan(low) else f"{low:.0f}–{high:.0f}" for low, high in ends]


def _probability(share: float) -> str:
    return (
        "–" if np.isnan(share) else "<0.01" if share < 0.01 else ">0.99" if share > 0.99 else f"{share:.2f}"
    )


def _words(board: pd.DataFrame) -> HeadlineWords:
    return headline_words(name.removeprefix("group_") for name in group_columns(board))
