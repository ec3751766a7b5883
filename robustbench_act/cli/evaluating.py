"""`actrobust evaluate` and `report`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import checkpoint_options, data_options, parse_numbers

QUICK_IMAGES = 60  # with 3 severities, what two cores do in 80 seconds with the embedded checkpoints
QUICK_SEVERITIES = (1.0, 3.0, 5.0)


@click.command()
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT|FOLDER|GLOB]...")
@checkpoint_options
@data_options
@click.option(
    "--suite", "suites", multiple=True, metavar="NAME", help="May be repeated.  [default: c19, shift]"
)
@click.option("--severity", metavar="1,3,5", help="Severities in [1, 5].  [default: 1,2,3,4,5]")
@click.option("--full", is_flag=True, help="With the embedded checkpoints: every image and severity.")
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="Seed of the corruptions.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/DATE-TIME]")
@click.option(
    "--resume/--no-resume", default=True, show_default=True, help="Go on with an unfinished run in --out."
)
@click.option("--probes/--no-probes", default=True, show_default=True, help="Watch the activation layers.")
@click.option("--report", type=click.Choice(["html", "none"]), default="html", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON.")
def evaluate(
    *,
    checkpoints: tuple[str, ...],
    suites: tuple[str, ...],
    severity: str | None,
    full: bool,
    report: str,
    as_json: bool,
    **flags: Any,
) -> None:
    """Put the same corrupted images before each checkpoint; write tables and a report.

    Without CHECKPOINT, the networks that ship with the package are evaluated on a quick selection of images
    and severities (--full takes all).
    """
    from reports import write_html
    from robustbench_act import evaluation
    from robustbench_act.cli.inputs import load_inputs
    from robustbench_act.cli.terminal import EvaluationProgress

    embedded = not checkpoints and not getattr(click.get_current_context().obj, "entries", ())
    quick, chosen = embedded and not full, flags["limit"] is not None
    if quick and not chosen:
        flags["limit"] = QUICK_IMAGES
    severities = parse_numbers("--severity", severity) or (QUICK_SEVERITIES if quick else None)
    inputs = load_inputs(checkpoints, flags, check=True)
    started = time.monotonic()
    with EvaluationProgress(quick=quick and not chosen) as progress:
        run = evaluation.evaluate(
            inputs.checkpoints,
            dataset=inputs.data,
            suites=suites or None,
            severities=severities,
            command=" ".join(["actrobust", *sys.argv[1:]]),
            on_start=lambda plan, out: _begin(plan, out, progress, flags["device"]),
            **flags,
        )
    page = write_html(run.path) if report == "html" else None
    _show(run, page, as_json=as_json, seconds=time.monotonic() - started)
    if run.cells["error"].notna().any():
        sys.exit(1)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write RUN/report.html again from the tables of a finished run."""
    from reports import write_html

    click.echo(write_html(run))


def _begin(plan: Any, out: Path, progress: Any, device: str) -> Any:
    """Say what looks wrong before hours of compute, then start."""
    from robustbench_act.devices import choose_device
    from robustbench_act.doctor import warnings_before

    for finding in warnings_before(plan, out, choose_device(device)):
        text = f"warning: {finding.subject}: {finding.text}; `actrobust doctor` looks for the reason."
        click.echo(text, err=True)
    return progress.start(plan, out)


def _show(run: Any, page: Path | None, *, as_json: bool, seconds: float) -> None:
    from reports.tables import failures
    from robustbench_act.activations import activation_facts, list_activations
    from robustbench_act.cli.terminal import print_leaderboard
    from robustbench_act.metrics import labelled, leaderboard

    board = leaderboard(run.cells)
    failed = failures(run.cells)
    if as_json:
        answer = {
            "run": str(run.path),
            "report": str(page) if page else None,
            "leaderboard": json.loads(board.to_json(orient="records", double_precision=15)),
            "failed": json.loads(failed.to_json(orient="records")),
        }
        click.echo(json.dumps(answer, indent=1))
        return
    labels = {name: activation_facts(name).label for name in list_activations()}
    if len(board):
        print_leaderboard(board, labels, labelled=labelled(run.cells))
    for row in failed.to_dict("records"):
        click.echo(f"failed: {row['checkpoint']}: {row['error']}")
    click.echo(f"{page or run.path}  ({seconds:.0f} s)")
