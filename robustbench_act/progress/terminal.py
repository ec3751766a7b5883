"""Progress in a terminal, on stderr."""

import sys
from collections.abc import Callable, Iterable
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from robustbench_act.texts import printable


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "")


class _BelowATable(Progress):
    """A progress bar with something above it that changes."""

    above: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.above is not None:
            yield self.above
        yield from super().get_renderables()


def progress_bar() -> _BelowATable:
    """Return a progress bar in images, on stderr; hidden unless stderr is a terminal."""
    columns = (
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    screen = Console(stderr=True, markup=False, emoji=False, highlight=False)
    return _BelowATable(*columns, console=screen, disable=not sys.stderr.isatty())


class TerminalBar:
    """The bar of the command line: see `robustbench_act.progress.Bar`."""

    def __init__(self) -> None:
        self._bar = progress_bar()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def hidden(self) -> bool:
        """Whether stderr is no terminal, and only notes are shown."""
        return self._bar.disable

    def stop(self) -> None:
        """Leave the bar as it is, and take away what is above it."""
        self._bar.above = None
        self._bar.stop()

    def show(self, above: RenderableType) -> None:
        """Show something above the bar, in place of what was there."""
        self._bar.above = above

    def start(self, what: str, total: int) -> Callable[[int], None]:
        """Show what is done with how many images; return the function that counts them."""
        self._bar.start()
        self._task = self._bar.add_task(what, total=total)
        return lambda images: self._bar.advance(self._task, images)

    def rename(self, what: str) -> None:
        """Show that the next part is being done."""
        self._bar.update(self._task, description=what)

    def note(self, text: str) -> None:
        """Print what did not go as planned, above the bar."""
        self._bar.console.print(f"note: {printable(text)}", soft_wrap=True)
