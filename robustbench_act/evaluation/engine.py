"""Corrupt once, evaluate many: from a plan to a run directory, with any executor."""

import platform
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from robustbench_act.datasets import Dataset, StoredCell
from robustbench_act.evaluation.execution import Execution
from robustbench_act.evaluation.plan import Plan, plan_key
from robustbench_act.evaluation.precision import memory_format
from robustbench_act.evaluation.units import Series
from robustbench_act.evaluation.work import Chunk, Job, Result, Task
from robustbench_act.records import DamagedPartError, RunDirectory, RunInfo
from robustbench_act.run import Run, load_run
from robustbench_act.version import __version__

_LIBRARIES = ("torch", "torchvision", "numpy", "pandas", "pyarrow", "safetensors")
_OF_SOURCES = {"onnx": "onnxruntime", "transformers": "transformers"}
_KERNELS = ("torch", "torchvision")  # libraries whose next version may round in another way
_ROUNDS = 3  # how often damaged parts are made again before the disk is to blame


def run_plan(plan: Plan, execution: Execution, out: Path, *, command: str, resume: bool = True) -> Run:
    """Evaluate a plan into the run directory `out`, continuing a killed run of the same plan.

    Raises InputError if the directory belongs to a different plan or is being written, or images cannot be
    read.
    """
    info = _info(plan, execution, command)
    job = Job(
        tuple(plan.checkpoints),
        plan.seed,
        plan.probes,
        execution.device,
        execution.batch_size,
        execution.precision,
        execution.compiled,
        plan.behaviours,
    )
    key = plan_key(info)
    with RunDirectory.open(out, info, resume=resume) as directory:
        if directory.found is not None:
            info = replace(info, created=directory.found.created or info.created, notes=directory.found.notes)
        for _ in range(_ROUNDS):
            for result in execution.results(job, _tasks(plan, key, directory, execution)):
                for text in result.notes:
                    info = _noted(text, info, execution)
                directory.begin(info)
                _keep(result, directory, plan)
                execution.on_result(result)
            if (found := directory.finished()) is not None:
                return Run.of(found)
            keys = ((unit.key(key) for unit in block) for block in plan.merge_order())
            try:
                each = map if execution.crew is None else execution.crew.map
                directory.finish(keys, plan.identity(), _images(plan.ordered), info, each)
            except DamagedPartError as error:
                info = _noted(str(error), info, execution)
                directory.discard(error.path)
                damaged = error
            else:
                return load_run(out)
        raise damaged


def _info(plan: Plan, execution: Execution, command: str) -> RunInfo:
    return replace(
        plan.describe(),
        product="actrobust",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        version=__version__,
        device=execution.device.type,
        precision=execution.precision,
        memory_format=memory_format(plan.largest_input, execution.precision, execution.device),
        compiled=execution.compiled,
        kernels={name: version(name) for name in (*_KERNELS, *_others(plan))},
        batch_size=execution.batch_size,
        libraries={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    )


def _others(plan: Plan) -> list[str]:
    """Return the libraries that compute some of the networks in their own way."""
    sources = {one.spec.architecture.partition(":")[0] for one in plan.checkpoints}
    return [library for source, library in _OF_SOURCES.items() if source in sources]


def _keep(result: Result, directory: RunDirectory, plan: Plan) -> None:
    """Write the result of a unit; if two suites share a corruption, the thumbnails of the first one."""
    for (suite, name), png in result.thumbnails.items():
        if suite == next(one.suite for one in plan.series if one.corruption == name):
            directory.write(Path("samples") / f"{name}.png", png)
    directory.add_part(result.key, result.part, provisional=result.provisional)


def _noted(text: str, info: RunInfo, execution: Execution) -> RunInfo:
    if text in info.notes:
        return info
    execution.on_note(text)
    return replace(info, notes=(*info.notes, text))


def _tasks(plan: Plan, key: str, directory: RunDirectory, execution: Execution) -> Iterator[Task]:
    """Yield the units that are not done; those of all blocks share a chunk and its stored cells."""
    number, chunk = -1, None
    of_plan, series = tuple[Series, ...](), tuple[Series, ...]()
    for unit in plan.units():
        name = unit.key(key)
        if directory.has(name):
            execution.on_images(plan.images_of(unit))
            continue
        if chunk is None or unit.chunk != number:
            number, chunk = unit.chunk, Chunk(plan.chunk(unit.chunk))
        if unit.series is not of_plan:
            of_plan = unit.series
            series = unit.map_stored(partial(StoredCell.of, ids=chunk.ids)).series
        yield Task(name, replace(unit, series=series), chunk)


def _images(data: Dataset) -> pd.DataFrame:
    """Return id and label of each image; the label is missing if it is unknown."""
    labels = [None] * len(data) if data.labels is None else data.labels.tolist()
    return pd.DataFrame({"id": data.ids.numpy(), "label": pd.array(labels, dtype="Int64")})
