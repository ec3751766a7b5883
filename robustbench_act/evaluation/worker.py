"""One unit of work, from images to the bytes of its part: what every executor has its workers do."""

import hashlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import CLEAN, Dataset, StoredCell
from robustbench_act.errors import InputError, first_line
from robustbench_act.evaluation.forward import Row, measure
from robustbench_act.evaluation.plan import WorkUnit
from robustbench_act.evaluation.precision import MEMORY_FORMATS, computing, memory_format
from robustbench_act.evaluation.thumbnails import strip
from robustbench_act.preprocessing import normalise
from robustbench_act.probes import DEFAULT_METRICS
from robustbench_act.records import KEYS, SUMMED, Part, pack

_NO_MEMORY = ("can't allocate memory", "could not create a primitive")  # PyTorch's on CPUs, and oneDNN's
Preprocessing = tuple[tuple[float, ...], tuple[float, ...]]  # mean, std
Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Job:
    """What the units of a run share, and how to compute them. Travels to other processes.

    Attributes
    ----------
    checkpoints
        All of the plan.
    seed
        Of the corruptions' random streams.
    probes
        Whether the activation layers are watched.
    device
        Where corruptions and networks run.
    batch_size
        Images, clean and corrupted together, that go through a network at once.
    precision
        See `precision.PRECISIONS`.
    compiled
        Whether networks are compiled.
    """

    checkpoints: tuple[Checkpoint, ...]
    seed: int
    probes: bool
    device: torch.device
    batch_size: int
    precision: str = "fp32"
    compiled: bool = False


class Chunk:
    """Images that units share.

    Attributes
    ----------
    images : Tensor
        uint8 (N, C, H, W); pictures are decoded when they are first asked for.
    labels : Tensor or None
        int64 (N,).
    ids : Tensor
        int64 (N,).
    """

    def __init__(self, data: Dataset) -> None:
        self._pixels = data.pixels
        self.labels, self.ids = data.labels, data.ids

    @cached_property
    def images(self) -> Tensor:
        """Return them, decoded."""
        return self._pixels if isinstance(self._pixels, Tensor) else self._pixels.read()

    def __getstate__(self) -> dict[str, Any]:
        labels = None if self.labels is None else self.labels.clone()  # clones: parts take the whole along
        return {"_pixels": self.images.clone(), "labels": labels, "ids": self.ids.clone()}


@dataclass(frozen=True, eq=False)
class Task:
    """A unit to be done.

    Attributes
    ----------
    key
        Of its part.
    unit
        Its cells hold what is stored of these images alone.
    chunk
        The images.
    """

    key: str
    unit: WorkUnit
    chunk: Chunk

    def decoded(self) -> "Task":
        """Return the task with its pictures in memory; starts no threads of PyTorch.

        Raises
        ------
        InputError
            Where one cannot be read.
        """
        size = self.chunk.images.shape[-2:]
        cells = tuple(
            cell.decoded(size) if isinstance(cell, StoredCell) else cell for cell in self.unit.cells
        )
        return replace(self, unit=replace(self.unit, cells=cells))


@dataclass(frozen=True)
class Result:
    """What has come out of a unit.

    Attributes
    ----------
    key, unit
        As in the task.
    images
        That went through networks, clean and corrupted.
    part
        The bytes of its part (`records.parts`).
    samples
        A picture of the corruption by name: from the first unit of it, none from the others.
    notes
        What did not go as planned and changes no number.
    provisional
        Whether cells failed for reasons that may be gone another time: a worker died, a file was not there.
    """

    key: str
    unit: WorkUnit
    images: int
    part: bytes
    samples: dict[str, bytes]
    notes: tuple[str, ...] = ()
    provisional: bool = False


