"""What a Jupyter kernel shows: progress that is updated in place, and pages."""

import html
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Self

from robustbench_act.texts import printable

_PAUSE = 0.25  # seconds between two updates, at least: each is a message to the browser
_WINDOW = 30.0  # seconds over which images per second are counted


def in_notebook() -> bool:
    """Tell whether this process is a Jupyter kernel: of JupyterLab, Notebook, VS Code, Colab, nbconvert."""
    ipython = sys.modules.get("IPython")  # a kernel has loaded it
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def show_page(page: str, *, title: str, height: int) -> None:
    """Show a whole HTML page in the output of a cell: see `frame_html`."""
    from IPython.display import display  # noqa: PLC0415 -- a kernel has loaded it

    content = {"text/plain": title, "text/html": frame_html(page, title=title, height=height)}
    display(content, raw=True)  # type: ignore[no-untyped-call]


def frame_html(page: str, *, title: str, height: int) -> str:
    """Return a frame, `height` pixels high, that holds a whole HTML page.

    The page's scripts run in an origin of their own: they reach nothing outside the frame.
    """
    # without a base, a link to a part of the page would lead to the notebook's own address
    page = page.replace("<head>", '<head><base href="about:srcdoc">', 1)
    return (
        f'<iframe title="{html.escape(title)}" srcdoc="{html.escape(page)}" sandbox="allow-scripts" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8c959f"></iframe>'
    )


def lines_html(*lines: str) -> str:
    """Return texts as lines of a paragraph.

    >>> lines_html("1 < 2", "3")
    '<p>1 &lt; 2<br>3</p>'
    """
    return f"<p>{'<br>'.join(map(html.escape, lines))}</p>"


def table_html(columns: Mapping[str, Sequence[str]], *, left: Container[str]) -> str:
    """Return columns of texts as a table, those in `left` to the left.

    Colours are the notebook's own: its background may be dark.

    >>> table_html({"name": ["a"], "n": ["1"]}, left=["name"]).partition("</tr>")[0]
    '<table class="dataframe"><tr><th style="text-align: left">name</th><th style="text-align: right">n</th>'
    """
    sides = ["left" if name in left else "right" for name in columns]

    def row(kind: str, texts: Iterable[str]) -> str:
        cells = zip(sides, map(html.escape, texts), strict=True)
        return "".join(f'<{kind} style="text-align: {side}">{text}</{kind}>' for side, text in cells)

    rows = [row("th", columns), *(row("td", texts) for texts in zip(*columns.values(), strict=True))]
    return f'<table class="dataframe">{"".join(f"<tr>{own}</tr>" for own in rows)}</table>'


class NotebookBar:
    """A bar with images, images per second and time left: see `robustbench_act.progress.Bar`.

    It takes a single output, and needs no widgets: the last state is stored in the notebook.
    """

    def __init__(self) -> None:
        self._what, self._total, self._done = "", 0, 0
        self._marks = deque[tuple[float, int]]()  # times, and the images done then
        self._begun = self._shown = 0.0
        self._output: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._output is not None:
            took = clock(time.monotonic() - self._begun)
            stopped = "" if error[0] is None else ", stopped"
            self._show(f"{self._counted()} in {took}{stopped}")

    def start(self, what: str, total: int) -> Callable[[int], None]:
        """Show what is done with how many images; return the function that counts them."""
        self._what, self._total, self._done = what, total, 0
        self._begun = time.monotonic()
        self._marks.clear()
        self._update(self._begun)
        return self._count

    def rename(self, what: str) -> None:
        """Show that the next part is being done."""
        self._what = what

    def note(self, text: str) -> None:
        """Print what did not go as planned, below the bar."""
        sys.stdout.write(f"note: {printable(text)}\n")

    def _count(self, images: int) -> None:
        self._done += images
        now = time.monotonic()
        if now - self._shown >= _PAUSE:
            self._update(now)

    def _update(self, now: float) -> None:
        self._marks.append((now, self._done))
        while now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()
        (since, before), text = self._marks[0], self._counted()
        if now > since and self._done > before:
            rate = (self._done - before) / (now - since)
            text += f", {rate:,.0f} images/s, {clock((self._total - self._done) / rate)} left"
        self._show(text)
        self._shown = now

    def _counted(self) -> str:
        return f"{self._what}: {self._done:,} of {self._total:,} images"

    def _show(self, text: str) -> None:
        from IPython.display import display  # noqa: PLC0415 -- a kernel has loaded it

        style = "width: 16em; vertical-align: middle; margin-right: 1em"
        state = f'max="{max(self._total, 1)}" value="{max(self._done, 0)}"'
        bar = f'<progress {state} style="{style}"></progress>'
        content = {"text/plain": text, "text/html": f"<div>{bar}{html.escape(text)}</div>"}
        if self._output is None:
            self._output = display(content, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._output.update(content, raw=True)


def clock(seconds: float) -> str:
    """Return a duration as a clock shows it.

    >>> clock(58.4), clock(3 * 3600 + 62)
    ('0:58', '3:01:02')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
