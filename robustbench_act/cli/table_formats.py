"""A table as text, CSV, Markdown or LaTeX."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

Block = tuple[str, pd.DataFrame]
"""A title, and a table of strings, the first columns to the left."""


def print_blocks(blocks: Sequence[Block]) -> None:
    """Print tables on stdout; on a terminal too narrow for one its columns go below each other."""
    console = Console()
    for title, frame in blocks:
        print(title)  # noqa: T201
        if frame.empty:
            continue
        for part in _fitting(frame, console.width) if console.is_terminal else [frame]:
            Console(width=max(_width(part), console.width)).print(_grid(part))


def _grid(frame: pd.DataFrame) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for name in _names(frame):
        grid.add_column(name, justify="left" if _is_text(frame, name) else "right", no_wrap=True)
    for cells in frame.itertuples(index=False):
        grid.add_row(*cells)
    return grid


def _width(frame: pd.DataFrame) -> int:
    console = Console(width=10_000)
    return _grid(frame).__rich_measure__(console, console.options).maximum


def _fitting(frame: pd.DataFrame, width: int) -> list[pd.DataFrame]:
    """Return the table in parts that fit, the first column in each."""
    first, *others = _names(frame)
    parts: list[list[str]] = [[first]]
    for name in others:
        if len(parts[-1]) > 1 and _width(frame[[*parts[-1], name]]) > width:
            parts.append([first])
        parts[-1].append(name)
    return [frame[names] for names in parts]


def markdown(blocks: Sequence[Block]) -> str:
    """Return tables as Markdown."""
    lines = []
    for title, frame in blocks:
        rule = ["---" if _is_text(frame, name) else "---:" for name in _names(frame)]
        rows = [_names(frame), rule, *frame.to_numpy().tolist()]
        lines += [f"**{title}**", "", *(f"| {' | '.join(map(_cell, row))} |" for row in rows), ""]
    return "\n".join(lines)


def latex(blocks: Sequence[Block]) -> str:
    """Return tables as LaTeX, for the booktabs package."""
    lines = []
    for title, frame in blocks:
        columns = "".join("l" if _is_text(frame, name) else "r" for name in _names(frame))
        rows = [" & ".join(map(_tex, row)) + r" \\" for row in [_names(frame), *frame.to_numpy().tolist()]]
        lines += [r"\begin{table}", rf"\caption{{{_tex(title)}}}", rf"\begin{{tabular}}{{{columns}}}"]
        lines += [r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}"]
        lines += [r"\end{table}", ""]
    return "\n".join(lines)


FORMATS: Mapping[str, Callable[[Sequence[Block]], str]] = {"markdown": markdown, "latex": latex}


def _names(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame]


def _is_text(frame: pd.DataFrame, name: str) -> bool:
    """Tell names from numbers: the first column, and where a word stands."""
    return name == _names(frame)[0] or bool(frame[name].str.contains("[a-zA-Z]{3}").any())


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
