"""What was found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    subject
        A checkpoint's name, "data", "run" or "machine".
    good
        Whether it is as it should be.
    text
        What was found, with numbers.
    """

    subject: str
    good: bool
    text: str
