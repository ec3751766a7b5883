"""`actrobust evaluate`."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("evaluate")
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT|FOLDER|GLOB]...")
@command_options("evaluate")
def command(
    *,
    checkpoints: tuple[str, ...],
    full: bool,
    out: Path | None,
    resume: bool,
    report: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Show the same corrupted images to each checkpoint; write tables and a report.

    Without CHECKPOINT, the networks that ship with the package are evaluated on a quick selection of images
    and severities (--full: on all of them).
    """
    from robustbench_act.cli import requests
    from robustbench_act.cli.interruption import interruptible
    from robustbench_act.cli.progress import EvaluationProgress
    from robustbench_act.evaluation import run_request

    with EvaluationProgress() as progress, interruptible(progress.kept):
        execution = replace(requests.execution(options), on_note=progress.note, on_result=progress.result)
        asked = requests.plan_request(checkpoints, options)
        request, started = requests.quick_unless(full, asked), time.monotonic()
        progress.quick = request.limit != asked.limit
        run = run_request(
            request,
            execution,
            out,
            resume=resume,
            command=" ".join(["actrobust", *sys.argv[1:]]),
            on_start=lambda plan, out: _begin(plan, out, progress, execution),
            look=requests.check_pictures,
        )
        progress.stop()
        if not as_json:
            _show(run)
        pages, problems = _draw_report(run, report)
    if as_json:
        click.echo(json.dumps(_answer(run, pages), indent=1))
    else:
        say(f"{'  '.join(map(str, pages)) or run.path}  ({time.monotonic() - started:.0f} s)")
    if problems:
        what = "Report incomplete" if pages else "No report"
        again = f"`actrobust report {run.path}` makes it from the tables."
        say(f"{what}: {'; '.join(problems)}. {again}", err=True)
    if problems or run.cells["error"].notna().any():
        sys.exit(1)


def _begin(plan: Any, out: Path, progress: Any, execution: Any) -> Any:
    """Say what looks wrong before hours of compute, then start."""
    from robustbench_act.devices import at_hand
    from robustbench_act.doctor import warnings_before

    chosen = execution.for_plan(plan)
    for finding in warnings_before(plan, out, at_hand(chosen.device)):
        text = f"warning: {finding.subject}: {finding.text}; `actrobust doctor` looks for the cause."
        say(text, err=True)
    return progress.start(plan, out, processes=chosen.processes if chosen.executor == "local" else None)


def _show(run: Any) -> None:
    """Print on stdout the leaderboard and what failed."""
    from robustbench_act.cli.leaderboard import print_leaderboard
    from robustbench_act.cli.messages import say_notes

    board = run.leaderboard()
    if len(board):
        print_leaderboard(board, labelled=run.labelled)
    say_notes(run)
    for row in run.failures().to_dict("records"):
        say(f"failed: {row['checkpoint']}: {row['error']}")


def _answer(run: Any, pages: list[Path]) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "report": str(pages[0]) if pages else None,
        "leaderboard": json.loads(run.leaderboard().to_json(orient="records", double_precision=15)),
        "notes": run.network_notes,
        "networks": {
            entry.name: entry.behaviour.to_json() for entry in run.info.checkpoints if entry.behaviour.notes()
        },
        "failed": json.loads(run.failures().to_json(orient="records")),
    }


def _draw_report(run: Any, formats: tuple[str, ...]) -> tuple[list[Path], list[str]]:
    """Write the report; return its files and what could not be made, whatever went wrong."""
    from reports import make_report
    from robustbench_act.cli.progress import report_status
    from robustbench_act.errors import first_line

    pages, problems = list[Path](), list[Exception]()
    try:
        with report_status() as on_part:
            if formats:
                made = make_report(run.path, on_part=on_part, on_problem=problems.append)
                pages = made.write(run.path, formats)
    except Exception as error:  # the numbers are there
        problems.append(error)
    return pages, [first_line(problem).removesuffix(".") for problem in problems]
