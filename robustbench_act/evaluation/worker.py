"""One unit of work, from images to the bytes of its part: what every executor has its workers do."""

import hashlib
import weakref
from contextlib import nullcontext
from dataclasses import replace

import pandas as pd
from torch import Tensor, nn

from corruptions import Cell, get_corruption
from robustbench_act.behaviour import seeded
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import CLEAN
from robustbench_act.devices import MEMORY_FORMATS, is_out_of_memory
from robustbench_act.errors import InputError, first_line
from robustbench_act.evaluation.forward import Measured, measure
from robustbench_act.evaluation.inputs import (
    CorruptionError,
    Inputs,
    OutOfMemoryError,
)
from robustbench_act.evaluation.plan import WorkUnit
from robustbench_act.evaluation.precision import computing, memory_format
from robustbench_act.evaluation.thumbnails import strip
from robustbench_act.evaluation.work import Job, Progress, Result, Task
from robustbench_act.preprocessing import Preprocessing
from robustbench_act.probes import DEFAULT_METRICS
from robustbench_act.records import Behaviour, Part, pack
from robustbench_act.records.behaviour import BATCH_DEPENDENT
from robustbench_act.tally.cell_rows import failed_cells, whole_cells, with_keys
from robustbench_act.tally.quantity_kinds import Row
from robustbench_act.texts import encodable


class Worker:
    """Does the units of one job, one at a time."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._portion = 2**31  # images whose versions are in memory at once
        self._missed = False  # a network of the current unit could not be read
        self._compiled: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def run(self, task: Task, on_images: Progress = lambda count: None) -> Result:
        """Return the result of a unit; `on_images` is called with numbers of images that networks have seen.

        If memory does not suffice, these numbers are taken back and the unit starts again with half as many
        images at a time, down to one; a network that needs too much for one image has failed.
        """
        notes: list[str] = []
        while True:
            told: list[int] = []

            def tell(count: int, told: list[int] = told) -> None:
                told.append(count)
                on_images(count)

            try:
                with computing(self.job.precision, self.job.device):
                    result = self._attempt(task.decoded(), tell)
                    return replace(result, notes=(*notes, *result.notes))
            except CorruptionError as error:
                if not _is_users(task.unit):
                    raise error.error from error
                failed = failed_result(self.job, task, _message(error.error))
                on_images(failed.images - sum(told))
                return replace(failed, provisional=False)
            except OutOfMemoryError as error:
                least = min(self._portion, len(task.chunk.ids))
                if least <= 1:
                    raise InputError(f"One image does not fit into memory ({error}).") from error
                self._portion = least // 2
                on_images(-sum(told))
                notes.append(f"{task.key}: out of memory; {self._portion} images at a time from here on")

    def release(self) -> None:
        """Leave the networks uncompiled, as they came: the next run may want them so."""
        for network in self._compiled:
            network._compiled_call_impl = None

    def _attempt(self, task: Task, on_images: Progress) -> Result:
        unit, chunk, job = task.unit, task.chunk, self.job
        labels = None if chunk.labels is None else chunk.labels.to(job.device)
        mine = [job.checkpoints[place] for place in unit.checkpoints]
        running = [one for one in mine if one.problem is None]
        cells = [
            row
            for one in mine
            if one.problem is not None
            for row in failed_cells(unit.row_keys(one.name), one.problem)
        ]
        layers: list[Row] = []
        notes: list[str] = []
        thumbnails: dict[str, bytes] = {}
        self._missed = False
        first = next((one for one in job.checkpoints if one.problem is None), None)
        _, *shape = chunk.images.shape
        for preprocessing, alike in _by_preprocessing(running, (shape[0], shape[1], shape[2])).items():
            inputs = Inputs(task, preprocessing, job, self._portion)
            if unit.chunk == 0 and first in alike:
                thumbnails[unit.corruption] = strip(next(iter(inputs)), preprocessing.mean, preprocessing.std)
            for checkpoint in alike:
                found = self._measure(checkpoint, unit, inputs, labels, chunk.columns)
                cells += found.cells
                layers += found.layers
                notes += _left_out(checkpoint.name, found, job.behaviour(checkpoint))
                on_images(len(chunk.ids) * len(unit.severities))
        images = len(chunk.ids) * len(unit.severities) * len(running)
        part = pack(Part(pd.DataFrame(cells), pd.DataFrame(layers)))
        return Result(task.key, unit, images, part, thumbnails, tuple(notes), provisional=self._missed)

    def _measure(
        self,
        checkpoint: Checkpoint,
        unit: WorkUnit,
        inputs: Inputs,
        labels: Tensor | None,
        columns: Tensor | None,
    ) -> Measured:
        """Return the cell rows and the layer rows of one network: failed cells, whatever made it fail."""
        keys, behaviour = unit.row_keys(checkpoint.name), self.job.behaviour(checkpoint)
        usual = memory_format(checkpoint.spec.input_size, self.job.precision, self.job.device)
        layout = MEMORY_FORMATS[behaviour.memory_format or usual]
        try:
            network = self._network(checkpoint).to(memory_format=layout)
        except Exception as error:  # it could be read when the run was planned
            self._missed = True
            return Measured(failed_cells(keys, _message(error)), [], {})
        seed = _seed(unit, checkpoint.name, self.job.seed)
        try:
            with seeded(seed, self.job.device) if behaviour.random else nullcontext():
                found = measure(
                    network,
                    inputs,
                    labels,
                    batch_size=self.job.batch_size,
                    layout=layout,
                    metrics=probe_metrics(unit.chunk, unit.corruption, probes=self.job.probes),
                    behaviour=behaviour,
                    columns=columns,
                )
        except (OutOfMemoryError, CorruptionError):
            raise
        except Exception as error:
            message = _message(error)
            if is_out_of_memory(error) and behaviour.batch_dependent:
                message = f"{BATCH_DEPENDENT}: {len(inputs)} images do not fit into memory ({message})"
            elif is_out_of_memory(error) and min(self._portion, len(inputs)) > 1:
                raise OutOfMemoryError(first_line(error)) from error
            return Measured(failed_cells(keys, message), [], {})
        cells = whole_cells(found.cells, keys, inputs.digests)
        return Measured(cells, with_keys(found.layers, keys), found.left_out)

    def _network(self, checkpoint: Checkpoint) -> nn.Module:
        network = checkpoint.model.to(self.job.device)
        if self.job.compiled and network not in self._compiled:
            network.compile()
            self._compiled.add(network)
        return network


def _is_users(unit: WorkUnit) -> bool:
    """Tell whether the corruption of a unit is the user's own: if it fails, its cells do, and no others."""
    return any(isinstance(cell, Cell) and get_corruption(cell.corruption).home for cell in unit.cells)


