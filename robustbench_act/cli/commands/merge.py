"""`actrobust merge`."""

import sys
from pathlib import Path

import click

from robustbench_act.cli.options import HomePath, command_options
from robustbench_act.cli.terminal import say


@click.command("merge")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=HomePath())
@command_options("merge")
def command(*, runs: tuple[Path, ...], out: Path, tell_apart: bool) -> None:
    """Join RUNs of the same images into one run: more networks, more training seeds.

    Images, corruptions, severities and seed must be the same. Every other command takes the result.
    """
    from robustbench_act.cli.interruption import interruptible
    from robustbench_act.english import count
    from robustbench_act.merging import merge_runs

    with interruptible(lambda: "nothing was written."):
        found = merge_runs(runs, out, tell_apart=tell_apart, command=" ".join(["actrobust", *sys.argv[1:]]))
    for note in found.info.notes:
        say(f"note: {note}", err=True)
    checkpoints, images = len(found.info.checkpoints), found.info.dataset.images
    say(f"{out}  ({count(checkpoints, 'checkpoint')}, {count(images, 'image')})")
