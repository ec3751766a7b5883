"""`actrobust train`."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import command_options


@click.command()
@command_options("train")
def train(
    *,
    arch: str,
    activation: str,
    seeds: int,
    track: str | None,
    device: str,
    out: Path | None,
    **options: Any,
) -> None:
    """Train a grid of activations x seeds; finished checkpoints are kept and skipped next time."""
    from robustbench_act import training
    from robustbench_act.activations import list_activations
    from robustbench_act.cli.requests import pick
    from robustbench_act.cli.terminal import count, progress_bar
    from robustbench_act.devices import choose_device
    from robustbench_act.evaluation import DataRequest

    recipe = pick(training.Recipe, options)
    epochs = training.parse_epochs(track, recipe.epochs) if track is not None else ()
    names = list_activations() if activation == "all" else [name.strip() for name in activation.split(",")]
    out = out or Path("runs") / f"train-{options['dataset'].partition(':')[0]}"
    jobs = training.plan_grid(names, range(1, seeds + 1), out)
    where = choose_device(device)
    request = pick(DataRequest, options)
    training_images = replace(request, train=True)
    data, test = training_images.choose(training_images.open()), request.open()
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
