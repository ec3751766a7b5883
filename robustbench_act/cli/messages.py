"""Short messages that several commands print."""

from collections.abc import Sized
from typing import Any

import click


def count(things: Sized, noun: str) -> str:
    """Return a number of things with their noun.

    >>> count([1], "cell"), count([], "cell")
    ('1 cell', '0 cells')
    """
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def say_unlabelled(run: Any, *, err: bool = False) -> None:
    """Say what the accuracies of a run on images without labels are."""
    if not run.labelled:
        text = "No labels: accuracy means agreement with the prediction on the clean image."
        click.echo(text, err=err)
