"""One unit of work, from images to the bytes of its part: what every executor has its workers do."""

import hashlib
import weakref
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

import pandas as pd
from torch import Tensor, nn

from corruptions import Cell, get_corruption
from robustbench_act.behaviour import seeded
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.devices import MEMORY_FORMATS, is_out_of_memory
from robustbench_act.errors import InputError, first_line
from robustbench_act.evaluation.forward import Measured, measure
from robustbench_act.evaluation.inputs import (
    CorruptionError,
    Inputs,
    OutOfMemoryError,
)
from robustbench_act.evaluation.precision import computing, memory_format
from robustbench_act.evaluation.thumbnails import strip
from robustbench_act.evaluation.units import Series, WorkUnit
from robustbench_act.evaluation.work import Job, Progress, Result, Task
from robustbench_act.preprocessing import Preprocessing
from robustbench_act.records import Behaviour, Part, pack
from robustbench_act.records.behaviour import BATCH_DEPENDENT
from robustbench_act.tally.cell_quantities import THUMBNAILS
from robustbench_act.tally.cell_rows import failed_cells, layers_with_keys, whole_cells
from robustbench_act.texts import encodable


class Worker:
    """Does the units of one job, one at a time."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._portion = 2**31  # images whose versions are in memory at once
        self._missed = False  # a network of the current unit could not be read
        self._compiled: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._clean: tuple[int, dict[str, Tensor]] = (-1, {})  # chunk, and predictions for its clean images
        self._made: tuple[object, dict[Preprocessing, Inputs]] | None = None  # of the last unit

    def run(self, task: Task, on_images: Progress = lambda count: None) -> Result:
        """Return the result of a unit; `on_images` is called with numbers of images that networks have seen.

        If memory does not suffice, these numbers are taken back and the unit starts again with half as many
        images at a time, down to one; a network that needs too much for one image has failed. If a corruption
        of the user's fails, the unit starts again without it: its cells have failed.
        """
        notes: list[str] = []
        lost: dict[Series, str] = {}
        while True:
            told: list[int] = []

            def tell(count: int, told: list[int] = told) -> None:
                told.append(count)
                on_images(count)

            try:
                with computing(self.job.precision, self.job.device):
                    result = self._attempt(task, lost, tell)
                    return replace(result, notes=(*notes, *result.notes))
            except CorruptionError as error:
                if not _is_users(error.series):
                    raise error.error from error
                lost[error.series] = _message(error.error)
            except OutOfMemoryError as error:
                least = min(self._portion, len(task.chunk.ids))
                if least <= 1:
                    raise InputError(f"One image does not fit into memory ({error}).") from error
                self._portion = least // 2
                notes.append(f"{task.key}: out of memory; {self._portion} images at a time from here on")
            on_images(-sum(told))

    def release(self) -> None:
        """Leave the networks uncompiled, as they came: the next run may want them so."""
        for network in self._compiled:
            network._compiled_call_impl = None

    def _attempt(self, task: Task, lost: Mapping[Series, str], on_images: Progress) -> Result:
        whole, chunk, job = task.unit, task.chunk, self.job
        unit = whole.without(lost)
        task = replace(task, unit=unit)
        labels = None if chunk.labels is None else chunk.labels.to(job.device)
        mine = [job.checkpoints[place] for place in unit.checkpoints]
        cells = [
            row
            for one in mine
            if one.problem is not None
            for row in failed_cells(whole.row_keys(one.name), one.problem)
        ]
        running = [one for one in mine if one.problem is None]
        for series, error in lost.items():
            alone = replace(unit, series=(series,))
            cells += [row for one in running for row in failed_cells(alone.row_keys(one.name), error)]
        layers: list[pd.DataFrame] = []
        notes: list[str] = []
        thumbnails: dict[tuple[str, str], bytes] = {}
        self._missed = False
        first = next((one for one in job.checkpoints if one.problem is None), None)
        _, *shape = chunk.images.shape
        if not unit.series:
            on_images(len(chunk.ids) * whole.rows * len(running))
            running = []
        for preprocessing, alike in _by_preprocessing(running, (shape[0], shape[1], shape[2])).items():
            inputs = self._inputs(task, preprocessing)
            if unit.chunk == 0 and first in alike:
                thumbnails = _thumbnails(unit, inputs)
            for checkpoint in alike:
                found = self._measure(checkpoint, unit, inputs, labels, chunk.columns)
                cells += found.cells
                layers.append(found.layers)
                notes += _left_out(checkpoint.name, found, job.behaviour(checkpoint))
                on_images(len(chunk.ids) * whole.rows)
        images = len(chunk.ids) * whole.rows * sum(one.problem is None for one in mine)
        tables = [table for table in layers if len(table)]
        part = Part(pd.DataFrame(cells), pd.concat(tables, ignore_index=True) if tables else pd.DataFrame())
        return Result(task.key, whole, images, pack(part), thumbnails, tuple(notes), provisional=self._missed)

    def _inputs(self, task: Task, preprocessing: Preprocessing) -> Inputs:
        """Return the inputs of a unit: those of the last unit, if it had the same images and corruptions."""
        unit = task.unit
        series = [(one.suite, one.corruption, one.severities) for one in unit.series]
        what = unit.chunk, series, self._portion
        if self._made is None or self._made[0] != what:
            self._made = None  # before the next ones take their memory
            task.read()
            self._made = what, {}
        made = self._made[1]
        if preprocessing not in made:
            made[preprocessing] = Inputs(task, preprocessing, self.job, self._portion)
        return made[preprocessing]

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
            return Measured(failed_cells(keys, _message(error)), pd.DataFrame(), {})
        seed = _seed(unit, checkpoint.name, self.job.seed)
        known = self._predictions(unit.chunk)
        try:
            with seeded(seed, self.job.device) if behaviour.random else nullcontext():
                found = measure(
                    network,
                    inputs,
                    labels,
                    series=[places for _, places in unit.places()],
                    batch_size=self.job.batch_size,
                    probes=self.job.probes and unit.chunk == 0,
                    layout=layout,
                    behaviour=behaviour,
                    columns=columns,
                    clean=known.get(checkpoint.name),
                )
        except (OutOfMemoryError, CorruptionError):
            raise
        except Exception as error:
            message = _message(error)
            if is_out_of_memory(error) and behaviour.batch_dependent:
                message = f"{BATCH_DEPENDENT}: {len(inputs)} images do not fit into memory ({message})"
            elif is_out_of_memory(error) and min(self._portion, len(inputs)) > 1:
                raise OutOfMemoryError(first_line(error)) from error
            return Measured(failed_cells(keys, message), pd.DataFrame(), {})
        if found.clean is not None and not behaviour.random:
            known[checkpoint.name] = found.clean
        cells = whole_cells(found.cells, keys, inputs.digests)
        return Measured(cells, layers_with_keys(found.layers, keys), found.left_out)

    def _predictions(self, chunk: int) -> dict[str, Tensor]:
        """Return the predictions for a chunk's clean images that are known, by the names of checkpoints."""
        if self._clean[0] != chunk:
            self._clean = chunk, {}
        return self._clean[1]

    def _network(self, checkpoint: Checkpoint) -> nn.Module:
        network = checkpoint.model.to(self.job.device)
        if self.job.compiled and network not in self._compiled:
            network.compile()
            self._compiled.add(network)
        return network


