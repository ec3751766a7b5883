"""The pieces that a page is put together from, as plain values that the template lays out."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Table:
    """A plain table: caption, headings, rows of ready text; the first `stubs` columns head their rows."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    stubs: int = 1


@dataclass(frozen=True)
class Plot:
    """One drawn figure: heading, our own SVG (names in it escaped) and a line under the heading."""

    heading: str
    svg: Markup
    note: str = ""
