"""A table as text, CSV, Markdown or LaTeX."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from robustbench_act.cli.terminal import console, say, shown
from robustbench_act.texts import literal_markdown

BOLD = "the best of each column in bold"


class Block(NamedTuple):
    """A table with its title.

    Attributes
    ----------
    title
        Its caption, without a full stop.
    frame
        Strings; names to the left, numbers to the right.
    bold
        Row number and column of each cell in bold: the best of its column.
    """

    title: str
    frame: pd.DataFrame
    bold: Set[tuple[int, str]] = frozenset()

    @property
    def caption(self) -> str:
        """The title, and what is bold."""
        return f"{self.title}; {BOLD}" if self.bold else self.title


def print_blocks(blocks: Sequence[Block]) -> None:
    """Print tables on stdout; on a terminal too narrow for one its columns go below each other.

    In a pipe nothing is bold.
    """
    screen = console()
    for block in blocks:
        say(block.caption if screen.is_terminal else block.title)
        if block.frame.empty:
            continue
        parts = _fitting(block.frame, screen.width) if screen.is_terminal else [block.frame]
        for part in parts:
            table = _grid(part, block.bold)
            console(width=max(width(table), screen.width)).print(table)


def grid(
    columns: Mapping[str, Iterable[str]],
    *,
    left: Container[str],
    no_wrap: bool = False,
    bold: int = 0,
    cells: Container[tuple[int, str]] = (),
) -> Table:
    """Return columns of texts as a table, those in `left` to the left.

    In bold are the first `bold` rows, and the `cells` (row number, column).
    """
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for name in columns:
        table.add_column(shown(name), justify="left" if name in left else "right", no_wrap=no_wrap)
    for number, row in enumerate(zip(*columns.values(), strict=True)):
        texts = [
            Text(shown(text), style="bold" if (number, name) in cells else "")
            for name, text in zip(columns, row, strict=True)
        ]
        table.add_row(*texts, style="bold" if number < bold else "")
    return table


def width(table: Table) -> int:
    """Return how many characters a table needs for each row to take one line."""
    screen = console(width=10_000)
    return int(table.__rich_measure__(screen, screen.options).maximum)


def _grid(frame: pd.DataFrame, bold: Set[tuple[int, str]] = frozenset()) -> Table:
    left = [name for name in _names(frame) if _is_text(frame, name)]
    columns = {name: frame[name] for name in _names(frame)}
    return grid(columns, left=left, no_wrap=True, cells=bold)


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
    for block in blocks:
        names = _names(block.frame)
        rule = ["---" if _is_text(block.frame, name) else "---:" for name in names]
        rows = [[*map(literal_markdown, names)], rule, *_rows(block, literal_markdown, "**{}**")]
        lines += [f"**{literal_markdown(block.caption)}**", ""]
        lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
    return "\n".join(lines)


def latex(blocks: Sequence[Block]) -> str:
    """Return tables as LaTeX, for the booktabs package."""
    lines = []
    for block in blocks:
        names = _names(block.frame)
        columns = "".join("l" if _is_text(block.frame, name) else "r" for name in names)
        rows = [[*map(_tex, names)], *_rows(block, _tex, r"\textbf{{{}}}")]
        head, *body = [" & ".join(row) + r" \\" for row in rows]
        lines += [r"\begin{table}", rf"\caption{{{_tex(block.caption)}}}"]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
        lines += [r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _rows(block: Block, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    """Return the cells row by row, escaped, and marked if they are bold."""
    names = _names(block.frame)
    return [
        [
            bold.format(escape(text)) if (number, name) in block.bold else escape(text)
            for name, text in zip(names, row, strict=True)
        ]
        for number, row in enumerate(block.frame.to_numpy().tolist())
    ]


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
    "−": "$-$",
    "±": r"$\pm$",
}


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
