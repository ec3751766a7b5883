"""`actrobust train`."""

from typing import Any

import click

from robustbench_act.cli.options import command_options
from robustbench_act.cli.terminal import say


@click.command("train")
@command_options("train")
def command(**options: Any) -> None:
    """Train a grid of activations x norms x seeds; finished checkpoints are kept, and skipped later."""
    from robustbench_act.cli.interruption import interruptible
    from robustbench_act.cli.progress import TrainingProgress
    from robustbench_act.cli.requests import reading_items
    from robustbench_act.english import count
    from robustbench_act.training import train

    with TrainingProgress() as progress, interruptible(progress.kept):
        options |= {"on_note": progress.note, "on_network": progress.network, "on_items": reading_items}
        paths = train(on_start=progress.start, **options)
    say(f"{count(len(paths), 'checkpoint')} in {paths[0].parent}")
