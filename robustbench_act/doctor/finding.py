"""The result of one check."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    subject
        A checkpoint's name, "data", "run" or "machine".
    good
        Whether all is as it should be.
    text
        What was found, with numbers.
    """

    subject: str
    good: bool
    text: str