class Worker:
    """Does the units of one job, one at a time.

    Parameters
    ----------
    job
        What they share.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._portion = 2**31  # images whose versions are in memory at once
        self._missed = False  # a network of the unit at hand could not be read
        self._compiled: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def run(self, task: Task, on_images: Progress = lambda count: None) -> Result:
        """Return what comes out of a unit; `on_images` is told of images as they have gone through networks.

        Where memory does not suffice, what was told is taken back and the unit begun anew with half as many
        images at a time, down to one; a network that needs too much for one has failed.
        """
        notes: list[str] = []
        while True:
            told: list[int] = []

            def tell(count: int, told: list[int] = told) -> None:
                told.append(count)
                on_images(count)

            try:
                with computing(self.job.precision, self.job.device):
                    return replace(self._attempt(task.decoded(), tell), notes=tuple(notes))
            except _CorruptionError as error:
                raise error.error from error
            except _OutOfMemoryError as error:
                least = min(self._portion, len(task.chunk.ids))
                if least <= 1:
                    raise InputError(f"One image does not fit into memory ({error}).") from error
                self._portion = least // 2
                on_images(-sum(told))
                notes.append(f"{task.key}: out of memory; {self._portion} images at a time from here on")

    def _attempt(self, task: Task, on_images: Progress) -> Result:
        unit, chunk, job = task.unit, task.chunk, self.job
        labels = None if chunk.labels is None else chunk.labels.to(job.device)
        mine = [job.checkpoints[place] for place in unit.checkpoints]
        running = [one for one in mine if one.problem is None]
        cells = [
            row for one in mine if one.problem is not None for row in _failed_rows(one, unit, one.problem)
        ]
        layers: list[Row] = []
        samples: dict[str, bytes] = {}
        self._missed = False
        first = next((one for one in job.checkpoints if one.problem is None), None)
        for preprocessing, group in _by_preprocessing(running).items():
            inputs = _Inputs(task, preprocessing, job, self._portion)
            if unit.chunk == 0 and first in group:
                samples[unit.corruption] = strip(next(iter(inputs)), *preprocessing)
            for checkpoint in group:
                counted, watched = self._measure(checkpoint, unit, inputs, labels)
                cells += counted
                layers += watched
                on_images(len(chunk.ids) * len(unit.severities))
        images = len(chunk.ids) * len(unit.severities) * len(running)
        part = pack(Part(pd.DataFrame(cells), pd.DataFrame(layers)))
        return Result(task.key, unit, images, part, samples, provisional=self._missed)

    def _measure(
        self, checkpoint: Checkpoint, unit: WorkUnit, inputs: "_Inputs", labels: Tensor | None
    ) -> tuple[list[Row], list[Row]]:
        """Return cell rows and layer rows of one network: those of a failure, whatever it is that it does."""
        layout = MEMORY_FORMATS[
            memory_format(checkpoint.spec.input_size, self.job.precision, self.job.device)
        ]
        try:
            network = self._network(checkpoint).to(memory_format=layout)
        except Exception as error:  # it could be read when the run was planned
            self._missed = True
            return _failed_rows(checkpoint, unit, _said(error)), []
        try:
            counted, watched = measure(
                network,
                inputs,
                labels,
                batch_size=self.job.batch_size,
                layout=layout,
                metrics=metrics_of(unit.chunk, unit.corruption, probes=self.job.probes),
            )
        except (_OutOfMemoryError, _CorruptionError):
            raise
        except Exception as error:
            if _is_out_of_memory(error) and min(self._portion, len(inputs)) > 1:
                raise _OutOfMemoryError(first_line(error)) from error
            return _failed_rows(checkpoint, unit, _said(error)), []
        rows = _with_keys(counted, checkpoint, unit, pixels=inputs.digests)
        return rows, _with_keys(watched, checkpoint, unit)

    def _network(self, checkpoint: Checkpoint) -> nn.Module:
        network = checkpoint.model.to(self.job.device)
        if self.job.compiled and network not in self._compiled:
            network.compile()
            self._compiled.add(network)
        return network


def failed_result(job: Job, task: Task, error: str) -> Result:
    """Return what comes out of a unit that cannot be done at all: its cells, failed."""
    rows = [
        row
        for place in task.unit.checkpoints
        for row in _failed_rows(job.checkpoints[place], task.unit, job.checkpoints[place].problem or error)
    ]
    running = sum(job.checkpoints[place].problem is None for place in task.unit.checkpoints)
    images = len(task.chunk.ids) * len(task.unit.severities) * running
    part = pack(Part(pd.DataFrame(rows), pd.DataFrame()))
    return Result(task.key, task.unit, images, part, {}, provisional=True)


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class _OutOfMemoryError(Exception):
    """What a unit needs at once does not fit."""


class _CorruptionError(Exception):
    """Images could not be corrupted: no network's fault."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _NO_MEMORY)


