"""`actrobust doctor`."""

import sys
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import checkpoint_options, load_named, parse_numbers


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT|FOLDER|GLOB...")
@checkpoint_options
@click.option("--dataset", default="mnist-1k", show_default=True, metavar="NAME[:ROOT]")
@click.option("--corrupted", type=click.Path(path_type=Path), metavar="DIR", help="As `evaluate` takes it.")
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="Likewise.")
@click.option("--severity", metavar="1,3,5", help="Likewise.")
@click.option("--limit", type=click.IntRange(1), help="Likewise.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Where a run would go.")
def doctor(
    *,
    checkpoints: tuple[str, ...],
    model: str | None,
    dataset: str,
    corrupted: Path | None,
    suites: tuple[str, ...],
    severity: str | None,
    limit: int | None,
    device: str,
    out: Path,
    **spec: Any,
) -> None:
    """Look for mistakes before hours of compute: normalisation, classes, accuracy, time, room.

    Leaves with exit code 1 where something looks wrong.
    """
    from robustbench_act import doctor as looks
    from robustbench_act.cli.terminal import print_findings
    from robustbench_act.datasets import load_dataset
    from robustbench_act.devices import choose_device
    from robustbench_act.evaluation import make_plan

    where = choose_device(device)
    data = load_dataset(dataset)
    data = data.with_stored(corrupted) if corrupted else data
    loaded = load_named(checkpoints, model, data, spec)
    plan = make_plan(
        loaded,
        dataset=data,
        suites=suites or None,
        severities=parse_numbers("--severity", severity),
        limit=limit,
    )
    findings = looks.examine_machine()
    findings += [finding for checkpoint in loaded for finding in looks.examine(checkpoint, data, where)]
    findings += looks.examine_plan(plan, out, where)
    print_findings(findings)
    sys.exit(0 if all(finding.good for finding in findings) else 1)
