"""Errors of the reports: what is wrong with a run, and bugs of ours."""

from robustbench_act.errors import InputError


class ReportError(InputError):
    """Something a report needs is missing or wrong; one line: what was expected, what was found, where."""


class SectionError(RuntimeError):
    """A part of a report cannot be made. No report is without that part silently."""
