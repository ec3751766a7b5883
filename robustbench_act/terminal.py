"""What the command line shows: progress on stderr, the leaderboard on stdout."""

import sys
from typing import Any

import pandas as pd
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


def leaderboard_table(board: pd.DataFrame, labels: dict[str, str]) -> Table:
    """Return the leaderboard as a table: accuracies in %, the interval over training seeds.

    `board` has a row for each activation with rank, activation, seeds, clean, corrupted, low, high, retained
    and group_<name> (shares); `labels` maps activation names to how they are written.
    """
    several = len(board["architecture"].unique()) > 1
    groups = [name for name in board if str(name).startswith("group_")]
    table = Table(
        title="Accuracy in %, mean over corruptions, severities and training seeds", title_justify="left"
    )
    table.add_column("#", justify="right")
    table.add_column("activation")
    if several:
        table.add_column("architecture")
    for name in ("seeds", "clean", "corrupted", "± 95%", "retained", *(str(group)[6:] for group in groups)):
        table.add_column(name, justify="right")
    for row in board.to_dict("records"):
        cells = [str(row["rank"]), labels.get(row["activation"], row["activation"])]
        cells += [row["architecture"]] if several else []
        cells += [str(row["seeds"]), _percent(row["clean"]), _percent(row["corrupted"])]
        cells += [_percent((row["high"] - row["low"]) / 2), _percent(row["retained"])]
        table.add_row(
            *cells, *(_percent(row[group]) for group in groups), style="bold" if row["rank"] == 1 else ""
        )
    return table


def print_table(table: Table) -> None:
    """Print a table on stdout, as wide as it needs to be where the output is not a terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


def _percent(share: Any) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.1f}"
