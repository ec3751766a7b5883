"""`actrobust report`."""

import sys
from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=HomePath())
@command_options("report")
def command(
    *,
    runs: tuple[Path, ...],
    formats: tuple[str, ...],
    out: Path | None,
    figures: Path | None,
    only: tuple[str, ...] | None,
    labels: dict[str, str] | None,
    colours: dict[str, str] | None,
    show: bool,
) -> None:
    """Write the report of a finished RUN again, or one of several runs side by side.

    Several runs must have the same images and corruptions.
    """
    from reports import make_report
    from robustbench_act.cli.progress import report_status
    from robustbench_act.errors import first_line

    if only is not None and figures is None:
        raise click.UsageError("--only goes with --figures.")
    problems = list[Exception]()
    with report_status() as on_part:
        made = make_report(*runs, on_part=on_part, on_problem=problems.append, labels=labels, colours=colours)
        chosen = made.figures(only) if figures is not None else []
        paths = made.write(out or (runs[0] if len(runs) == 1 else Path()), formats)
        drawn = made.write_figures(figures, chosen) if figures is not None else []
    if problems and not paths and not drawn:
        raise problems[0]
    for path in paths:
        say(path)
    if drawn:
        say(f"{figures}  ({len(drawn)} files)")
    for problem in problems:
        say(f"Error: {first_line(problem)}", err=True)
    if show and paths:
        click.launch(str(paths[0].resolve()))
    if problems:
        sys.exit(1)
