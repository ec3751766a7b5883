"""Short messages that several commands print."""

from typing import Any

from robustbench_act.cli.terminal import say


def say_notes(run: Any, *, err: bool = False) -> None:
    """Print the notes on a run's networks."""
    for text in run.network_notes:
        say(f"note: {text}", err=err)


def say_unlabelled(run: Any, *, err: bool = False) -> None:
    """Say, if a run has no labels, what accuracy means."""
    if not run.labelled:
        text = "No labels: accuracy means agreement with the prediction on the clean image."
        say(text, err=err)