class _Inputs:
    """What networks are shown: (k + 1, n, C, H, W), normalised, the clean version first.

    Iterating gives them in portions along n. One portion is made once and kept; several are made anew each
    time, since they would not fit.

    Attributes
    ----------
    digests
        SHA-256 of the pixels of each version, once they have been made.
    """

    def __init__(self, task: Task, preprocessing: Preprocessing, job: Job, portion: int) -> None:
        self._task, self._preprocessing, self._job, self._portion = task, preprocessing, job, portion
        self._kept: Tensor | None = None
        self.digests: list[str] = []

    def __len__(self) -> int:
        return len(self._task.chunk.ids)

    def __iter__(self) -> Iterator[Tensor]:
        if self._kept is not None:
            yield self._kept
            return
        hashes = [hashlib.sha256() for _ in self._task.unit.severities]
        for start in range(0, len(self), self._portion):
            try:
                portion, pixels = self._make(slice(start, start + self._portion))
            except Exception as error:
                if _is_out_of_memory(error):
                    raise _OutOfMemoryError(first_line(error)) from error
                raise _CorruptionError(error) from error
            for digest, data in zip(hashes, pixels, strict=True):
                digest.update(data)
            if len(self) <= self._portion:
                self._kept = portion
                self.digests = [digest.hexdigest() for digest in hashes]
            yield portion
        self.digests = [digest.hexdigest() for digest in hashes]

    def _make(self, rows: slice) -> tuple[Tensor, list[Any]]:
        """Return the inputs of some images, and the bytes of their pixels, version by version."""
        chunk, unit, device = self._task.chunk, self._task.unit, self._job.device
        images, ids = _moved(chunk.images[rows], device), _moved(chunk.ids[rows], device)
        clean = normalise(images, *self._preprocessing)
        inputs = clean.new_empty((len(unit.severities), *clean.shape))
        inputs[0] = clean
        pixels = [_bytes(images)]
        for place, cell in enumerate(unit.cells, start=1):
            on_pixels = cell.domain == "pixels"
            corrupted = cell.apply(images if on_pixels else clean, ids=ids, seed=self._job.seed)
            inputs[place] = normalise(corrupted, *self._preprocessing) if on_pixels else corrupted
            pixels.append(_bytes(corrupted))
        return inputs, pixels


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device; to a GPU from pinned memory, while other work goes on."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _bytes(images: Tensor) -> Any:
    return np.ascontiguousarray(images.cpu().numpy()).data


def _by_preprocessing(checkpoints: list[Checkpoint]) -> dict[Preprocessing, list[Checkpoint]]:
    groups: dict[Preprocessing, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        groups.setdefault((checkpoint.spec.mean, checkpoint.spec.std), []).append(checkpoint)
    return groups


def metrics_of(chunk: int, corruption: str, *, probes: bool) -> tuple[str, ...]:
    """Return what a unit measures: the costly parts on the probe sample, or its clean version, alone."""
    if not probes:
        return ()
    if chunk > 0:
        return ("fluctuation",)
    return DEFAULT_METRICS if corruption == CLEAN else ("fluctuation", "means")


def _failed_rows(checkpoint: Checkpoint, unit: WorkUnit, error: str) -> list[Row]:
    nothing: Row = {"n": 0, "correct": 0, **{f"{name}_sum": 0.0 for name in SUMMED}}
    nothing |= {"outcomes": b"", "confidence": b"", "predicted": ""}
    versions = range(len(unit.severities))
    rows = [{"version": version, **nothing} for version in versions]
    return _with_keys(rows, checkpoint, unit, pixels=[""] * len(versions), error=error)


def _with_keys(
    rows: list[Row],
    checkpoint: Checkpoint,
    unit: WorkUnit,
    *,
    pixels: list[str] | None = None,
    error: str | None = None,
) -> list[Row]:
    """Put the KEYS before rows whose `version` counts the unit's severities.

    A corruption's pass repeats the clean images only to compare with them: their rows are left out, they
    are the clean unit's.
    """
    keyed = []
    for row in rows:
        version = row.pop("version")
        if version == 0 and unit.corruption != CLEAN:
            continue
        keys = (
            checkpoint.name,
            unit.suite,
            unit.table,
            unit.corruption,
            unit.group,
            unit.severities[version],
        )
        record = {} if pixels is None else {"pixels": pixels[version], "error": error}
        keyed.append({**dict(zip(KEYS, keys, strict=True)), **row, **record})
    return keyed
