"""Progress, on stderr: bars in a terminal, a line a minute in a log."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from rich.text import Text

from robustbench_act.cli.terminal import console, say
from robustbench_act.english import count, joined
from robustbench_act.progress.terminal import TerminalBar


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
_PAUSE = 0.5  # seconds between two pictures of the leaderboard


class EvaluationProgress:
    """Messages before and during an evaluation, on stderr."""

    def __init__(self) -> None:
        self.quick = False  # whether a quick selection is made by default
        self._bar = TerminalBar()
        self._plan: Any = None
        self._out = Path()
        self._board: _Board | None = None  # while the run is under way, in a terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Hide the progress."""
        self._bar.stop()

    def start(self, plan: Any, out: Path, *, processes: int | None = None) -> Callable[[int], None]:
        """Print what will be done; return the function that counts the images."""
        from robustbench_act.records import counted_kinds, done_units

        self._plan, self._out = plan, out
        data = plan.dataset
        groups = {one.corruption: one.group for one in plan.series if one.cells}
        severities = ", ".join(f"{severity:g}" for severity in plan.severities)
        say(
            f"{count(len(plan.checkpoints), 'checkpoint')} x {joined(counted_kinds(groups.values()))} x "
            f"severities {severities} x {len(data)} of {data.total} images of {data.name}"
            f"{f', in {processes} processes' if (processes or 1) > 1 else ''}  ->  {out}",
            err=True,
        )
        if done := done_units(out):
            say(f"Continuing: {done} of {plan.unit_count} units are done.", err=True)
        elif not self._bar.hidden:
            self._board = _Board(plan, self._bar)
        if data.view is not None:
            size = " x ".join(map(str, data.shape))
            say(f"Images of {size} pixels: {data.view} ({data.view.source or 'as it is'})", err=True)
        if self.quick:
            say("Quick selection: actrobust evaluate --full takes all images and severities.", err=True)
        for checkpoint in plan.checkpoints:
            if checkpoint.problem:
                say(f"{checkpoint.path}: {checkpoint.problem}; its rows are marked failed.", err=True)
        return MinuteLog(plan.passes) if self._bar.hidden else self._bar.start("evaluating", plan.passes)

    def note(self, text: str) -> None:
        """Print what did not go as planned but changes no number."""
        self._bar.note(text)

    def result(self, result: Any) -> None:
        """Show what the leaderboard is so far, unless it lacks units of an earlier call."""
        if self._board is not None:
            self._board.add(result)

    def kept(self) -> str:
        """Return how much of the run is done, and how to continue it."""
        if self._plan is None:
            return "nothing was started."
        from robustbench_act.records import done_units

        done = f"{done_units(self._out)} of {self._plan.unit_count}"
        return f"{done} units are kept; to continue, repeat the command with --out {self._out}."


class _Board:
    """The leaderboard so far, above the bar."""

    def __init__(self, plan: Any, bar: TerminalBar) -> None:
        from robustbench_act.metrics import SoFar

        self._networks = len(plan.checkpoints)
        self._labelled = plan.dataset.labels is not None
        self._so_far, self._bar = SoFar(plan.identity()), bar
        self._shown = -_PAUSE

    def add(self, result: Any) -> None:
        """Add the result of a unit, and show the table if it has been a moment."""
        from robustbench_act.cli.leaderboard import running_leaderboard
        from robustbench_act.records.parts import unpack_bytes

        self._so_far.add(unpack_bytes(result.part).cells)
        if time.monotonic() - self._shown < _PAUSE:
            return
        board = self._so_far.leaderboard()
        if len(board):
            self._shown = time.monotonic()
            self._bar.show(running_leaderboard(board, networks=self._networks, labelled=self._labelled))


class TrainingProgress:
    """A line on stdout for each network of a grid, and messages and progress on stderr."""

    def __init__(self) -> None:
        self._bar = TerminalBar()
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
        on_images = self._bar.start("training", images)
        self._next()
        return on_images

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
        checked = spec.validation_accuracy
        validation = "" if checked is None else f" {checked:7.2%} on validation images"
        say(f"{job.path.stem:<16} {accuracy} clean accuracy{validation}  {seconds:5.0f} s")
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
            self._bar.rename(self._todo[0].path.stem)


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
