"""What the command line shows: progress on stderr, the leaderboard on stdout."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from robustbench_act.activations import activation_label


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "")


def progress_bar() -> Progress:
    """Return a progress bar in images, on stderr, hidden where nobody watches."""
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


@contextmanager
def saying_what_is_made() -> Iterator[Callable[[str], None]]:
    """Say on stderr which part of a report is being made; nothing where nobody watches."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("report") as status:
        yield lambda part: status.update(f"report: {escape(part)}")


_MINUTE = 60.0


class EvaluationProgress:
    """What is said before and while an evaluation runs, on stderr."""

    def __init__(self) -> None:
        self.quick = False  # whether a quick selection was made that nobody asked for
        self._bar = progress_bar()
        self._plan: Any = None
        self._out = Path()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Show no progress any longer."""
        self._bar.stop()

    def start(self, plan: Any, out: Path, *, processes: int | None = None) -> Callable[[int], None]:
        """Say what will be done and return what counts the images."""
        self._plan, self._out = plan, out
        data = plan.dataset
        corruptions = {unit.corruption for unit in plan.units()} - {"clean"}
        severities = ", ".join(f"{severity:g}" for severity in plan.severities)
        click.echo(
            f"{count(plan.checkpoints, 'checkpoint')} x {count(corruptions, 'corruption')} x "
            f"severities {severities} x {len(data)} of {data.total} images of {data.name}"
            f"{f', in {processes} processes' if (processes or 1) > 1 else ''}  ->  {out}",
            err=True,
        )
        if done := self._done():
            click.echo(f"Going on: {done} of {plan.unit_count} units are there.", err=True)
        if data.view is not None:
            size = " x ".join(map(str, data.shape))
            click.echo(f"Images of {size} pixels: {data.view} ({data.view.source or 'as it is'})", err=True)
        if self.quick:
            click.echo("A quick selection; all images and severities: actrobust evaluate --full", err=True)
        for checkpoint in plan.checkpoints:
            if checkpoint.problem:
                click.echo(f"{checkpoint.path}: {checkpoint.problem}; its rows are marked failed.", err=True)
        if self._bar.disable:
            return MinuteLog(plan.passes)
        self._bar.start()
        task = self._bar.add_task("evaluating", total=plan.passes)
        return lambda images: self._bar.advance(task, images)

    def note(self, text: str) -> None:
        """Say what did not go as planned and changes no number."""
        self._bar.console.print(f"note: {text}", highlight=False, markup=False, soft_wrap=True)

    def kept(self) -> str:
        """Say how much of the run is there, for who goes on with it."""
        if self._plan is None:
            return "nothing was begun."
        done = f"{self._done()} of {self._plan.unit_count}"
        return f"{done} units are kept; the same command with --out {self._out} goes on."

    def _done(self) -> int:
        parts = (self._out / "parts").glob("*.zip")
        return sum(not path.name.endswith(".failed.zip") for path in parts)


class MinuteLog:
    """Progress where nobody watches: a line a minute on stderr, for the log of a job.

    Parameters
    ----------
    total
        Images in all.
    """

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._started = self._said = time.monotonic()

    def __call__(self, images: int) -> None:
        """Count images as they have gone through networks."""
        self._done += images
        now = time.monotonic()
        if now - self._said < _MINUTE or not 0 < self._done < self._total:
            return
        from robustbench_act.doctor import duration

        self._said = now
        left = (now - self._started) * (self._total - self._done) / self._done
        click.echo(
            f"{self._done / self._total:.0%} of {self._total:,} images, {duration(left)} left", err=True
        )


def say_unlabelled(run: Any, *, err: bool = False) -> None:
    """Say of a run on images without labels what its accuracies are."""
    if not run.labelled:
        text = "No labels: what is called accuracy is agreement with the prediction on the clean image."
        click.echo(text, err=err)


def print_estimate(plan: Any, estimate: Any) -> None:
    """Print what a plan will take, on stdout."""
    from robustbench_act.doctor import duration

    corruptions, data = len(plan.corruptions) - 1, plan.dataset
    probes = " with probes" if plan.probes else ""
    parts = {
        "decoding": estimate.decoding,
        "corruptions": estimate.corrupting,
        "networks": estimate.networks,
        "writing": estimate.writing,
    }
    shares = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items() if seconds >= 0.05)
    alone = duration(estimate.seconds * estimate.processes / plan.unit_count)
    rows = {
        "what": f"{count(plan.checkpoints, 'checkpoint')} x {corruptions} corruptions x "
        f"{len(plan.severities)} severities x {len(data)} images of {data.name}",
        "units": f"{plan.unit_count:,}: {len(plan.corruptions)} (clean and corruptions) x "
        f"{count(plan.chunks, 'chunk')} of images x {count(plan.blocks, 'block')} of checkpoints",
        "passes": f"{plan.passes:,} images through networks{probes}",
        "time": f"about {duration(estimate.seconds)} here"
        + (f" in {estimate.processes} processes" if estimate.processes > 1 else "")
        + f" ({shares} of one process); {alone} a unit",
        "memory": f"about {estimate.memory / 1e6:,.0f} MB a process, beside Python and its libraries"
        + (" and the probes' state" if plan.probes else ""),
        "disk": f"about {estimate.disk / 1e6:,.1f} MB",
    }
    for name, text in rows.items():
        click.echo(f"{name:<7} {text}")


def print_findings(findings: Sequence[Any]) -> None:
    """Print what `doctor` found on stdout, a line each; what is wrong stands out."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = click.style("ok   ", fg="green") if finding.good else click.style("WRONG", fg="red", bold=True)
        click.echo(f"{mark}  {finding.subject:<{width}}  {finding.text}")


