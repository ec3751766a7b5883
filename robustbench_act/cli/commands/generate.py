"""`actrobust generate`."""

from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("generate")
@click.argument("dataset", metavar="DATASET[:ROOT]")
@command_options("generate")
def command(
    *,
    suite: str | None,
    corruptions: tuple[str, ...] | None,
    severities: tuple[float, ...] | None,
    layout: Any,
    seed: int,
    device: str,
    out: Path,
    **options: Any,
) -> None:
    """Write a corrupted copy of DATASET, in the layout of CIFAR-C (npy) or ImageNet-C (folders).

    The pixels are those that `evaluate` makes with the same seed. Repeat the command to continue after an
    interruption.
    """
    from corruptions import get_suite
    from corruptions.facts import matching_corruptions
    from robustbench_act import generation
    from robustbench_act.cli.requests import pick, reading_items
    from robustbench_act.devices import choose_device
    from robustbench_act.english import count
    from robustbench_act.evaluation import DataRequest
    from robustbench_act.progress.terminal import progress_bar

    where = choose_device(device)
    if suite and corruptions:
        raise click.UsageError("Expected --suite or --corruption, got both.")
    request = pick(DataRequest, {**options, "on_items": reading_items})  # imports the user's modules
    chosen = get_suite(",".join(matching_corruptions(corruptions)) if corruptions else suite or "c15")
    chosen = chosen.with_severities(severities) if severities else chosen
    data = request.choose(request.open()).among_all()
    wanted = generation.Generation(data, chosen, seed=seed, layout=layout)
    say(
        f"{count(len(chosen.cells), 'cell')} x {len(data)} images of {data.name}, {wanted.size / 1e6:,.1f} MB"
        f"  ->  {out}",
        err=True,
    )
    with progress_bar() as progress:
        bar = progress.add_task("generating", total=len(chosen.cells) * len(data))
        generation.generate(wanted, out, device=where, on_images=lambda images: progress.advance(bar, images))
    say(out)
