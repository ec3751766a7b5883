"""`actrobust doctor`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("doctor")
@click.argument("checkpoints", nargs=-1, metavar="CHECKPOINT|FOLDER|GLOB...")
@command_options("doctor")
def command(
    *, checkpoints: tuple[str, ...], limit: int | None, device: str, out: Path, **options: Any
) -> None:
    """Look for mistakes before hours of compute: normalisation, classes, accuracy, time, space.

    Exits with code 1 if something looks wrong.
    """
    from robustbench_act import doctor as looks
    from robustbench_act.cli.requests import check_if_skipping, study_request
    from robustbench_act.devices import choose_device
    from robustbench_act.evaluation import Execution, PlanRequest

    where = choose_device(device)
    request = study_request(checkpoints, options)  # --limit is about the run, not about what is looked at
    data, loaded = request.load(check_if_skipping)
    plan = PlanRequest(
        checkpoints=loaded,
        dataset=data,
        limit=limit,
        **{name: getattr(request, name) for name in ("suites", "corruptions", "severities")},
    ).plan()
    findings = looks.examine_machine() + looks.examine_data(data)
    of_networks, behaviours = looks.examine_networks(loaded, data, where)
    findings += of_networks
    findings += looks.examine_corruptions(plan, Execution(where))
    findings += looks.examine_plan(replace(plan, behaviours=behaviours), out, Execution(where))
    _print_findings(findings)
    sys.exit(0 if all(finding.good for finding in findings) else 1)


def _print_findings(findings: Sequence[Any]) -> None:
    """Print findings on stdout, one per line; bad ones stand out."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = click.style("ok   ", fg="green") if finding.good else click.style("WRONG", fg="red", bold=True)
        click.echo(f"{mark}  ", nl=False)
        say(f"{finding.subject:<{width}}  {finding.text}")
