"""The one error type of the reports: `ReportError`."""


class ReportError(ValueError):
    """What a report needs is missing or wrong; one line: what was expected, what came, where."""
