"""`actrobust evaluate`."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import command_options


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
    from reports import make_report
    from robustbench_act.cli import requests
    from robustbench_act.cli.interruption import interruptible
    from robustbench_act.cli.progress import EvaluationProgress, report_status
    from robustbench_act.evaluation import run_request

    with EvaluationProgress() as progress, interruptible(progress.kept):
        execution = replace(requests.execution(options), on_note=progress.note)
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
        with report_status() as on_part:
            pages = make_report(run.path, on_part=on_part).write(run.path, report) if report else []
    _show(run, pages, as_json=as_json, seconds=time.monotonic() - started)
    if run.cells["error"].notna().any():
        sys.exit(1)


def _begin(plan: Any, out: Path, progress: Any, execution: Any) -> Any:
    """Say what looks wrong before hours of compute, then start."""
    from robustbench_act.devices import at_hand
    from robustbench_act.doctor import warnings_before

    chosen = execution.for_plan(plan)
    for finding in warnings_before(plan, out, at_hand(chosen.device)):
        text = f"warning: {finding.subject}: {finding.text}; `actrobust doctor` looks for the cause."
        click.echo(text, err=True)
    return progress.start(plan, out, processes=chosen.processes if chosen.executor == "local" else None)


def _show(run: Any, pages: list[Path], *, as_json: bool, seconds: float) -> None:
    from reports.tables import failures
    from robustbench_act.cli.leaderboard import print_leaderboard

    board = run.leaderboard()
    failed = failures(run.cells)
    if as_json:
        answer = {
            "run": str(run.path),
            "report": str(pages[0]) if pages else None,
            "leaderboard": json.loads(board.to_json(orient="records", double_precision=15)),
            "failed": json.loads(failed.to_json(orient="records")),
        }
        click.echo(json.dumps(answer, indent=1))
        return
    if len(board):
        print_leaderboard(board, labelled=run.labelled)
    for row in failed.to_dict("records"):
        click.echo(f"failed: {row['checkpoint']}: {row['error']}")
    click.echo(f"{'  '.join(map(str, pages)) or run.path}  ({seconds:.0f} s)")
