"""`actrobust evaluate`."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import (
    checkpoint_options,
    execution_options,
    output_options,
    plan_options,
    take_execution,
)


@click.command()
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT|FOLDER|GLOB]...")
@checkpoint_options
@plan_options
@execution_options
@output_options
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON.")
def evaluate(
    *,
    checkpoints: tuple[str, ...],
    out: Path | None,
    resume: bool,
    report: tuple[str, ...],
    as_json: bool,
    **flags: Any,
) -> None:
    """Put the same corrupted images before each checkpoint; write tables and a report.

    Without CHECKPOINT, the networks that ship with the package are evaluated on a quick selection of images
    and severities (--full takes all).
    """
    from reports import make_report
    from robustbench_act import evaluation
    from robustbench_act.cli.inputs import take_plan
    from robustbench_act.cli.interruption import going_on
    from robustbench_act.cli.terminal import EvaluationProgress, saying_what_is_made

    with EvaluationProgress() as progress, going_on(progress.kept):
        taken, execution = take_plan(checkpoints, flags, check=True), take_execution(flags)
        progress.quick, started = taken.quick, time.monotonic()
        run = evaluation.evaluate(
            out=out,
            resume=resume,
            command=" ".join(["actrobust", *sys.argv[1:]]),
            on_start=lambda plan, out: _begin(plan, out, progress, execution),
            on_note=progress.note,
            **taken.arguments,
            **execution,
        )
        progress.stop()
        with saying_what_is_made() as on_part:
            pages = make_report(run.path, on_part=on_part).write(run.path, report) if report else []
    _show(run, pages, as_json=as_json, seconds=time.monotonic() - started)
    if run.cells["error"].notna().any():
        sys.exit(1)


def _begin(plan: Any, out: Path, progress: Any, execution: Mapping[str, Any]) -> Any:
    """Say what looks wrong before hours of compute, then start."""
    from robustbench_act.devices import at_hand
    from robustbench_act.doctor import warnings_before
    from robustbench_act.evaluation import Execution

    chosen = Execution.of(**execution).for_plan(plan)
    for finding in warnings_before(plan, out, at_hand(chosen.device)):
        text = f"warning: {finding.subject}: {finding.text}; `actrobust doctor` looks for the reason."
        click.echo(text, err=True)
    return progress.start(plan, out, processes=chosen.processes if chosen.executor == "local" else None)


def _show(run: Any, pages: list[Path], *, as_json: bool, seconds: float) -> None:
    from reports.tables import failures
    from robustbench_act.cli.terminal import print_leaderboard
    from robustbench_act.metrics import labelled, leaderboard

    board = leaderboard(run.cells)
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
        print_leaderboard(board, labelled=labelled(run.cells))
    for row in failed.to_dict("records"):
        click.echo(f"failed: {row['checkpoint']}: {row['error']}")
    click.echo(f"{'  '.join(map(str, pages)) or run.path}  ({seconds:.0f} s)")