def failed_result(job: Job, task: Task, error: str) -> Result:
    """Return the result of a unit that cannot be done at all: its cells, failed."""
    checkpoints = [job.checkpoints[place] for place in task.unit.checkpoints]
    rows = [
        row for one in checkpoints for row in failed_cells(task.unit.row_keys(one.name), one.problem or error)
    ]
    running = sum(one.problem is None for one in checkpoints)
    images = len(task.chunk.ids) * len(task.unit.severities) * running
    part = pack(Part(pd.DataFrame(rows), pd.DataFrame()))
    return Result(task.key, task.unit, images, part, {}, provisional=True)


def probe_metrics(chunk: int, corruption: str, *, probes: bool) -> tuple[str, ...]:
    """Return the probe metrics of a unit: on the probe sample, or its clean version, costly ones too."""
    if not probes:
        return ()
    if chunk > 0:
        return ("fluctuation",)
    return DEFAULT_METRICS if corruption == CLEAN else ("fluctuation", "means")


def _left_out(name: str, found: Measured, behaviour: Behaviour) -> list[str]:
    """Say which layers cannot be measured that could be when the network was looked at."""
    return [
        f"{name}: layer {layer} is measured on some images at most: {why}"
        for layer, why in found.left_out.items()
        if layer not in behaviour.left_out
    ]


def _seed(unit: WorkUnit, name: str, seed: int) -> int:
    """Return the seed of what a random network draws in a unit: the same wherever the unit is done."""
    text = f"{seed} {name} {unit.suite} {unit.corruption} {unit.chunk}"
    return int.from_bytes(hashlib.sha256(encodable(text).encode()).digest()[:8], "little")


def _message(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _by_preprocessing(
    checkpoints: list[Checkpoint], shape: tuple[int, int, int]
) -> dict[Preprocessing, list[Checkpoint]]:
    alike: dict[Preprocessing, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        alike.setdefault(checkpoint.preprocessing(shape), []).append(checkpoint)
    return alike
