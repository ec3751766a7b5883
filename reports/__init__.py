"""Records in, tables, figures and pages out: the reports of a robustness run.

A report is made from a run directory alone (``run.json``, ``cells/``, ``layers/``, ``samples/``):
nothing here knows the networks or the engine, and importing this package loads neither
torch nor matplotlib.
"""

from reports.errors import ReportError
from reports.html import render_html, write_html
from reports.run import RunData, load

__all__ = ["ReportError", "RunData", "load", "render_html", "write_html"]
