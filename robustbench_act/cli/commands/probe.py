"""`actrobust probe`."""

import json
from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("probe")
@click.argument("checkpoints", nargs=-1, metavar="CHECKPOINT|FOLDER|GLOB...")
@command_options("probe")
def command(
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
    **options: Any,
) -> None:
    """Show what a shift does inside every activation layer of each checkpoint."""
    from robustbench_act.cli.layers import print_layers
    from robustbench_act.cli.requests import check_pictures, study_request
    from robustbench_act.devices import choose_device
    from robustbench_act.evaluation import adaptations, probe_layers
    from robustbench_act.progress.terminal import progress_bar
    from robustbench_act.records import Behaviour

    if train_mode and not gradients:
        raise click.UsageError("--train-mode needs --gradients.")
    where = choose_device(device)
    request = study_request(checkpoints, options)  # imports the user's modules
    cell = _parse_cell(shift)
    data, loaded = request.load(check_pictures)
    for text in adaptations(loaded, data):
        say(f"note: {text}", err=True)
    answers = []
    with progress_bar() as progress:
        bar = progress.add_task("probing", total=None)
        for checkpoint in loaded:
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
                allow_random=request.allow_random,
                on_images=lambda images: progress.advance(bar, images),
            )
            if as_json:
                rows = json.loads(table.to_json(orient="records", double_precision=15))
                answers.append({"checkpoint": checkpoint.name, "layers": rows})
            else:
                what = f"{inject} at each layer's input" if inject else shift
                print_layers(table, f"{checkpoint.name}: {len(data)} images of {data.name}, {what}")
            for text in Behaviour(left_out=table.attrs["left_out"]).notes():
                say(f"note: {checkpoint.name}: {text}.", err=True)
    if as_json:
        click.echo(json.dumps(answers, indent=1))


def _parse_cell(text: str) -> Any:
    """Return the cell that NAME:SEVERITY means."""
    from corruptions import Cell

    name, _, severity = text.partition(":")
    try:
        return Cell(name, float(severity))
    except ValueError as error:
        is_number = severity and not str(error).startswith("could not")
        reason = str(error) if is_number else "There is no number after ':'."
        raise click.UsageError(f"--shift: expected NAME:SEVERITY, got {text!r}. {reason}") from error
