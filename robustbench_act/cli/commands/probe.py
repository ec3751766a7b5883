"""`actrobust probe`."""

import json
from typing import Any

import click

from robustbench_act.cli.options import checkpoint_options, data_options, parse_cell

IMAGES = 256


@click.command()
@click.argument("checkpoints", nargs=-1, metavar="CHECKPOINT|FOLDER|GLOB...")
@checkpoint_options
@data_options
@click.option(
    "--shift",
    default="shift_gaussian:3",
    show_default=True,
    metavar="NAME:SEVERITY",
    help="Corruption or input shift of the images.",
)
@click.option(
    "--inject",
    metavar="NAME:SCALE",
    help="Shift the input of each activation layer in turn instead: gaussian:0.1.",
)
@click.option("--gradients", is_flag=True, help="Variance of the gradient at each layer, on clean images.")
@click.option("--train-mode", is_flag=True, help="The gradients as in training: batch statistics, dropout.")
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(2))
@click.option("--seed", default=0, show_default=True, help="Seed of the shift.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--json", "as_json", is_flag=True, help="Print every column as JSON.")
def probe(
    *,
    checkpoints: tuple[str, ...],
    shift: str,
    gradients: bool,
    train_mode: bool,
    device: str,
    as_json: bool,
    inject: str | None,
    batch_size: int,
    seed: int,
    **flags: Any,
) -> None:
    """Show what a shift does inside every activation layer of each checkpoint, on 256 images or --limit."""
    from robustbench_act.cli.inputs import load_inputs
    from robustbench_act.cli.terminal import print_layers, progress_bar
    from robustbench_act.devices import choose_device
    from robustbench_act.evaluation import probe_layers

    if train_mode and not gradients:
        raise click.UsageError("--train-mode: says how --gradients are taken; give both.")
    cell = parse_cell(shift)
    where = choose_device(device)
    flags["limit"] = flags["limit"] or IMAGES
    inputs = load_inputs(checkpoints, flags, check=True)
    data = inputs.data
    if inputs.checkpoints is None:
        raise click.UsageError("Expected checkpoints, as arguments or in the manifest.")
    answers = []
    with progress_bar() as progress:
        bar = progress.add_task("probing", total=None)
        for checkpoint in inputs.checkpoints:
            table = probe_layers(
                checkpoint,
                data,
                cell=cell,
                inject=inject,
                gradients=gradients,
                training=train_mode,
                seed=seed,
                batch_size=batch_size,
                device=where,
                on_images=lambda images: progress.advance(bar, images),
            )
            if as_json:
                rows = json.loads(table.to_json(orient="records", double_precision=15))
                answers.append({"checkpoint": checkpoint.name, "layers": rows})
            else:
                what = f"{inject} at each layer's input" if inject else shift
                print_layers(table, f"{checkpoint.name}: {len(data)} images of {data.name}, {what}")
    if as_json:
        click.echo(json.dumps(answers, indent=1))