def count(things: Sized, noun: str) -> str:
    """Return how many there are, with their noun.

    >>> count([1], "cell"), count([], "cell")
    ('1 cell', '0 cells')
    """
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def print_leaderboard(board: pd.DataFrame, *, labelled: bool = True) -> None:
    """Print the leaderboard on stdout: shares in %, the interval over training seeds.

    The columns by group are left out on a terminal too narrow for them; a file or a pipe gets them all.

    Parameters
    ----------
    board
        `robustbench_act.metrics.leaderboard`: a row for each architecture and activation with rank, seeds,
        clean, corrupted, low, high, retained and group_<name> (shares).
    labelled
        Whether the shares are accuracies, or agreement where images have no labels.
    """
    console = Console()
    whole = _leaderboard_table(board, groups=True)
    needed = whole.__rich_measure__(console, console.options.update(max_width=10_000)).maximum
    what = "Accuracy in %" if labelled else "No labels: agreement with the prediction on the clean image in %"
    print(f"{what}: mean over corruptions, severities and training seeds")  # noqa: T201
    if not console.is_terminal:
        Console(width=needed).print(whole)
    elif needed <= console.width:
        console.print(whole)
    else:
        console.print(_leaderboard_table(board, groups=False))
        console.print(f"By group of corruptions: in the report, or {needed} columns wide.", highlight=False)


def _leaderboard_table(board: pd.DataFrame, *, groups: bool) -> Table:
    several = len(board["architecture"].unique()) > 1
    named = [str(name) for name in board if str(name).startswith("group_")] if groups else []
    texts = {
        "#": board["rank"].map(str),
        "activation": board["activation"].map(activation_label),
        **({"architecture": board["architecture"]} if several else {}),
        "seeds": board["seeds"].map(str),
        "clean": board["clean"].map(_percent),
        "corrupted": board["corrupted"].map(_percent),
        "± 95%": ((board["high"] - board["low"]) / 2).map(_percent),
        "retained": board["retained"].map(_percent),
        **{name.removeprefix("group_"): board[name].map(_percent) for name in named},
    }
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for title in texts:
        table.add_column(title, justify="left" if title in ("activation", "architecture") else "right")
    for rank, *cells in zip(board["rank"], *texts.values(), strict=True):
        table.add_row(*cells, style="bold" if rank == 1 else "")
    return table


_BLOCKS = " ▏▎▍▌▋▊▉█"
_BAR_WIDTH = 8  # characters


def print_layers(table: pd.DataFrame, title: str) -> None:
    """Print what a shift does inside a network, a line for each activation layer, on stdout.

    Parameters
    ----------
    table
        `Probe.to_frame` with two versions, the second one shifted.
    title
        What was done to what.
    """
    clean = table[table["version"] == 0].set_index("index")
    shifted = table[table["version"] == 1].set_index("index")
    moved = shifted["output_relative_mean"]
    top = moved[moved < float("inf")].max()
    texts = {
        "layer": shifted["layer"],
        "D": shifted["elements"].map("{:,}".format),
        "in": shifted["input_relative_mean"].map(_percent),
        "out": moved.map(_percent),
        " ": moved.map(lambda value: _bar(min(value / top, 1.0) if top else 0.0)),
        "± sd": shifted["output_relative_var"].pow(0.5).map(_percent),
        "out/in": shifted["amplification_mean"].map(_short),
        "mean |µ|": clean["activation_abs_mean"].map(_short),
        "saturated": clean["saturated"].map(_percent),
        "dead": clean["dead"].map(_percent),
        "rho": clean["rho"].map(_short),
        "rho'": clean["rho_prime"].map(_short),
    }
    if "gradient_variance" in table:
        texts["var grad"] = clean["gradient_variance"].map("{:.1e}".format)
    grid = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for name in texts:
        grid.add_column(name, justify="left" if name in ("layer", " ") else "right", no_wrap=name == " ")
    for cells in zip(*texts.values(), strict=True):
        grid.add_row(*cells)
    console = Console()
    needed = grid.__rich_measure__(console, console.options.update(max_width=10_000)).maximum
    print(title)  # noqa: T201
    (console if console.is_terminal and needed <= console.width else Console(width=needed)).print(grid)
    print(  # noqa: T201
        "in, out: fluctuation of a layer's input and output, % of the clean one: mean over images, ± sd"
    )
    for layer, count in shifted.set_index("layer")["nonfinite"].items():
        if count:
            print(f"{layer}: NaN or infinite values in {count} images; its numbers mean little")  # noqa: T201


def _bar(share: float) -> str:
    """Return a bar of a share in [0, 1], to an eighth of a character; empty for NaN.

    >>> _bar(0.53), _bar(float("nan"))
    ('████▎   ', '')
    """
    if math.isnan(share):
        return ""
    whole, part = divmod(round(share * _BAR_WIDTH * 8), 8)
    return ("█" * whole + _BLOCKS[part]).ljust(_BAR_WIDTH)[:_BAR_WIDTH]


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _percent(share: Any) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.1f}"
