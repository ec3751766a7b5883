"""The HTML report: one self-contained file, made from a run directory."""

import base64
import hashlib
import os
import tempfile
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reports.errors import ReportError
from reports.page import page_context
from reports.run import RunData, load
from reports.words import number, percent

REPORT_NAME = "report.html"


def render_html(run: RunData) -> str:
    """Return the report of `run` as one HTML page that asks for nothing from outside.

    The same run gives the same bytes. Nothing in it is executed but one small script of our own
    (sortable columns), which the page's Content-Security-Policy admits by its hash; without it
    the page is complete.
    """
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name in the template is an error, not a gap in the page
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number, breakable=_breakable)
    script = _template("sort.js")
    return environment.get_template("report.html.j2").render(
        **page_context(run),
        css=_template("report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def write_html(run_dir: str | Path) -> Path:
    """Write ``report.html`` into the run directory and return its path.

    The file appears whole or not at all: it is written under a temporary name, synced, renamed.

    Raises
    ------
    ReportError
        The run cannot be read (see `reports.load`), or the page cannot be written.
    """
    page = render_html(load(run_dir))
    target = Path(run_dir) / REPORT_NAME
    try:
        _write_whole(target, page)
    except OSError as error:
        raise ReportError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _write_whole(target: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would keep colleagues from reading it
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _template(name: str) -> Markup:
    """Return the text of one of our own files, which may stand in the page unescaped."""
    return Markup((resources.files("reports") / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704


def _breakable(name: object) -> Markup:
    """Escape a name and let it break after underscores and dots, where a narrow column needs it."""
    text = escape(name)
    for mark in "_.":
        text = text.replace(mark, mark + Markup("<wbr>"))
    return text
