"""Parts of a report by themselves: figures take most of its time, and only those of the parts are drawn."""

from reports import Report
from reports.analysis import Analysis
from reports.html import html_page
from reports.layout import Section
from reports.sections import SECTIONS

MAKERS = {make.__name__: make for make in SECTIONS}


def section_of(analysis: Analysis, name: str) -> Section:
    """Return one section without drawing its figures."""
    return MAKERS[name](analysis)


def page_of(report: Report, *names: str) -> str:
    """Return the page as it would be with these sections alone."""
    return html_page(report.analysis, [section_of(report.analysis, name) for name in names])
