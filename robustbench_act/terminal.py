"""What the command line shows: progress on stderr, the leaderboard on stdout."""

import sys
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "")


def progress_bar() -> Progress:
    """Return a progress bar in images, on stderr, hidden where nobody watches."""
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def print_leaderboard(board: pd.DataFrame, labels: dict[str, str]) -> None:
    """Print the leaderboard on stdout: accuracies in %, the interval over training seeds.

    The columns by group are left out on a terminal too narrow for them; a file or a pipe gets them all.

    Parameters
    ----------
    board
        `reports.tables.leaderboard`: a row for each architecture and activation with rank, seeds, clean,
        corrupted, low, high, retained and group_<name> (shares).
    labels
        How activation names are written, where they are known.
    """
    console = Console()
    whole = _leaderboard_table(board, labels, groups=True)
    needed = whole.__rich_measure__(console, console.options.update(max_width=10_000)).maximum
    print("Accuracy in %: mean over corruptions, severities and training seeds")  # noqa: T201
    if not console.is_terminal:
        Console(width=needed).print(whole)
    elif needed <= console.width:
        console.print(whole)
    else:
        console.print(_leaderboard_table(board, labels, groups=False))
        console.print(f"By group of corruptions: in the report, or {needed} columns wide.", highlight=False)


def _leaderboard_table(board: pd.DataFrame, labels: dict[str, str], *, groups: bool) -> Table:
    several = len(board["architecture"].unique()) > 1
    named = [str(name) for name in board if str(name).startswith("group_")] if groups else []
    texts = {
        "#": board["rank"].map(str),
        "activation": board["activation"].replace(labels),
        **({"architecture": board["architecture"]} if several else {}),
        "seeds": board["seeds"].map(str),
        "clean": board["clean"].map(_percent),
        "corrupted": board["corrupted"].map(_percent),
        "± 95%": ((board["high"] - board["low"]) / 2).map(_percent),
        "retained": board["retained"].map(_percent),
        **{name.removeprefix("group_"): board[name].map(_percent) for name in named},
    }
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for title in texts:
        table.add_column(title, justify="left" if title in ("activation", "architecture") else "right")
    for rank, *cells in zip(board["rank"], *texts.values(), strict=True):
        table.add_row(*cells, style="bold" if rank == 1 else "")
    return table


def _percent(share: Any) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.1f}"
