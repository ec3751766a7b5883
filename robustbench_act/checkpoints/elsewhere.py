"""What is known of a network that another library wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, eq=False, kw_only=True)
class Elsewhere:
    """A network that another library wrote, and what its files tell.

    Attributes
    ----------
    network
        In evaluation mode, on the CPU, no gradients.
    architecture
        As in `Spec`.
    facts
        Fields of `Spec` that the files tell.
    digest, size, problem, notes
        As in `Checkpoint`.
    open_size
        What its input is, if that leaves the size of the images open: the user has to give it.
    doubt
        Why mean and std are not among the facts, with advice; "" for files that do not hold them.
    class_names
        Names of the classes in the order of the logits; empty if the files do not tell.
    names_in
        The file that tells them.
    """

    network: nn.Module
    architecture: str
    facts: Mapping[str, Any]
    digest: str
    size: int
    open_size: str = ""
    doubt: str = ""
    class_names: tuple[str, ...] = ()
    names_in: str = ""
    problem: str | None = None
    notes: tuple[str, ...] = ()
