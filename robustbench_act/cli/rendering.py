"""A table as text, CSV, Markdown or LaTeX."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

Block = tuple[str, pd.DataFrame]
"""A title, and a table of strings, the first columns to the left."""


def print_blocks(blocks: Sequence[Block]) -> None:
    """Print tables on stdout; on a terminal that is too narrow they are as wide as they must be."""
    for title, frame in blocks:
        grid = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
        for name in frame:
            grid.add_column(str(name), justify="left" if _is_text(frame[name]) else "right", no_wrap=True)
        for cells in frame.itertuples(index=False):
            grid.add_row(*cells)
        console = Console()
        needed = grid.__rich_measure__(console, console.options.update(max_width=10_000)).maximum
        print(title)  # noqa: T201
        Console(width=max(needed, console.width)).print(grid)


def markdown(blocks: Sequence[Block]) -> str:
    """Return tables as Markdown."""
    lines = []
    for title, frame in blocks:
        rule = ["---" if _is_text(frame[name]) else "---:" for name in frame]
        rows = [list(frame.columns), rule, *frame.to_numpy().tolist()]
        lines += [f"**{title}**", "", *(f"| {' | '.join(map(_cell, row))} |" for row in rows), ""]
    return "\n".join(lines)


def latex(blocks: Sequence[Block]) -> str:
    """Return tables as LaTeX, for the booktabs package."""
    lines = []
    for title, frame in blocks:
        columns = "".join("l" if _is_text(frame[name]) else "r" for name in frame)
        rows = [" & ".join(map(_tex, row)) + r" \\" for row in [list(frame), *frame.to_numpy().tolist()]]
        lines += [r"\begin{table}", rf"\caption{{{_tex(title)}}}", rf"\begin{{tabular}}{{{columns}}}"]
        lines += [r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}"]
        lines += [r"\end{table}", ""]
    return "\n".join(lines)


FORMATS: Mapping[str, Callable[[Sequence[Block]], str]] = {"markdown": markdown, "latex": latex}


def _is_text(column: "pd.Series[str]") -> bool:
    return bool(column.astype(str).str.contains("[a-zA-Z]{3}").any()) and column.name != "seeds"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _tex(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


_ESCAPES = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "–": "--",
}