def _is_users(series: Series) -> bool:
    """Tell whether a corruption is the user's own: if it fails, its cells do, and no others."""
    return any(isinstance(cell, Cell) and get_corruption(cell.corruption).home for cell in series.cells)


def _thumbnails(unit: WorkUnit, inputs: Inputs) -> dict[tuple[str, str], bytes]:
    """Return a PNG of the first images for each series, by suite and corruption."""
    portion, few = next(iter(inputs)), slice(0, THUMBNAILS)
    preprocessing = inputs.preprocessing
    return {
        (one.suite, one.corruption): strip(
            portion.inputs(sorted({0, *places}), few), preprocessing.mean, preprocessing.std
        )
        for one, places in unit.places()
    }


def failed_result(job: Job, task: Task, error: str) -> Result:
    """Return the result of a unit that cannot be done at all: its cells, failed."""
    checkpoints = [job.checkpoints[place] for place in task.unit.checkpoints]
    rows = [
        row for one in checkpoints for row in failed_cells(task.unit.row_keys(one.name), one.problem or error)
    ]
    running = sum(one.problem is None for one in checkpoints)
    images = len(task.chunk.ids) * task.unit.rows * running
    part = pack(Part(pd.DataFrame(rows), pd.DataFrame()))
    return Result(task.key, task.unit, images, part, {}, provisional=True)


def _left_out(name: str, found: Measured, behaviour: Behaviour) -> list[str]:
    """Say which layers cannot be measured that could be when the network was looked at."""
    return [
        f"{name}: layer {layer} is measured on some images at most: {why}"
        for layer, why in found.left_out.items()
        if layer not in behaviour.left_out
    ]


def _seed(unit: WorkUnit, name: str, seed: int) -> int:
    """Return the seed of what a random network draws in a unit: the same wherever the unit is done."""
    first = unit.series[0]
    text = f"{seed} {name} {first.suite} {first.corruption} {unit.chunk}"
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
