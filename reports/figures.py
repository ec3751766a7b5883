"""The figures: each takes a table and an axes and returns the axes; `to_svg` makes the markup.

Matplotlib is imported only when something is drawn, used through its object interface alone
(no pyplot, no global state left behind), and its output is the same bytes every time.
"""

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
from markupsafe import Markup, escape

from reports.style import RC_PARAMS, activation_line, drawing_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_SIZE = (2.7, 1.95)  # inches; shown about a third larger, four to a row on a wide page
DEPTH_SIZE = (3.7, 2.4)


def severity_curves(data: pd.DataFrame, ax: "Axes") -> "Axes":
    """Draw accuracy (%) by severity, one line per activation; 0 is the clean image.

    Parameters
    ----------
    data : DataFrame
        The rows of `reports.tables.curves` of one architecture and one corruption.
    """
    for name in _back_to_front(data):
        own = data[data["activation"] == name].sort_values("severity")
        _line(ax, own["severity"], 100 * own["accuracy"], name=name)
    ticks = sorted(data["severity"].unique())
    ax.set_xticks(ticks, ["clean" if tick == 0 else f"{tick:g}" for tick in ticks])
    ax.set_ylim(0, 101.5)
    ax.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"])
    ax.set_xlabel("severity", labelpad=1)
    return ax


def depth_lines(data: pd.DataFrame, ax: "Axes", *, value: str, reference: float | None = None) -> "Axes":
    """Draw one column of a layer table by depth, one line per activation.

    Parameters
    ----------
    data : DataFrame
        Rows of `reports.tables.layer_profile` or `activation_means` of one architecture.
    value : str
        The column to draw.
    reference : float, optional
        Where to draw a dotted line across (1 for an amplification, 0 for a mean).
    """
    if reference is not None:
        ax.axhline(reference, color="#8c959f", linewidth=0.8, linestyle=(0, (1, 2)))
    for name in _back_to_front(data):
        own = data[data["activation"] == name].sort_values("index")
        _line(ax, own["index"], own[value], name=name)
    if data[value].min() >= 0:
        ax.set_ylim(bottom=0)
    depths = sorted(data["index"].unique())
    step = max(1, len(depths) // 10)
    ax.set_xticks(depths[::step], [f"{depth:g}" for depth in depths[::step]])
    ax.set_xlabel("layer, in order of depth", labelpad=1)
    return ax


def _back_to_front(data: pd.DataFrame) -> list[str]:
    """Return the activations so that the highlighted families are drawn last, on top."""
    return sorted(data["activation"].unique(), key=drawing_order, reverse=True)


def _line(ax: "Axes", x: "pd.Series[float]", y: "pd.Series[float]", *, name: str) -> None:
    line = activation_line(name)
    ax.plot(
        x.to_numpy(),
        y.to_numpy(),
        color=line.colour,
        # dashes are in units of the width: divided, thick and thin ones have equal rhythm
        linestyle=(0, tuple(part / line.width * 1.1 for part in line.dash)) if line.dash else "-",
        linewidth=line.width,
        marker="o" if line.highlighted or len(x) == 1 else "",
        markersize=line.width * 1.7,
        markeredgewidth=0,
    )


def to_svg(draw: "Callable[[Axes], Axes]", *, size: tuple[float, float], name: str, title: str) -> Markup:
    """Return the drawing as an ``<svg>`` element to stand inside a page.

    Parameters
    ----------
    draw : callable
        Draws into the axes that it gets, and returns them.
    size : tuple of float
        Width and height in inches; the page may scale it.
    name : str
        Prefix of the identifiers inside, unique on the page.
    title : str
        What the figure shows, for readers who cannot see it.
    """
    from matplotlib import style  # noqa: PLC0415 -- half a second, needed for figures alone
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    no_metadata = {"Creator": None, "Date": None, "Format": None, "Type": None}
    with style.context(["default", RC_PARAMS]), io.StringIO() as file:
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        # savefig would lay out and draw everything twice
        canvas.print_svg(file, metadata=no_metadata)  # type: ignore[no-untyped-call]
        return _embedded(file.getvalue(), name=name, title=title)


def _embedded(svg: str, *, name: str, title: str) -> Markup:
    """Turn a whole SVG document into an element: accessible, without identifiers that could clash."""
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg[svg.index("<svg") :], count=1, flags=re.S)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda own: f' id="{name}-{own[1]}"' if own[1] in used else "", body)
    body = re.sub(r'(url\(#|href="#)', rf"\1{name}-", body)
    view_box = re.search(r'viewBox="[^"]*"', body)
    assert view_box is not None, "matplotlib's SVG has a viewBox"
    label = escape(title)
    head = f'<svg class="plot" role="img" aria-label="{label}" {view_box[0]} xmlns:xlink="http://www.w3.org/1999/xlink">'
    body = re.sub(r"<svg.*?>", lambda _: f"{head}<title>{label}</title>", body, count=1, flags=re.S)
    return Markup(body.strip())  # noqa: S704 -- matplotlib and escape() have escaped what came from outside
