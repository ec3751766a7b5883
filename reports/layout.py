"""The pieces of a page, as plain values that the template lays out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from reports.canvas import to_file, to_sheet, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Table:
    """A plain table.

    Attributes
    ----------
    caption, headings
        Its title, and those of its columns.
    rows
        Ready text; the first `stubs` columns head their rows.
    activations, suites
        Activation and suite of each row, for the page's filter; empty if rows are about something else.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    stubs: int = 1
    activations: Sequence[str] = ()
    suites: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Drawing:
    """One figure, and the numbers in it.

    Attributes
    ----------
    name
        Name of its files, and prefix of the identifiers in its SVG: letters, digits and hyphens, unique in a
        report.
    heading, note
        Texts above it on the page.
    finding
        What it shows, in a sentence: for readers who cannot see it.
    draw
        Draws into the given axes and returns them.
    size
        Width and height in inches.
    data
        Every number that is drawn.
    facts
        Corruption, suite or activation, for the page's filter.
    """

    name: str
    heading: str
    finding: str
    draw: "Callable[[Axes], Axes]"
    size: tuple[float, float]
    data: pd.DataFrame
    note: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def svg(self) -> Markup:
        """The figure as an ``<svg>`` element to embed in a page."""
        return to_svg(self.draw, size=self.size, name=self.name, title=self.finding)

    def file(self, kind: str) -> bytes:
        """Return it as an SVG, PDF or PNG file that can stand alone, with title and legend."""
        return to_file(self.draw, size=self.size, kind=kind, title=self.heading)


@dataclass(frozen=True)
class Panel:
    """Figures that belong together, such as those of one architecture; `small` ones stand four to a row.

    The note stands below them.
    """

    heading: str
    drawings: Sequence[Drawing]
    small: bool = False
    note: str = ""

    def file(self, kind: str, title: str) -> bytes:
        """Return all figures as one SVG, PDF or PNG file, with one legend."""
        drawn = [(drawing.heading, drawing.draw) for drawing in self.drawings]
        return to_sheet(drawn, size=self.drawings[0].size, kind=kind, title=title)

    @property
    def data(self) -> pd.DataFrame:
        """Every number that is drawn, by the heading of its figure."""
        parts = {drawing.heading: drawing.data for drawing in self.drawings}
        return pd.concat(parts, names=["figure", None]).reset_index("figure")


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    name
        Name of its template and its files, and its address on the page.
    title, short
        Its titles above it, and in the list of contents.
    content
        Values for the template.
    nothing
        Why there is nothing to show; "" if there is.
    panels
        The figures.
    tables
        Tables that are folded away on a screen and set in the appendix of a PDF.
    numbers
        The numbers that the page itself draws, by file name.
    exports
        Figures that are files only; the page shows tables instead.
    """

    name: str
    title: str
    short: str
    content: Mapping[str, Any] = field(default_factory=dict)
    nothing: str = ""
    panels: Sequence[Panel] = ()
    tables: Sequence[Table] = ()
    numbers: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    exports: Sequence[Drawing] = ()

    @property
    def drawings(self) -> list[Drawing]:
        """The figures of all panels."""
        return [drawing for panel in self.panels for drawing in panel.drawings]
