"""`actrobust doctor`."""

import sys
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import checkpoint_options, data_options, parse_numbers


@click.command()
@click.argument("checkpoints", nargs=-1, metavar="CHECKPOINT|FOLDER|GLOB...")
@checkpoint_options
@data_options
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="As `evaluate` takes it.")
@click.option("--severity", metavar="1,3,5", help="Likewise.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Where a run would go.")
def doctor(
    *,
    checkpoints: tuple[str, ...],
    suites: tuple[str, ...],
    severity: str | None,
    device: str,
    out: Path,
    **flags: Any,
) -> None:
    """Look for mistakes before hours of compute: normalisation, classes, accuracy, time, room.

    Leaves with exit code 1 where something looks wrong.
    """
    from robustbench_act import doctor as looks
    from robustbench_act.cli.inputs import load_inputs
    from robustbench_act.cli.terminal import print_findings
    from robustbench_act.devices import choose_device
    from robustbench_act.evaluation import Execution, make_plan

    where = choose_device(device)
    limit, flags["limit"] = flags["limit"], None  # of the run, not of what is looked at
    inputs = load_inputs(checkpoints, flags)
    loaded = inputs.checkpoints
    if loaded is None:
        raise click.UsageError("Expected checkpoints, as arguments or in the manifest.")
    plan = make_plan(
        loaded,
        dataset=inputs.data,
        suites=suites or None,
        severities=parse_numbers("--severity", severity),
        limit=limit,
    )
    findings = looks.examine_machine() + looks.examine_data(inputs.data)
    findings += [
        finding for checkpoint in loaded for finding in looks.examine(checkpoint, inputs.data, where)
    ]
    findings += looks.examine_plan(plan, out, Execution(where))
    print_findings(findings)
    sys.exit(0 if all(finding.good for finding in findings) else 1)
