"""The one error type of the toolkit: `InputError`, shared with the corruptions package."""

from corruptions.errors import InputError, unknown_name

__all__ = ["InputError", "first_line", "unknown_name"]


def first_line(error: Exception) -> str:
    r"""Return the first line of a foreign error, to be quoted in one of ours.

    >>> first_line(ValueError("Not a header.\nMore of it")), first_line(KeyError())
    ('Not a header', 'KeyError')
    """
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines and lines[0] else type(error).__name__
