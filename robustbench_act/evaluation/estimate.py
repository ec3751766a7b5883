"""The cost of a plan: time and memory, measured on a few of its images, and disk space."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from robustbench_act.activations import activation_layers
from robustbench_act.checkpoints import Checkpoint, weights_cache
from robustbench_act.datasets import Dataset
from robustbench_act.devices import MEMORY_FORMATS, at_hand, cores
from robustbench_act.evaluation.execution import Execution
from robustbench_act.evaluation.forward import Measured, measure
from robustbench_act.evaluation.inputs import ROOM, Versions, corrupt
from robustbench_act.evaluation.plan import CHUNK, Plan
from robustbench_act.evaluation.precision import computing, memory_format
from robustbench_act.records import Part, pack

FEW = 32
"""Images that are corrupted to see how long it takes."""

_FIRST = 4  # images that each architecture with each activation is shown first, and
_PATIENCE = 0.5  # seconds that it may take with more
_CELL_ROW, _LAYER_ROW, _CONFIDENCE = 200, 400, 4.2  # bytes in a part: of rows, and for each image of a cell
_VERSIONS = 3  # of a chunk in float32, in addition to what is kept: while one is corrupted


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan on this machine.

    Attributes
    ----------
    decoding, corrupting, networks, writing
        Seconds of one process; networks with probes if the plan has them.
    memory
        Bytes of a process, without Python, its libraries and the state of probes.
    disk
        Bytes of a finished run.
    processes
        Number of processes that share the work.
    """

    decoding: float
    corrupting: float
    networks: float
    writing: float
    memory: int
    disk: int
    processes: int = 1

    @property
    def seconds(self) -> float:
        """The total, if each process has a core."""
        return (self.decoding + self.corrupting + self.networks + self.writing) / self.processes


def estimate(plan: Plan, execution: Execution) -> Estimate:
    """Measure the cost of a few images of a plan, and return that of all of them.

    Each corruption at each severity works on FEW images, a network of each architecture and activation on as
    many as half a second allows, with probes and without if the run has both.
    """
    execution = replace(execution.for_plan(plan), device=at_hand(execution.device))
    threads = torch.get_num_threads()
    torch.set_num_threads(execution.threads or (threads if execution.processes in (None, 1) else 1))
    try:
        return _estimate(plan, execution)
    finally:
        torch.set_num_threads(threads)


def _estimate(plan: Plan, execution: Execution) -> Estimate:
    started = time.perf_counter()
    few = plan.dataset.subset(FEW)
    few.images.to(execution.device)
    decoding = (time.perf_counter() - started) * len(plan.dataset) / len(few)
    ways = len({one.preprocessing(plan.dataset.shape) for one in plan.checkpoints})
    corrupting = sum(_seconds_of(cell, few, plan, execution) for one in plan.series for cell in one.cells) * (
        len(plan.dataset) / len(few) * ways
    )
    networks, writing = 0.0, 0.0
    versions = 1 + sum(len(one.cells) for one in plan.series)
    watched = len(plan.chunks[0]) if plan.probes else 0
    shares = {True: (watched, 1), False: (len(plan.dataset) - watched, len(plan.chunks) - bool(watched))}
    known: dict[tuple[object, ...], tuple[float, float]] = {}
    for checkpoint in plan.checkpoints:
        if checkpoint.problem is not None:
            continue
        for probes, (images, chunks) in shares.items():
            alike = (*_kind(checkpoint), checkpoint.spec.input_size, probes)
            if images and alike not in known:
                known[alike] = _measured(checkpoint, plan, execution, probes=probes)
            seconds, packing = known.get(alike, (0.0, 0.0))
            networks += seconds * versions * images
            writing += packing * versions * chunks
    memory = memory_needed(plan, batch_size=execution.batch_size)
    return Estimate(
        decoding, corrupting, networks, writing, memory, disk_needed(plan), _at_once(plan, execution)
    )


def _kind(checkpoint: Checkpoint) -> tuple[str, str, str]:
    return checkpoint.spec.architecture, checkpoint.spec.activation_name, checkpoint.normalization


