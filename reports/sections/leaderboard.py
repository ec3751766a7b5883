"""One row for each activation, ranked, with the intervals of its mean and rank; then every checkpoint."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from reports.analysis import Analysis
from reports.figures.leaderboard import leaderboard_rows, leaderboard_size
from reports.layout import Drawing, Section, Table
from reports.names import bare_name, label
from reports.number_formats import percent, plain, probability
from reports.style import activation_line
from robustbench_act import metrics
from robustbench_act.english import upper_first

DRAWN = 60
"""Rows of the figure, at most; the first are taken."""

MOST_DOTS = 30
"""Checkpoints of an activation that have a dot each in its interval, at most."""


def leaderboard(analysis: Analysis) -> Section:
    """Return the section."""
    board = analysis.board
    return Section(
        "leaderboard",
        "Leaderboard",
        "Leaderboard",
        {"board": _board(board, analysis), "labelled": analysis.run.labelled},
        nothing=analysis.nothing,
        tables=[] if board.empty else [_every_checkpoint(analysis)],
        numbers={"leaderboard": board, "checkpoints": analysis.scores},
        exports=[
            _figure(own, analysis, place) for place, (_, own) in enumerate(board.groupby("architecture"))
        ],
    )


def _figure(board: pd.DataFrame, analysis: Analysis, place: int) -> Drawing:
    """Return the leaderboard of an architecture as a figure."""
    scores = analysis.scores[analysis.scores["architecture"] == board["architecture"].iloc[0]]
    where = f", {board['architecture'].iloc[0]}" if len(analysis.architectures) > 1 else ""
    shown = board.head(DRAWN)
    return Drawing(
        name=f"leaderboard-{place}",
        heading=f"Leaderboard{where}",
        finding="Accuracy of each activation with its interval",
        draw=partial(leaderboard_rows, shown, scores, measure=analysis.measure, images=analysis.words.images),
        size=leaderboard_size(len(shown)),
        data=shown,
    )


def _board(board: pd.DataFrame, analysis: Analysis) -> dict[str, Any]:
    """Return headings and rows: text, the value to sort by, and the interval's drawing."""
    scores, groups = analysis.scores, metrics.group_columns(board)
    facts = ("architecture", *metrics.AXES)
    shared = {name for name in facts if len(set(board[name])) == 1}  # the header says it
    described = {name: metrics.METRICS[name] for name in metrics.LEADERBOARD if name not in shared}
    described |= {name: metrics.group_metric(name.removeprefix("group_")) for name in groups}
    described["mca"] = replace(described["mca"], title=upper_first(analysis.words.images))
    ruler = _ruler(board, scores)
    seeds = {key: list(own["mca"]) for key, own in scores.groupby(["architecture", "activation"])}
    rows = [
        {
            "cells": {name: (_text(row[name], column), row[name]) for name, column in described.items()},
            "activation": row["activation"],
            "shown": bare_name(row["activation"]),
            "line": activation_line(row["activation"]),
            "dot": _place(row["mca"], ruler),
            "interval": None
            if pd.isna(row["joint_low"])
            else [_place(row[end], ruler) for end in ("joint_low", "joint_high")],
            "ranks": "" if pd.isna(row["rank_low"]) else f"{row['rank_low']:.0f}–{row['rank_high']:.0f}",
            "seeds": _seeds(seeds[row["architecture"], row["activation"]], ruler),
        }
        for _, row in board.iterrows()
    ]
    texts = [name for name in ("activation", *facts) if name in described]
    return {"columns": described, "texts": texts, "groups": groups, "rows": rows, "ruler": ruler}


_ENDS = metrics.METRICS["joint_low"], metrics.METRICS["joint_high"]


def _text(value: Any, column: metrics.Metric) -> str:
    """Return a cell of a column.

    >>> [_text(share, metrics.METRICS["joint_high"]) for share in (0.5, 1.2, math.nan)]
    ['50.0', '100.0', 'n/a']
    """
    if column.title == metrics.METRICS["first"].title:
        return "–" if pd.isna(value) else probability(value)
    if column in _ENDS:  # no accuracy is below 0 or above 100 %
        return percent(min(max(value, 0.0), 1.0))
    if column.unit:
        return percent(value)
    return label(bare_name(value)) if column.title == "Activation" else str(value) or "–"


def _ruler(board: pd.DataFrame, scores: pd.DataFrame) -> tuple[int, int]:
    """Return the tens (in %) between which all intervals and checkpoints lie, within 0 to 100."""
    if board.empty:
        return 0, 100
    shares = pd.concat([board["joint_low"], board["joint_high"], scores["mca"]])
    return max(10 * math.floor(10 * shares.min()), 0), min(10 * math.ceil(10 * shares.max()), 100)


def _place(share: float, ruler: tuple[int, int]) -> float:
    """Return where a share lies on the ruler of 100 units."""
    first, last = ruler
    return round(100 * min(max((100 * share - first) / max(last - first, 1), 0.0), 1.0), 2)


def _seeds(shares: list[float], ruler: tuple[int, int]) -> list[float]:
    """Return where the checkpoints lie on the ruler; nothing for one, or for very many."""
    return [_place(share, ruler) for share in shares] if 1 < len(shares) <= MOST_DOTS else []


def _every_checkpoint(analysis: Analysis) -> Table:
    scores = analysis.scores
    ordered = scores.sort_values("mca", ascending=False, kind="stable")
    groups = metrics.group_columns(scores)
    values = ["clean", "mca", *groups]
    several = len(set(scores["architecture"])) > 1
    axes = [axis for axis in metrics.AXES if axis in scores and len(set(scores[axis])) > 1]
    keys = ["checkpoint", *axes, *(["architecture"] if several else []), "training_seed"]
    heads = [*(name.replace("_", " ") for name in keys), "clean", analysis.words.images]
    heads += [metrics.group_metric(name.removeprefix("group_")).title for name in groups]
    return Table(
        caption=f"{upper_first(analysis.measure)} of every checkpoint, in %",
        headings=[*map(upper_first, heads)],
        rows=[[*map(plain, row[keys]), *map(percent, row[values])] for _, row in ordered.iterrows()],
        activations=list(ordered["activation"]),
    )
