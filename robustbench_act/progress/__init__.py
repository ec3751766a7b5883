"""Progress in images, by itself if a person sits in front: in a notebook or in a terminal."""

import sys
from collections.abc import Callable
from typing import Protocol, Self

from robustbench_act.notebook import NotebookBar, in_notebook


class Bar(Protocol):
    """Shows how far something has come, inside a `with` block."""

    def start(self, what: str, total: int) -> Callable[[int], None]:
        """Show what is done with how many images; return the function that counts them."""

    def rename(self, what: str) -> None:
        """Show that the next part is being done."""

    def note(self, text: str) -> None:
        """Say what did not go as planned."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class NoBar:
    """Shows nothing; notes go to `log`."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.note = log

    def start(self, what: str, total: int) -> Callable[[int], None]:
        """Return a function that does nothing."""
        return lambda images: None

    def rename(self, what: str) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def choose_bar(wanted: bool, *, log: Callable[[str], None]) -> Bar:
    """Return the bar of a notebook or a terminal; without both, and unless wanted, one that shows nothing.

    Parameters
    ----------
    log
        Takes the notes if nothing is shown.

    Examples
    --------
    >>> told = []
    >>> with choose_bar(False, log=told.append) as bar:
    ...     bar.note("A worker died.")
    >>> told
    ['A worker died.']
    """
    if wanted and in_notebook():
        return NotebookBar()
    if wanted and sys.stderr.isatty():
        from robustbench_act.progress.terminal import TerminalBar  # noqa: PLC0415 -- workers need no rich

        return TerminalBar()
    return NoBar(log)
