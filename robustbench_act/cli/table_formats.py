"""A table as text, CSV, Markdown or LaTeX."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from robustbench_act.cli.terminal import console, say, shown
from robustbench_act.texts import literal_markdown

Block = tuple[str, pd.DataFrame]
"""A title, and a table of strings, the first columns to the left."""


def print_blocks(blocks: Sequence[Block]) -> None:
    """Print tables on stdout; on a terminal too narrow for one its columns go below each other."""
    screen = console()
    for title, frame in blocks:
        say(title)
        if frame.empty:
            continue
        for part in _fitting(frame, screen.width) if screen.is_terminal else [frame]:
            table = _grid(part)
            console(width=max(width(table), screen.width)).print(table)


def grid(
    columns: Mapping[str, Iterable[str]], *, left: Container[str], no_wrap: bool = False, bold: int = 0
) -> Table:
    """Return columns of texts as a table, those in `left` to the left, the first `bold` rows in bold."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for name in columns:
        table.add_column(shown(name), justify="left" if name in left else "right", no_wrap=no_wrap)
    for number, cells in enumerate(zip(*columns.values(), strict=True)):
        table.add_row(*map(shown, cells), style="bold" if number < bold else "")
    return table


def width(table: Table) -> int:
    """Return how many characters a table needs for each row to take one line."""
    screen = console(width=10_000)
    return int(table.__rich_measure__(screen, screen.options).maximum)


def _grid(frame: pd.DataFrame) -> Table:
    left = [name for name in _names(frame) if _is_text(frame, name)]
    return grid({name: frame[name] for name in _names(frame)}, left=left, no_wrap=True)


def _fitting(frame: pd.DataFrame, most: int) -> list[pd.DataFrame]:
    """Return the table in parts that fit, the first column in each."""
    first, *others = _names(frame)
    parts: list[list[str]] = [[first]]
    for name in others:
        if len(parts[-1]) > 1 and width(_grid(frame[[*parts[-1], name]])) > most:
            parts.append([first])
        parts[-1].append(name)
    return [frame[names] for names in parts]


def markdown(blocks: Sequence[Block]) -> str:
    """Return tables as Markdown."""
    lines = []
    for title, frame in blocks:
        rule = ["---" if _is_text(frame, name) else "---:" for name in _names(frame)]
        rows = [_names(frame), rule, *frame.to_numpy().tolist()]
        lines += [f"**{literal_markdown(title)}**", ""]
        lines += [*(f"| {' | '.join(map(literal_markdown, row))} |" for row in rows), ""]
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


def _tex(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


_ESCAPES = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # after a row's end it would begin an argument, and * a star
    "*": "{*}",
    "<": "$<$",
    ">": "$>$",
    "–": "--",
}


def percent(share: Any) -> str:
    """Return a share in [0, 1] in percent, a dash for NaN.

    >>> percent(0.8125), percent(float("nan"))
    ('81.2', '–')
    """
    return "–" if pd.isna(share) else f"{100 * share:.1f}"


def decimals(value: float, digits: int) -> str:
    """Return a number with so many decimals, with a true minus sign; a dash for NaN.

    >>> decimals(-1.25, 1), decimals(-0.01, 1), decimals(float("nan"), 1)
    ('−1.2', '0.0', '–')
    """
    text = f"{value:.{digits}f}"
    return "–" if np.isnan(value) else text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float, digits: int) -> str:
    """Return the same with a plus sign, if it is above 0.

    >>> signed(1.25, 1), signed(-1.25, 1), signed(0.01, 1)
    ('+1.2', '−1.2', '0.0')
    """
    text = decimals(value, digits)
    return f"+{text}" if text[0] not in "–−" and float(text) > 0 else text
