"""Records in, tables, figures and pages out: the reports of a robustness run.

A report is made from run directories alone (``run.json``, ``cells/``, ``layers/``, ``images.parquet``,
``samples/``): nothing here knows the networks or the engine, and importing this package loads neither torch
nor matplotlib.
"""

from reports.errors import ReportError, SectionError
from reports.multi_run.join import join
from reports.report import FORMATS, Report, make_report, render_html, write_html
from reports.run import RunData, load

__all__ = [
    "FORMATS",
    "Report",
    "ReportError",
    "RunData",
    "SectionError",
    "join",
    "load",
    "make_report",
    "render_html",
    "write_html",
]
