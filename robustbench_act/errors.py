"""The one error type for bad input, `InputError`, shared with the corruptions package; interruptions."""

from corruptions.errors import InputError, unknown_name

__all__ = ["DivergedError", "InputError", "StoppedError", "first_line", "unknown_name"]


class DivergedError(InputError):
    """A training whose loss is no longer finite."""


class StoppedError(KeyboardInterrupt):
    """Somebody interrupted a long call; the message says in one line what is kept and how to continue."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows instead of a traceback."""
        return [str(self)]


def first_line(error: Exception) -> str:
    r"""Return the first line of a foreign error, to be quoted in one of ours.

    >>> first_line(ValueError("Not a header.\nMore of it")), first_line(KeyError())
    ('Not a header', 'KeyError')
    """
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines and lines[0] else type(error).__name__
