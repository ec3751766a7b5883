"""`actrobust generate`."""

from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import parse_numbers, view_options


@click.command()
@click.argument("dataset", metavar="DATASET[:ROOT]")
@click.option("--suite", default="c15", show_default=True, metavar="NAME", help="Corruptions of pixels.")
@click.option("--severity", metavar="1,3,5", help="Severities in [1, 5].  [default: 1,2,3,4,5]")
@view_options
@click.option("--layout", type=click.Choice(["npy", "folders"]), default="npy", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Take a balanced subset of N images.")
@click.option("--seed", default=0, show_default=True, help="Seed of the corruptions.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write."
)
def generate(
    *,
    dataset: str,
    suite: str,
    severity: str | None,
    layout: Any,
    limit: int | None,
    seed: int,
    device: str,
    out: Path,
    **flags: Any,
) -> None:
    """Write a corrupted copy of DATASET, as CIFAR-C (npy) or ImageNet-C (folders) has it.

    The pixels are those of an evaluation with the same seed. Run again to go on after an interruption.
    """
    from corruptions import get_suite
    from robustbench_act import generation
    from robustbench_act.cli.inputs import load_data
    from robustbench_act.cli.terminal import count, progress_bar
    from robustbench_act.devices import choose_device

    where = choose_device(device)
    chosen = get_suite(suite)
    severities = parse_numbers("--severity", severity)
    chosen = chosen.with_severities(severities) if severities else chosen
    data = load_data({**flags, "dataset": dataset, "corrupted": None, "resize_corrupted": False})
    data = data.subset(limit) if limit else data
    wanted = generation.Generation(data, chosen, seed=seed, layout=layout)
    click.echo(
        f"{count(chosen.cells, 'cell')} x {len(data)} images of {data.name}, {wanted.size / 1e6:,.1f} MB"
        f"  ->  {out}",
        err=True,
    )
    with progress_bar() as progress:
        bar = progress.add_task("generating", total=len(chosen.cells) * len(data))
        generation.generate(wanted, out, device=where, on_images=lambda images: progress.advance(bar, images))
    click.echo(out)
