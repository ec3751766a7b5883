"""Progress, on stderr: bars in a terminal, a line a minute in a log."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

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

from robustbench_act.cli.terminal import console, say
from robustbench_act.english import count, joined
from robustbench_act.paths import listed
from robustbench_act.texts import printable


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "")


def progress_bar() -> Progress:
    """Return a progress bar in images, on stderr; hidden unless stderr is a terminal."""
    columns = (
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console(stderr=True), disable=not sys.stderr.isatty())


@contextmanager
def report_status() -> Iterator[Callable[[str], None]]:
    """Show on stderr which part of a report is being made, if stderr is a terminal."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda _: None
        return
    with screen.status("report", spinner="line") as status:  # ASCII alone
        yield lambda part: status.update(Text(f"report: {part}"))


_MINUTE = 60.0


class EvaluationProgress:
    """Messages before and during an evaluation, on stderr."""

    def __init__(self) -> None:
        self.quick = False  # whether a quick selection is made by default
        self._bar = progress_bar()
        self._plan: Any = None
        self._out = Path()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Hide the progress."""
        self._bar.stop()

    def start(self, plan: Any, out: Path, *, processes: int | None = None) -> Callable[[int], None]:
        """Print what will be done; return the function that counts the images."""
        from robustbench_act.records import counted_kinds

        self._plan, self._out = plan, out
        data = plan.dataset
        groups = {unit.corruption: unit.group for unit in plan.units() if unit.corruption != "clean"}
        severities = ", ".join(f"{severity:g}" for severity in plan.severities)
        say(
            f"{count(len(plan.checkpoints), 'checkpoint')} x {joined(counted_kinds(groups.values()))} x "
            f"severities {severities} x {len(data)} of {data.total} images of {data.name}"
            f"{f', in {processes} processes' if (processes or 1) > 1 else ''}  ->  {out}",
            err=True,
        )
        if done := self._done():
            say(f"Continuing: {done} of {plan.unit_count} units are done.", err=True)
        if data.view is not None:
            size = " x ".join(map(str, data.shape))
            say(f"Images of {size} pixels: {data.view} ({data.view.source or 'as it is'})", err=True)
        if self.quick:
            say("Quick selection: actrobust evaluate --full takes all images and severities.", err=True)
        for checkpoint in plan.checkpoints:
            if checkpoint.problem:
                say(f"{checkpoint.path}: {checkpoint.problem}; its rows are marked failed.", err=True)
        if self._bar.disable:
            return MinuteLog(plan.passes)
        self._bar.start()
        task = self._bar.add_task("evaluating", total=plan.passes)
        return lambda images: self._bar.advance(task, images)

    def note(self, text: str) -> None:
        """Print what did not go as planned but changes no number."""
        self._bar.console.print(f"note: {printable(text)}", soft_wrap=True)

    def kept(self) -> str:
        """Return how much of the run is done, and how to continue it."""
        if self._plan is None:
            return "nothing was started."
        done = f"{self._done()} of {self._plan.unit_count}"
        return f"{done} units are kept; to continue, repeat the command with --out {self._out}."

    def _done(self) -> int:
        parts = listed(self._out / "parts", "*.zip")
        return sum(not path.name.endswith(".failed.zip") for path in parts)


class TrainingProgress:
    """A line on stdout for each network of a grid, and messages and progress on stderr."""

    def __init__(self) -> None:
        self._bar = progress_bar()
        self._todo: list[Any] = []
        self._done = self._all = 0
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def start(self, jobs: Sequence[Any], images: int) -> Callable[[int], None]:
        """Show what will be trained; return the function that counts the images."""
        self._todo, self._all = list(jobs), self._done + len(jobs)
        self._bar.start()
        self._task = self._bar.add_task("training", total=images)
        self._next()
        return lambda done: self._bar.advance(self._task, done)

    def note(self, text: str) -> None:
        """Print what a reader of the accuracies should know."""
        say(f"note: {text}", err=True)

    def network(self, job: Any, spec: Any) -> None:
        """Print a network that is there already (the spec is None), or that has been trained."""
        self._done += 1
        if spec is None:
            say(f"{job.path.stem:<16} exists already")
            return
        seconds, known = time.monotonic() - self._started, spec.clean_accuracy
        accuracy = "     no" if known is None else f"{known:7.2%}"
        say(f"{job.path.stem:<16} {accuracy} clean accuracy  {seconds:5.0f} s")
        self._todo.pop(0)
        self._next()

    def kept(self) -> str:
        """Return how many networks are there, and how to continue."""
        if not self._all:
            return "nothing was started."
        return f"{self._done} of {self._all} checkpoints are complete; repeat the command to continue."

    def _next(self) -> None:
        self._started = time.monotonic()
        if self._todo:
            self._bar.update(self._task, description=self._todo[0].path.stem)


class MinuteLog:
    """Progress for the log of a job, in images: one line a minute, on stderr."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._started = self._said = time.monotonic()

    def __call__(self, images: int) -> None:
        """Count images that have gone through networks."""
        self._done += images
        now = time.monotonic()
        if now - self._said < _MINUTE or not 0 < self._done < self._total:
            return
        from robustbench_act.doctor import duration

        self._said = now
        left = (now - self._started) * (self._total - self._done) / self._done
        say(f"{self._done / self._total:.0%} of {self._total:,} images, {duration(left)} left", err=True)
