"""A report of one or several runs: as a page, on paper, and figure by figure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path

import pandas as pd

from reports.analysis import Analysis
from reports.errors import ReportError, SectionError
from reports.files import slug, write
from reports.html import html_page
from reports.layout import Section
from reports.multi_run.join import join
from reports.names import activation_of
from reports.pdf import pdf_document
from reports.sections import SECTIONS
from reports.style import drawn_together
from robustbench_act.activations.names import labelled, named_activations
from robustbench_act.english import upper_first
from robustbench_act.errors import InputError, first_line, unknown_name
from robustbench_act.metrics import told_apart
from robustbench_act.paths import expand
from robustbench_act.run import Run, load_run

FORMATS = ("html", "pdf")
FIGURE_FORMATS = ("svg", "pdf", "png")


@dataclass(frozen=True, eq=False)
class FigureFile:
    """A figure, or a table without one, under the name of its files.

    Attributes
    ----------
    numbers
        Every number in it.
    draw
        Returns the file of one of FIGURE_FORMATS; None for a table.
    """

    name: str
    numbers: pd.DataFrame
    draw: Callable[[str], bytes] | None = None


class Report:
    """The report of a run, made part by part.

    Parameters
    ----------
    run
        One, or several as `reports.join` returns them.
    on_part
        Called with the name of each part before it is made.
    on_problem
        Called with the error of each section, figure or file that cannot be made; all others are made, and
        the page says which section is missing. By default the error is raised.
    labels, colours
        Labels and colours ("#d55e00") of one's own, by activation. An InputError if the run has no such
        activation.

    Attributes
    ----------
    name
        Name of its files: "report", or "report-old-new" for several runs.
    """

    def __init__(
        self,
        run: Run,
        on_part: Callable[[str], None] = lambda _: None,
        on_problem: Callable[[Exception], None] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        colours: Mapping[str, str] | None = None,
    ) -> None:
        self._on_part = on_part
        self._on_problem = on_problem
        names = list(dict.fromkeys(map(activation_of, run.cells["activation"])))
        self._labels = named_activations(labels or {}, names)
        self.analysis = Analysis(run, named_activations(colours or {}, names))
        runs = [re.sub(r"\W+", "-", name) for name in self.analysis.members]
        self.name = "-".join(["report", *runs])[:80]

    @cached_property
    def sections(self) -> list[Section]:
        """The sections in their order; that of failed checkpoints only if there are any."""
        made = [self._made(make) for make in SECTIONS]
        return [section for section in made if section.content or section.nothing]

    def _made(self, make: Callable[[Analysis], Section]) -> Section:
        """Return a section with its figures drawn, or one that says why it is missing."""
        name = make.__name__
        self._on_part(f"section {name}")
        try:
            with self._laying_out(f"section {name!r}"):
                section = make(self.analysis)
                for drawing in section.drawings:
                    _ = drawing.svg
        except (InputError, SectionError) as error:
            self._problem(error)
            return Section(
                name, upper_first(name), upper_first(name), nothing=f"{upper_first(first_line(error))}."
            )
        return section

    @contextmanager
    def _laying_out(self, what: str) -> Iterator[None]:
        """Write and draw activations as in this report; name the part in errors of our own."""
        try:
            with labelled(self._labels), drawn_together(self.analysis.lines):
                yield
        except (InputError, SectionError):
            raise
        except Exception as error:
            raise SectionError(f"the {what} cannot be made: {first_line(error)}") from error

    def _problem(self, error: Exception) -> None:
        if self._on_problem is None:
            raise error
        self._on_problem(error)

    def html(self) -> str:
        """Return one HTML page: see `reports.html.html_page`."""
        with self._laying_out("page"):
            return html_page(self.analysis, self.sections)

    def pdf(self, *, engine: str = "plutoprint") -> bytes:
        """Return a PDF: see `reports.pdf.pdf_document`."""
        self._on_part("PDF")
        with self._laying_out("PDF"):
            return pdf_document(self.analysis, self.sections, engine=engine)

    def write(self, folder: str | Path, formats: Sequence[str] = ("html",)) -> list[Path]:
        """Write it into a folder as `name` with .html and .pdf, each whole or not at all.

        Each is written before the next is made.

        Returns
        -------
        list of Path
            Paths of the files that were written.

        Raises
        ------
        ReportError
            If a format is unknown.
        """
        unknown = [name for name in formats if name not in FORMATS]
        if unknown or not formats:
            raise ReportError(f"expected formats of {', '.join(FORMATS)}, got {', '.join(unknown) or 'none'}")
        makers = {"html": lambda: self.html().encode(), "pdf": self.pdf}
        paths = []
        for kind in formats:
            try:
                paths.append(write(expand(folder) / f"{self.name}.{kind}", makers[kind]()))
            except (InputError, SectionError) as error:
                self._problem(error)
        return paths

    def figures(self, names: Sequence[str] | None = None) -> list["FigureFile"]:
        """Return the figures and tables that are files, in the order of the report.

        Figures of one panel, such as those of a group of corruptions, are also one file together:
        ``curves-0-noise``.

        Parameters
        ----------
        names
            Only these; ``curve-*`` stands for all that begin so. An InputError lists the names if one is
            unknown.
        """
        found = list[FigureFile]()
        for section in self.sections:
            found += [FigureFile(name, table) for name, table in section.numbers.items()]
            drawings = (*section.exports, *section.drawings)
            found += [FigureFile(one.name, one.data, one.file) for one in drawings]
            for place, panel in enumerate(section.panels):
                if len(panel.drawings) > 1:
                    name = "-".join(filter(None, [section.name, str(place), slug(panel.heading)]))
                    draw = partial(panel.file, title=panel.heading or section.title)
                    found.append(FigureFile(name, panel.data, draw))
        for name in names or ():
            if not any(fnmatchcase(one.name, name) for one in found):
                raise unknown_name("figure", name, [one.name for one in found])
        return [one for one in found if names is None or any(fnmatchcase(one.name, own) for own in names)]

    def write_figures(self, folder: str | Path, figures: Sequence["FigureFile"] | None = None) -> list[Path]:
        """Write figures as SVG, PDF and PNG with their numbers as CSV; tables as CSV alone.

        Parameters
        ----------
        folder
            Where to.
        figures
            Some of `figures`; by default all.

        Returns
        -------
        list of Path
            Paths of the files that were written, in the order of the report.
        """
        folder, paths = expand(folder), list[Path]()
        for figure in self.figures() if figures is None else figures:
            self._on_part(f"figure {figure.name}")
            try:
                with self._laying_out(f"figure {figure.name!r}"):
                    files = {kind: figure.draw(kind) for kind in FIGURE_FORMATS} if figure.draw else {}
                numbers = told_apart(figure.numbers, self.analysis.run.cells)
                files["csv"] = numbers.to_csv(index=False).encode()
                paths.extend(write(folder / f"{figure.name}.{kind}", data) for kind, data in files.items())
            except (InputError, SectionError) as error:
                self._problem(error)
        return paths


def make_report(
    *runs: str | Path,
    on_part: Callable[[str], None] = lambda _: None,
    on_problem: Callable[[Exception], None] | None = None,
    labels: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
) -> Report:
    """Return the report of a run directory, or of several side by side.

    Parameters
    ----------
    runs
        Directories.
    on_part, on_problem, labels, colours
        As for `Report`.

    Raises
    ------
    InputError
        If one cannot be read (see `robustbench_act.load_run`), or they are not alike (see `reports.join`).
    """
    on_part("reading")
    made = join([load_run(run) for run in runs])
    return Report(made, on_part, on_problem, labels=labels, colours=colours)


def render_html(run: Run) -> str:
    """Return the report of a run as one HTML page."""
    return Report(run).html()


def write_html(run: str | Path) -> Path:
    """Write ``report.html`` into the run directory and return its path.

    Raises
    ------
    InputError
        If the run cannot be read (see `robustbench_act.load_run`), or the page cannot be written.
    """
    (path,) = make_report(run).write(run)
    return path
