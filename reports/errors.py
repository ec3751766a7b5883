"""The one error type of the reports: `ReportError`."""

from robustbench_act.errors import InputError


class ReportError(InputError):
    """What a report needs is missing or wrong; one line: what was expected, what came, where."""
