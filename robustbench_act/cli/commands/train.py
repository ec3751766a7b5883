"""`actrobust train`."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import view_options


@click.command()
@click.option(
    "--dataset",
    required=True,
    metavar="NAME[:ROOT]",
    help="Training data: digits, mnist:ROOT, folder:ROOT, ...; see `actrobust list`.",
)
@view_options
@click.option("--arch", default="cifar:resnet8?width=8", show_default=True, help="Architecture string.")
@click.option("--activation", default="relu", show_default=True, help="Comma-separated names, or 'all'.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Training seeds 1 to N.")
@click.option("--epochs", default=2, show_default=True, type=click.IntRange(1))
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(2))
@click.option(
    "--lr", default=0.1, show_default=True, help="Learning rate; /10 after 1/2 and 3/4 of the steps."
)
@click.option("--momentum", default=0.9, show_default=True)
@click.option("--weight-decay", default=1e-4, show_default=True)
@click.option("--augment", default="none", show_default=True, help="none, crop or crop-flip.")
@click.option("--limit", type=click.IntRange(1), help="Train on a balanced subset of N images.")
@click.option(
    "--track",
    metavar="EPOCHS",
    help="Probe the layers after these epochs, 0,1,last or all: NAME.track.parquet beside the checkpoint.",
)
@click.option("--download", is_flag=True, help="Let torchvision download what is missing.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: runs/train-DATASET]")
def train(
    *,
    dataset: str,
    arch: str,
    activation: str,
    seeds: int,
    limit: int | None,
    track: str | None,
    download: bool,
    device: str,
    out: Path | None,
    **recipe_flags: Any,
) -> None:
    """Train a grid of activations x seeds; finished checkpoints are kept and skipped next time."""
    from robustbench_act import training
    from robustbench_act.activations import list_activations
    from robustbench_act.cli.inputs import take_view
    from robustbench_act.cli.terminal import count, progress_bar
    from robustbench_act.datasets import load_dataset
    from robustbench_act.devices import choose_device

    workers, view = recipe_flags.pop("workers"), take_view(recipe_flags)
    recipe = training.Recipe(**recipe_flags)
    epochs = training.parse_epochs(track, recipe.epochs) if track is not None else ()
    names = list_activations() if activation == "all" else [name.strip() for name in activation.split(",")]
    out = out or Path("runs") / f"train-{dataset.partition(':')[0]}"
    jobs = training.plan_grid(names, range(1, seeds + 1), out)
    where = choose_device(device)
    data = load_dataset(dataset, train=True, download=download, view=view, workers=workers)
    data = data.subset(limit) if limit else data
    test = load_dataset(dataset, download=download, view=view, workers=workers)
    todo = [
        job
        for job in jobs
        if not training.is_trained(job, architecture=arch, train=data, recipe=recipe, tracked=bool(epochs))
    ]
    for job in jobs:
        if job not in todo:
            click.echo(f"{job.path.stem:<16} is there already")
    steps = training.step_count(data, recipe)
    try:
        with progress_bar() as progress:
            bar = progress.add_task("training", total=len(todo) * steps * recipe.batch_size)
            for job in todo:
                progress.update(bar, description=job.path.stem)
                started = time.monotonic()
                spec = training.train_checkpoint(
                    job,
                    architecture=arch,
                    train=data,
                    test=test,
                    recipe=recipe,
                    device=where,
                    track=epochs,
                    on_step=lambda: progress.advance(bar, recipe.batch_size),
                )
                seconds = time.monotonic() - started
                click.echo(f"{job.path.stem:<16} {spec.clean_accuracy:7.2%} clean accuracy  {seconds:5.0f} s")
    except KeyboardInterrupt:
        done = sum(job.path.exists() for job in jobs)
        click.echo(
            f"Interrupted: {done} of {len(jobs)} checkpoints are complete in {out}; run again to go on.",
            err=True,
        )
        sys.exit(130)
    click.echo(f"{count(jobs, 'checkpoint')} in {out}")
