"""`actrobust plan`."""

import json
from dataclasses import asdict
from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("plan")
@click.argument("checkpoints", nargs=-1, metavar="[CHECKPOINT|FOLDER|GLOB]...")
@command_options("plan")
def command(*, checkpoints: tuple[str, ...], full: bool, units: bool, as_json: bool, **options: Any) -> None:
    """Estimate what `evaluate` would take with the same arguments: time, memory, disk space.

    Time is measured on a few images of each corruption and each kind of network. Nothing is written: --out,
    --resume and --report are accepted, so that you can try the same command line, but have no effect.
    """
    from robustbench_act.cli import requests
    from robustbench_act.cli.interruption import interruptible
    from robustbench_act.evaluation import adaptations, estimate, with_behaviours
    from robustbench_act.records.behaviour import notes

    execution = requests.execution(options)
    request = requests.quick_unless(full, requests.plan_request(checkpoints, options))
    with interruptible(lambda: "nothing was written."):
        made = request.plan(requests.check_if_skipping)
        made = with_behaviours(made, execution, allow_random=request.allow_random)
        found = estimate(made, execution)
    for text in (*adaptations(made.checkpoints, made.dataset), *notes(made.behaviours)):
        say(f"note: {text}", err=True)
    if as_json:
        size = {"units": made.unit_count, "blocks": len(made.blocks), "chunks": len(made.chunks)}
        rows = {"unit": [unit.title for unit in made.units()]} if units else {}
        answer = {**size, "passes": made.passes, **asdict(found), "seconds": found.seconds, **rows}
        click.echo(json.dumps(answer, indent=1))
        return
    for unit in made.units() if units else ():
        say(unit.title)
    _print_estimate(made, found)


def _print_estimate(plan: Any, estimate: Any) -> None:
    """Print on stdout what a plan will take."""
    from robustbench_act.doctor import duration
    from robustbench_act.english import count, joined
    from robustbench_act.records import counted_kinds

    kinds = counted_kinds(one.group for one in plan.series if one.cells)
    corruptions, data = joined(kinds), plan.dataset
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
        "what": f"{count(len(plan.checkpoints), 'checkpoint')} x {corruptions} x "
        f"{count(len(plan.severities), 'severity')} x {len(data)} images of {data.name}",
        "units": f"{plan.unit_count:,}: {count(len(plan.chunks), 'chunk')} of images x "
        f"{count(len(plan.blocks), 'block')} of checkpoints"
        + (", corruptions in groups" if plan.unit_count > len(plan.chunks) * len(plan.blocks) else ""),
        "passes": f"{plan.passes:,} images through networks{probes}",
        "time": f"about {duration(estimate.seconds)} here"
        + (f" in {estimate.processes} processes" if estimate.processes > 1 else "")
        + f" ({shares} in one process); {alone} per unit",
        "memory": f"about {estimate.memory / 1e6:,.0f} MB per process, "
        + "in addition to Python and its libraries"
        + (" and the probes' state" if plan.probes else ""),
        "disk": f"about {estimate.disk / 1e6:,.1f} MB",
    }
    for name, text in rows.items():
        say(f"{name:<7} {text}")
