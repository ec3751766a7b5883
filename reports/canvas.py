"""From a drawing to the markup of a page, or to a file.

Matplotlib is imported only when something is drawn, used through its object interface alone
(no pyplot, no global state left behind), and its output is the same bytes every time.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from reports.plotting import import_matplotlib
from reports.style import RC_PARAMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 300
SCREEN_DPI = 150  # of pyplot figures: text of 7.5 points is 16 pixels high
SHEET = 8.5
"""Approximate width of a sheet of figures, in inches."""

_PAD = 0.04  # inches, no more than matplotlib's own between axes and edge

_NO_METADATA: Mapping[str, dict[str, None]] = {  # what differs from run to run
    "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    "png": {"Software": None},
}


def to_svg(draw: "Callable[[Axes], Axes]", *, size: tuple[float, float], name: str, title: str) -> Markup:
    """Return the drawing as an ``<svg>`` element to embed in a page.

    Parameters
    ----------
    draw : callable
        Draws into the given axes and returns them.
    size : tuple of float
        Width and height in inches; the page may scale it.
    name : str
        Prefix of the identifiers inside, unique on the page.
    title : str
        What the figure shows, for readers who cannot see it.
    """
    with _our_style(), io.BytesIO() as file:
        figure = drawn(lambda figure: draw(figure.add_subplot()), size=size, kind="svg")
        # savefig would lay out and draw everything twice
        figure.canvas.print_svg(file, metadata=_NO_METADATA["svg"])  # type: ignore[attr-defined]
        svg = file.getvalue().decode()
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg[svg.index("<svg") :], count=1, flags=re.S)
    body = re.sub(r' id="activation:([^"]*)"', r' data-activation="\1"', body)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda own: f' id="{name}-{own[1]}"' if own[1] in used else "", body)
    body = re.sub(r'(url\(#|href="#)', rf"\1{name}-", body)
    view_box = re.search(r'viewBox="[^"]*"', body)
    assert view_box is not None, "matplotlib's SVG has a viewBox"
    label = escape(title)
    head = f'<svg class="plot" role="img" aria-label="{label}" {view_box[0]} xmlns:xlink="http://www.w3.org/1999/xlink">'
    body = re.sub(r"<svg.*?>", lambda _: f"{head}<title>{label}</title>", body, count=1, flags=re.S)
    return Markup(body.strip())  # noqa: S704 -- matplotlib and escape() have escaped what came from outside


def to_file(
    draw: "Callable[[Axes], Axes]", *, size: tuple[float, float], kind: str, title: str = ""
) -> bytes:
    """Return the drawing as a file; the same bytes every time.

    Its title is set above it; if it has lines, a legend is set beside it. What does not fit into the size
    makes the file larger: nothing is cut off.

    Parameters
    ----------
    draw, size
        As in `to_svg`.
    kind : str
        "svg", "pdf" or "png" (300 dots an inch).
    """
    return _saved(partial(_draw_alone, draw, title), size=size, kind=kind)


def _draw_alone(draw: "Callable[[Axes], Axes]", title: str, figure: "Figure") -> "Axes":
    ax = draw(figure.add_subplot())
    ax.set_title(title, loc="left", fontsize=8, fontweight="bold", parse_math=False)
    _legend(figure, ax)
    return ax


def to_sheet(
    drawings: "Sequence[tuple[str, Callable[[Axes], Axes]]]",
    *,
    size: tuple[float, float],
    kind: str,
    title: str = "",
) -> bytes:
    """Return several drawings of one size as one file, with one legend for all.

    Parameters
    ----------
    drawings : sequence of (str, callable)
        Each with its heading.
    size, kind, title
        As in `to_file`; the size is that of one drawing.
    """
    draw, whole = _sheet(drawings, size, title)
    return _saved(draw, size=whole, kind=kind)


def to_figure(
    drawings: "Sequence[tuple[str, Callable[[Axes], Axes]]]", *, size: tuple[float, float], title: str
) -> "Figure":
    """Return what `to_sheet` writes as a new pyplot figure."""
    draw, whole = _sheet(drawings, size, title)
    with _new_figure(whole) as figure:
        draw(figure)
    return figure


def _sheet(
    drawings: "Sequence[tuple[str, Callable[[Axes], Axes]]]", size: tuple[float, float], title: str
) -> "tuple[Callable[[Figure], None], tuple[float, float]]":
    """Return what draws a sheet into a figure, and the figure's size."""
    columns = min(len(drawings), max(2, round(SHEET / size[0])))
    rows = -(-len(drawings) // columns)

    def draw(figure: "Figure") -> None:
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold", parse_math=False)
        for place, (heading, one) in enumerate(drawings, start=1):
            ax = one(figure.add_subplot(rows, columns, place))
            ax.set_title(heading, loc="left", fontsize=7.5, parse_math=False)
        _legend(figure, figure.axes[0])

    return draw, (size[0] * columns, size[1] * rows + 0.3)


def to_axes(
    draw: "Callable[[Axes], Axes]", *, size: tuple[float, float], title: str, ax: "Axes | None" = None
) -> "Axes":
    """Return the drawing as axes: the given ones, or those of a new pyplot figure that looks as `to_file`'s.

    Axes that are given keep their own style, and get a title but no legend.

    Parameters
    ----------
    draw, size, title
        As in `to_file`.
    ax
        Axes to draw into.
    """
    if ax is None:
        with _new_figure(size) as figure:
            return _draw_alone(draw, title, figure)
    import_matplotlib()
    ax = draw(ax)
    ax.set_title(title, loc="left", parse_math=False)
    return ax


@contextmanager
def _new_figure(size: tuple[float, float]) -> "Iterator[Figure]":
    """Make a figure that a notebook or `pyplot.show` shows, in our style; lay out what is drawn into it.

    If drawing fails, it is closed.
    """
    import_matplotlib()
    from matplotlib import pyplot as plt  # noqa: PLC0415

    # before our style: with the first figure Jupyter turns interactive mode on, and a style would undo that
    figure = plt.figure(figsize=size, dpi=SCREEN_DPI, layout="constrained", facecolor="white")
    try:
        with _our_style():
            yield figure
            _lay_out(figure)  # matplotlib makes ticks when it first draws
            (width, height), whole = figure.get_size_inches(), everything(figure)
            figure.set_size_inches(max(width, whole.width), max(height, whole.height))
    except BaseException:
        plt.close(figure)
        raise


@contextmanager
def _our_style() -> Iterator[None]:
    import_matplotlib()
    from matplotlib import style  # noqa: PLC0415

    with style.context(["default", RC_PARAMS]):
        yield


def _saved(draw: "Callable[[Figure], Any]", *, size: tuple[float, float], kind: str) -> bytes:
    """Return what is drawn as a file, larger than its size if something would be cut off."""
    with _our_style(), io.BytesIO() as file:
        figure = drawn(draw, size=size, kind=kind)
        _lay_out(figure)
        figure.set_layout_engine("none")
        figure.savefig(
            file,
            format=kind,
            dpi=figure.dpi,
            facecolor="white" if kind == "png" else "none",
            bbox_inches=everything(figure),
            metadata=_NO_METADATA[kind],
        )
        return file.getvalue()


def _lay_out(figure: "Figure") -> None:
    with warnings.catch_warnings():  # labels wider than the figure: it grows
        warnings.filterwarnings("ignore", "constrained_layout not applied")
        figure.draw_without_rendering()


def drawn(draw: "Callable[[Figure], Any]", *, size: tuple[float, float], kind: str) -> "Figure":
    """Return a figure for a file of a kind, with what `draw` puts into it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.backends.backend_pdf import FigureCanvasPdf  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    canvas = {"svg": FigureCanvasSVG, "pdf": FigureCanvasPdf, "png": FigureCanvasAgg}[kind]
    figure = Figure(figsize=size, dpi=DPI if kind == "png" else 72, layout="constrained")
    canvas(figure)
    draw(figure)
    return figure


def everything(figure: "Figure") -> Any:
    """Return a matplotlib `Bbox` in inches: the figure that is laid out, and what sticks out of it."""
    from matplotlib.transforms import Bbox  # noqa: PLC0415

    return Bbox.union([figure.bbox_inches, figure.get_tightbbox().padded(_PAD)])


def _legend(figure: "Figure", ax: "Axes") -> None:
    """Set a legend beside a figure that has lines, and widen the figure by as much."""
    handles, names = ax.get_legend_handles_labels()
    if handles:
        width, height = figure.get_size_inches()
        legend = figure.legend(
            handles[::-1],  # last drawn, first named
            names[::-1],
            loc="outside right upper",
            ncols=-(-len(names) // max(1, int((height - 0.2) / 0.135))),
            frameon=False,
            fontsize=6,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
        figure.set_size_inches(width + legend.get_window_extent().width / figure.dpi + 0.1, height)
