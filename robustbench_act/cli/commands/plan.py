"""`actrobust plan`."""

import json
from dataclasses import asdict
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
@click.option("--units", is_flag=True, help="Print each unit of work, a line each.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def plan(*, checkpoints: tuple[str, ...], units: bool, as_json: bool, **flags: Any) -> None:
    """Say what `evaluate` would do with the same arguments: units of work, time, memory, room on the disk.

    Time is measured on a few images of each corruption and of each kind of network. Nothing is written:
    --out, --resume and --report are taken, so that the same line may be tried, and not used.
    """
    from robustbench_act.cli.inputs import take_plan
    from robustbench_act.cli.interruption import going_on
    from robustbench_act.cli.terminal import print_estimate
    from robustbench_act.evaluation import Execution, estimate, make_plan

    for unused in ("out", "resume", "report"):
        flags.pop(unused)
    execution = Execution.of(**take_execution(flags))
    with going_on(lambda: "nothing was written."):
        made = make_plan(**take_plan(checkpoints, flags).arguments)
        found = estimate(made, execution)
    if as_json:
        size = {"units": made.unit_count, "blocks": len(made.blocks), "chunks": len(made.chunks)}
        rows = {"unit": [unit.title for unit in made.units()]} if units else {}
        answer = {**size, "passes": made.passes, **asdict(found), "seconds": found.seconds, **rows}
        click.echo(json.dumps(answer, indent=1))
        return
    for unit in made.units() if units else ():
        click.echo(unit.title)
    print_estimate(made, found)
