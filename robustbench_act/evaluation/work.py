"""What travels between the engine and its workers: the job, its tasks, their results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import Dataset, StoredCell
from robustbench_act.evaluation.units import WorkUnit
from robustbench_act.records import Behaviour

Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Job:
    """What the units of a run share, and how to compute them. Travels to other processes.

    Fields mean what they do in `Plan` (checkpoints, seed, probes, behaviours) and in `Execution`.
    """

    checkpoints: tuple[Checkpoint, ...]
    seed: int
    probes: bool
    device: torch.device
    batch_size: int
    precision: str = "fp32"
    compiled: bool = False
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)

    def behaviour(self, checkpoint: Checkpoint) -> Behaviour:
        """Return what is known of a checkpoint's network."""
        return self.behaviours.get(checkpoint.name, Behaviour())


class Chunk:
    """Images that units share.

    Attributes
    ----------
    images : Tensor
        uint8 (N, C, H, W); pictures are decoded on first use.
    labels : Tensor or None
        int64 (N,).
    columns : Tensor or None
        See `Dataset.columns`.
    ids : Tensor
        int64 (N,).
    """

    def __init__(self, data: Dataset) -> None:
        self._pixels = data.pixels
        self.labels = None if data.labels is None else data.labels.clone()  # parts take the whole along
        self.columns, self.ids = data.columns, data.ids.clone()

    @cached_property
    def images(self) -> Tensor:
        """The decoded images."""
        return self._pixels if isinstance(self._pixels, Tensor) else self._pixels.read()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "_pixels": self.images.clone(),  # as above
            "labels": self.labels,
            "columns": self.columns,
            "ids": self.ids,
        }


@dataclass(frozen=True, eq=False)
class Task:
    """A unit to be done.

    Attributes
    ----------
    unit
        Its stored cells hold these images alone; the units of several blocks share them.
    """

    key: str
    unit: WorkUnit
    chunk: Chunk

    def read(self) -> None:
        """Read its images into memory, if they are not there; starts no threads of PyTorch.

        Raises InputError if a picture cannot be read.
        """
        size = self.chunk.images.shape[-2:]
        for cell in self.unit.cells:
            if isinstance(cell, StoredCell):
                cell.keep(size)


@dataclass(frozen=True)
class Result:
    """The result of a unit.

    Attributes
    ----------
    key, unit
        As in the task.
    images
        Number of images that went through networks, clean and corrupted.
    part
        The bytes of its part (`records.parts`).
    thumbnails
        A PNG by suite and corruption: from the first unit of a corruption, none from the others.
    notes
        Surprises that change no number.
    provisional
        Whether cells failed for reasons that may not recur: a worker died, a file was missing.
    """

    key: str
    unit: WorkUnit
    images: int
    part: bytes
    thumbnails: dict[tuple[str, str], bytes]
    notes: tuple[str, ...] = ()
    provisional: bool = False
