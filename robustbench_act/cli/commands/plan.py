"""`actrobust plan`."""

import json
from dataclasses import asdict
from typing import Any

import click

from robustbench_act.cli.options import command_options


@click.command()
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT|FOLDER|GLOB]...")
@command_options("plan")
def plan(*, checkpoints: tuple[str, ...], full: bool, units: bool, as_json: bool, **options: Any) -> None:
    """Estimate what `evaluate` would take with the same arguments: units of work, time, memory, disk space.

    Time is measured on a few images of each corruption and each kind of network. Nothing is written: --out,
    --resume and --report are accepted, so that you can try the same command line, but have no effect.
    """
    from robustbench_act.cli import requests
    from robustbench_act.cli.interruption import going_on
    from robustbench_act.cli.terminal import print_estimate
    from robustbench_act.evaluation import estimate

    execution = requests.execution(options)
    request = requests.quick_unless(full, requests.plan_request(checkpoints, options))
    with going_on(lambda: "nothing was written."):
        made = request.plan(requests.check_if_skipping)
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