def _at_once(plan: Plan, execution: Execution) -> int:
    """Return how many processes have a core each, and a unit."""
    wanted = execution.processes if isinstance(execution.processes, int) else 1
    return max(1, min(wanted, cores() // (execution.threads or 1), plan.unit_count))


def _seconds_of(cell: Any, few: Dataset, plan: Plan, execution: Execution) -> float:
    images, ids = few.images.to(execution.device), few.ids.to(execution.device)
    preprocessing = plan.checkpoints[0].preprocessing(few.shape)
    clean = preprocessing(images)
    return _timed(corrupt, cell, images, clean, ids=ids, seed=plan.seed, preprocessing=preprocessing)[0]


def _measured(
    checkpoint: Checkpoint, plan: Plan, execution: Execution, *, probes: bool
) -> tuple[float, float]:
    """Return the seconds of a network for an image, and those of writing its rows for a version.

    Images are shown to it as long as this takes no longer than `_PATIENCE`, since each unit takes its time
    whatever the number of images; fewer of slower networks.
    """
    most = max(len(one.cells) for one in plan.series)
    sample = plan.dataset.subset(min(CHUNK, len(plan.dataset)))
    count, versions = min(_FIRST, len(sample)), 1 + most
    while True:
        seconds, rows = _shown(checkpoint, sample[:count], versions, plan, execution, probes=probes)
        if rows is None:
            return 0.0, 0.0
        affordable = min(len(sample), int(count * _PATIENCE / max(seconds, 1e-6)))
        if affordable < 2 * count:
            break
        count = affordable
    block = len(plan.blocks[0])
    tables = pd.DataFrame(rows.cells), rows.layers
    packing, _ = _timed(lambda: pack(Part(*(pd.concat([table] * block) for table in tables))))
    return seconds / (count * versions), packing / (versions * block)


def _shown(
    checkpoint: Checkpoint, data: Dataset, versions: int, plan: Plan, execution: Execution, *, probes: bool
) -> tuple[float, Measured | None]:
    """Return the seconds that images in so many versions take, and their rows: None if they fail."""
    clean = checkpoint.preprocessing(data.shape)(data.images.to(execution.device))
    labels = None if data.labels is None else data.labels.to(execution.device)
    behaviour = plan.behaviour(checkpoint)
    usual = memory_format(checkpoint.spec.input_size, execution.precision, execution.device)
    layout = MEMORY_FORMATS[behaviour.memory_format or usual]
    with computing(execution.precision, execution.device):
        return _timed(
            measure,
            checkpoint.model.to(execution.device).to(memory_format=layout),
            [Versions.of(torch.stack([clean] * versions))],
            labels,
            series=[range(1, versions)],
            batch_size=execution.batch_size,
            probes=probes,
            layout=layout,
            behaviour=behaviour,
            columns=data.columns,
        )


def _timed(work: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[float, Any]:
    """Return the seconds of a second call, since the first one makes constants, and its answer."""
    answer = None
    try:
        for _ in range(2):
            started = time.perf_counter()
            answer = work(*arguments, **options)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
    except Exception:  # a network may raise anything; the doctor says why it cannot run
        return 0.0, None
    return time.perf_counter() - started, answer


def memory_needed(plan: Plan, *, batch_size: int) -> int:
    """Return the bytes of a chunk's inputs, of the weights in memory, and of a batch in the largest layer."""
    pixels, shape = math.prod(plan.dataset.shape), math.prod(plan.largest_input)
    units = (
        (len(images), pixels + sum(one.bytes_of(pixels, shape) for one in series))
        for images in plan.chunks[:2]
        for series in plan.groups(len(images))
    )
    inputs = max(min(images * each, max(ROOM, each)) for images, each in units)
    inputs += _VERSIONS * min(len(plan.dataset), CHUNK) * shape * 4
    sizes = [checkpoint.size for checkpoint in plan.checkpoints]
    weights = min(sum(sizes), max(weights_cache.ROOM, *sizes))
    versions = 1 + sum(len(one.cells) for one in plan.series)
    batch = min(batch_size, versions * len(plan.dataset))
    running = [checkpoint for checkpoint in plan.checkpoints if checkpoint.problem is None]
    unlike = {_kind(one): one for one in running}
    layer = max((_largest_layer(one, plan.dataset) for one in unlike.values()), default=0)
    return inputs + weights + layer * batch


def disk_needed(plan: Plan) -> int:
    """Return the bytes of the parts of a finished run, which are most of it."""
    versions = 1 + sum(len(one.cells) for one in plan.series)
    layers: dict[tuple[str, str, str], int] = {}
    total = 0.0
    for checkpoint in plan.checkpoints:
        alike = _kind(checkpoint)
        if alike not in layers:
            layers[alike] = len(activation_layers(checkpoint.model)) if plan.probes else 0
        total += _CELL_ROW * len(plan.chunks) + _CONFIDENCE * len(plan.dataset) + _LAYER_ROW * layers[alike]
    return int(total * versions)


@torch.inference_mode()
def _largest_layer(checkpoint: Checkpoint, data: Dataset) -> int:
    """Return the bytes of the inputs and outputs of one image in the layer that has the most of them."""
    sizes = [0]

    def count(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        tensors = [item for item in (*inputs, output) if isinstance(item, Tensor)]
        sizes.append(sum(tensor.numel() * tensor.element_size() for tensor in tensors))

    network = checkpoint.model
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    image = checkpoint.preprocessing(data.shape)(data[:1].images.to(device))
    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    try:
        network(image)
    except Exception:  # a network may raise anything
        return 0
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)
