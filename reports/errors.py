"""Errors of the reports: what is wrong with a run, and what is wrong with us."""

from robustbench_act.errors import InputError


class ReportError(InputError):
    """What a report needs is missing or wrong; one line: what was expected, what came, where."""


class SectionError(RuntimeError):
    """A part of a report cannot be made: no report is written, for it would lack something unseen."""
