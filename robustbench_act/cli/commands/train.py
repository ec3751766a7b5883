"""`actrobust train`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("train")
@command_options("train")
def command(*, track: str | None, seeds: int, device: str, out: Path | None, **options: Any) -> None:
    """Train a grid of activations x norms x seeds; finished checkpoints are kept, and skipped later."""
    from robustbench_act import training
    from robustbench_act.cli.requests import pick
    from robustbench_act.devices import choose_device
    from robustbench_act.english import count
    from robustbench_act.evaluation import DataRequest

    recipe = pick(training.Recipe, options)
    epochs = training.parse_epochs(track, recipe.epochs) if track is not None else ()
    out = out or Path("runs") / f"train-{options['dataset'].partition(':')[0]}"
    request = pick(DataRequest, options)  # with the modules that register activations
    norms = [name.strip() for name in options["normalization"].split(",")]
    jobs = training.plan_grid(_activations(options["activation"]), range(1, seeds + 1), out, norms)
    where = choose_device(device)
    parts = training.open_parts(request)
    if parts.held_out:
        what = f"clean accuracy is that of {parts.held_out}, which no network is trained on"
        what = what if parts.test is not None else "there is no clean accuracy, each class has a single image"
        say(f"note: {parts.train.name} has no labelled test part: {what}.", err=True)
    if parts.doubt:
        say(f"warning: {parts.train.name}: {parts.doubt}; the clean accuracy counts them.", err=True)
    settings = {"architecture": options["arch"], "train": parts.train, "recipe": recipe}
    todo = [job for job in jobs if not training.is_trained(job, tracked=bool(epochs), **settings)]
    for job in jobs:
        if job not in todo:
            say(f"{job.path.stem:<16} exists already")
    try:
        _train_all(todo, test=parts.test, held_out=parts.held_out, device=where, track=epochs, **settings)
    except KeyboardInterrupt:
        done = sum(job.path.exists() for job in jobs)
        text = f"{done} of {len(jobs)} checkpoints are complete in {out}; repeat the command to continue."
        say(f"Interrupted: {text}", err=True)
        sys.exit(130)
    say(f"{count(len(jobs), 'checkpoint')} in {out}")


def _activations(text: str) -> list[str]:
    from robustbench_act.activations import list_activations, split_activations

    return list_activations() if text == "all" else split_activations(text)


def _train_all(jobs: Sequence[Any], *, train: Any, recipe: Any, **settings: Any) -> None:
    """Train the networks one after the other; one line for each, and progress."""
    from robustbench_act import training
    from robustbench_act.cli.progress import progress_bar

    steps = training.step_count(train, recipe)
    with progress_bar() as progress:
        bar = progress.add_task("training", total=len(jobs) * steps * recipe.batch_size)
        for job in jobs:
            progress.update(bar, description=job.path.stem)
            started = time.monotonic()
            spec = training.train_checkpoint(
                job,
                train=train,
                recipe=recipe,
                on_step=lambda: progress.advance(bar, recipe.batch_size),
                **settings,
            )
            seconds = time.monotonic() - started
            known = spec.clean_accuracy
            accuracy = "     no" if known is None else f"{known:7.2%}"
            say(f"{job.path.stem:<16} {accuracy} clean accuracy  {seconds:5.0f} s")
