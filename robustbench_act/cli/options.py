"""Options that commands share, and what their texts mean. Loads without torch."""

from collections.abc import Callable
from typing import Any

import click


def checkpoint_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what says about a checkpoint what its file may not."""
    options = (
        click.option("--model", metavar="ARCH", help="Architecture, where a checkpoint does not say it."),
        click.option("--mean", metavar="M,...", help="Mean per channel on the [0, 1] scale, likewise."),
        click.option("--std", metavar="S,...", help="Standard deviation per channel, likewise."),
        click.option(
            "--activation", metavar="NAME", help="Activation, likewise.  [default: what --model has]"
        ),
        click.option(
            "--classes", type=click.IntRange(2), help="Number of classes.  [default: the data set's]"
        ),
        click.option("--input-size", metavar="C,H,W", help="Image size.  [default: the data set's]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load_named(checkpoints: tuple[str, ...], model: str | None, data: Any, spec: dict[str, Any]) -> list[Any]:
    """Load the checkpoints that a command names; `spec` has its flags."""
    from robustbench_act.checkpoints import find_checkpoints, load_checkpoints

    overrides = {
        **spec,
        "input_size": _whole_numbers("--input-size", spec["input_size"]),
        "mean": parse_numbers("--mean", spec["mean"]),
        "std": parse_numbers("--std", spec["std"]),
    }
    return load_checkpoints(find_checkpoints(checkpoints), model, data=data, **overrides)


def parse_cell(text: str) -> Any:
    """Return the cell that NAME:SEVERITY means."""
    from corruptions import Cell

    name, _, severity = text.partition(":")
    try:
        return Cell(name, float(severity))
    except ValueError as error:
        reason = str(error) if severity and not str(error).startswith("could not") else "no number after ':'"
        raise click.UsageError(f"--shift: expected NAME:SEVERITY, got {text!r}. {reason}") from error


def parse_numbers(flag: str, text: str | None) -> tuple[float, ...] | None:
    """Return the numbers of a list with commas; None where the flag was not given.

    >>> parse_numbers("--severity", "1,2.5")
    (1.0, 2.5)
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"{flag}: expected numbers with commas between them, got {text!r}.") from None


def _whole_numbers(flag: str, text: str | None) -> tuple[int, ...] | None:
    numbers = parse_numbers(flag, text)
    if numbers is not None and not all(number.is_integer() for number in numbers):
        raise click.UsageError(f"{flag}: expected whole numbers, got {text!r}.")
    return None if numbers is None else tuple(map(int, numbers))
