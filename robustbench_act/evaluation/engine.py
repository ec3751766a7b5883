"""Corrupt once, evaluate many: each unit's images are corrupted once and shown to every checkpoint."""

import hashlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import robustbench_act
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import CLEAN, Dataset
from robustbench_act.evaluation.forward import Row, measure
from robustbench_act.evaluation.plan import Plan, Unit
from robustbench_act.evaluation.samples import strip
from robustbench_act.preprocessing import normalise
from robustbench_act.probes import DEFAULT_METRICS
from robustbench_act.records import KEYS, SUMMED, Run, RunDirectory

_LIBRARIES = ("torch", "torchvision", "numpy", "pandas", "pyarrow", "safetensors")
Preprocessing = tuple[tuple[float, ...], tuple[float, ...]]  # mean, std


@dataclass(frozen=True)
class Execution:
    """How to compute, as opposed to what: changes no key and no chunk.

    Attributes
    ----------
    device
        Where corruptions and networks run.
    batch_size
        Images, clean and corrupted together, that go through a network at once.
    on_images
        Called with the number of images that have gone through a network.
    """

    device: torch.device
    batch_size: int = 128
    on_images: Callable[[int], None] = lambda count: None


def run_plan(plan: Plan, execution: Execution, out: Path, *, command: str, resume: bool = True) -> Run:
    """Evaluate a plan into the run directory `out`, going on where a killed run of the same plan stopped."""
    description = {"version": robustbench_act.__version__, **plan.describe()}
    description |= {"device": execution.device.type, "precision": "fp32"}
    info = {
        "product": "actrobust",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        **description,
        "batch_size": execution.batch_size,
        "libraries": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    }
    directory = RunDirectory.open(out, info, decisive=description, resume=resume)
    corruptions: dict[str, list[str]] = {}
    models = _Models(plan, execution.device)
    for number, units in groupby(plan.units(), key=lambda unit: unit.chunk):
        chunk = plan.chunk(number)  # pictures are decoded once, when the first unit asks for them
        for unit in units:
            corruptions.setdefault(f"{unit.suite}-{unit.corruption}", []).append(unit.key)
            if directory.is_done(unit.key):
                execution.on_images(models.passes(chunk, unit))
                continue
            cells, layers, samples = _run_unit(plan, unit, chunk, models, execution)
            for name, png in samples.items():
                directory.write(Path("samples") / f"{name}.png", png)
            directory.add_part(unit.key, cells, layers)
    return directory.finish(corruptions, _identity(plan), _images(plan.ordered), info)


def _images(data: Dataset) -> pd.DataFrame:
    """Return id and label of each image; no label where nobody knows it."""
    labels = [None] * len(data) if data.labels is None else data.labels.tolist()
    return pd.DataFrame({"id": data.ids.numpy(), "label": pd.array(labels, dtype="Int64")})


class _Models:
    """The checkpoints that can run, by preprocessing, on the device."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.groups: dict[Preprocessing, list[Checkpoint]] = {}
        for checkpoint in plan.checkpoints:
            if checkpoint.problem is None:
                checkpoint.model.to(device)
                key = (checkpoint.spec.mean, checkpoint.spec.std)
                self.groups.setdefault(key, []).append(checkpoint)

    def passes(self, chunk: Dataset, unit: Unit) -> int:
        """Images of a unit that go through networks."""
        return len(chunk) * len(unit.severities) * sum(map(len, self.groups.values()))


def _run_unit(
    plan: Plan, unit: Unit, chunk: Dataset, models: _Models, execution: Execution
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, bytes]]:
    """Return a unit's cell rows, layer rows and, for the first chunk, its sample strip by name."""
    labels = None if chunk.labels is None else chunk.labels.to(execution.device)
    cells = [
        row
        for checkpoint in plan.checkpoints
        if checkpoint.problem
        for row in _failed(checkpoint, unit, checkpoint.problem)
    ]
    layers: list[Row] = []
    samples: dict[str, bytes] = {}
    for (mean, std), group in models.groups.items():
        inputs, digests = _inputs(chunk, unit, (mean, std), plan.seed, execution.device)
        if unit.chunk == 0 and not samples:
            samples[unit.corruption] = strip(inputs, mean, std)
        for checkpoint in group:
            try:
                counted, watched = measure(
                    checkpoint.model,
                    inputs,
                    labels,
                    batch_size=execution.batch_size,
                    metrics=_metrics(plan, unit),
                )
            except Exception as error:  # whatever a network does, the run goes on without this cell
                cells += _failed(checkpoint, unit, " ".join(str(error).split()) or type(error).__name__)
            else:
                cells += _with_keys(counted, checkpoint, unit, pixels=digests)
                layers += _with_keys(watched, checkpoint, unit)
            execution.on_images(len(chunk) * len(unit.severities))
    return pd.DataFrame(cells), pd.DataFrame(layers), samples


def _metrics(plan: Plan, unit: Unit) -> tuple[str, ...]:
    """Return what to measure: the costly parts on the probe sample, or its clean version, alone."""
    if not plan.probes:
        return ()
    if unit.chunk > 0:
        return ("fluctuation",)
    return DEFAULT_METRICS if unit.corruption == CLEAN else ("fluctuation", "means")


def _inputs(
    chunk: Dataset, unit: Unit, preprocessing: Preprocessing, seed: int, device: torch.device
) -> tuple[Tensor, list[str]]:
    """Return stacked inputs (k + 1, n, C, H, W), the clean ones first, and the digest of each version."""
    images, ids = chunk.images.to(device), chunk.ids.to(device)
    clean = normalise(images, *preprocessing)
    versions, digests = [clean], [_digest(images)]
    for cell in unit.cells:
        on_pixels = cell.domain == "pixels"
        corrupted = cell.apply(images if on_pixels else clean, ids=ids, seed=seed)
        digests.append(_digest(corrupted))
        versions.append(normalise(corrupted, *preprocessing) if on_pixels else corrupted)
    return torch.stack(versions), digests


def _digest(images: Tensor) -> str:
    return hashlib.sha256(images.contiguous().cpu().numpy().tobytes()).hexdigest()


def _failed(checkpoint: Checkpoint, unit: Unit, error: str) -> list[Row]:
    nothing: Row = {"n": 0, "correct": 0, **{f"{name}_sum": 0.0 for name in SUMMED}}
    nothing |= {"outcomes": b"", "confidence": b""}
    versions = range(len(unit.severities))
    rows = [{"version": version, **nothing} for version in versions]
    return _with_keys(rows, checkpoint, unit, pixels=[""] * len(versions), error=error)


def _with_keys(
    rows: list[Row],
    checkpoint: Checkpoint,
    unit: Unit,
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


def _identity(plan: Plan) -> pd.DataFrame:
    rows: Iterator[dict[str, Any]] = (
        {
            "checkpoint": checkpoint.name,
            "architecture": checkpoint.spec.architecture,
            "activation": checkpoint.spec.activation_label,
            "training_seed": checkpoint.spec.training_seed,
            "dataset": plan.dataset.name,
        }
        for checkpoint in plan.checkpoints
    )
    return pd.DataFrame(rows)
