"""What a planned run needs: time, memory, room on the disk."""

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.doctor.finding import Finding
from robustbench_act.doctor.networks import predict
from robustbench_act.evaluation import BATCH_SIZE, CHUNK, Plan, measure
from robustbench_act.preprocessing import normalise

_BATCH = 64
_FEW = 32  # images that are corrupted to see how long it takes
_BYTES = 10_000  # of a run, for each checkpoint, cell and chunk; 7,400 with seven layers watched


def examine_plan(plan: Plan, out: Path, device: torch.device) -> list[Finding]:
    """Return what the planned run needs: time and memory, measured on a few images, and room on the disk.

    Parameters
    ----------
    plan
        What would be evaluated.
    out
        Where the run would be written.
    device
        Where it would run.
    """
    passes = f"{plan.passes:,} forward passes{' with probes' if plan.probes else ''}"
    return [
        Finding("run", True, f"about {_duration(_seconds(plan, device))} for {passes}"),
        Finding("run", True, f"about {memory_needed(plan) / 1e6:,.0f} MB of memory, probes aside"),
        examine_room(plan, out),
    ]


def examine_room(plan: Plan, out: Path) -> Finding:
    """Return whether the run fits on the disk."""
    room = shutil.disk_usage(_existing(out)).free
    cells = 1 + sum(len(suite.cells) for suite in plan.chosen_suites())
    needed = cells * len(plan.checkpoints) * -(-len(plan.dataset) // CHUNK) * _BYTES
    text = f"up to {needed / 1e6:,.0f} MB in {out}, {room / 1e6:,.0f} MB are free there"
    return Finding("run", needed < room, text)


def _seconds(plan: Plan, device: torch.device) -> float:
    """Return the time that decoding, corruptions and forward passes take, from a few images of each."""
    started = time.perf_counter()
    few = plan.dataset.subset(_FEW)
    few.images.to(device)
    total = (time.perf_counter() - started) / len(few) * len(plan.dataset)
    for suite in plan.chosen_suites():
        for cell in suite.cells:
            images = few.images if cell.domain == "pixels" else few.images.float()
            taken = _timed(cell.apply, images.to(device), ids=few.ids.to(device), seed=plan.seed)
            total += taken / len(few) * len(plan.dataset)
    metrics = ("fluctuation", "means") if plan.probes else ()
    labels = None if few.labels is None else few.labels.to(device)
    for checkpoint in plan.checkpoints:
        if checkpoint.problem is None:
            clean = normalise(few.images.to(device), checkpoint.spec.mean, checkpoint.spec.std)
            both = torch.stack([clean, clean])
            network = checkpoint.model.to(device)
            taken = _timed(measure, network, both, labels, batch_size=_BATCH, metrics=metrics)
            total += taken / (2 * len(few)) * plan.passes / len(plan.checkpoints)
    return total


def _timed(work: Callable[..., object], *arguments: Any, **options: Any) -> float:
    """Return the seconds that a second call takes: in the first constants are made."""
    try:
        for _ in range(2):
            started = time.perf_counter()
            work(*arguments, **options)
    except (RuntimeError, ValueError, FloatingPointError):  # `examine` says why it cannot run
        return 0.0
    return time.perf_counter() - started


def memory_needed(plan: Plan) -> int:
    """Return the bytes of a chunk's inputs, of all weights, and of a batch in the largest layer."""
    most = max((len(tuple(unit.cells)) for unit in plan.units() if unit.chunk == 0), default=0) + 1
    pixels = min(len(plan.dataset), CHUNK) * math.prod(plan.dataset.shape)
    inputs = pixels * (2 * most * 4 + 2)  # float32, each version by itself and all stacked; uint8
    weights: int = sum(
        tensor.numel() * tensor.element_size()
        for checkpoint in plan.checkpoints
        for tensor in checkpoint.model.state_dict().values()
    )
    batch = min(BATCH_SIZE, most * len(plan.dataset))
    layer = max((_largest_layer(one, plan.dataset) for one in plan.checkpoints if not one.problem), default=0)
    return inputs + weights + layer * batch


def _largest_layer(checkpoint: Checkpoint, data: Dataset) -> int:
    """Return the bytes that go into and out of the layer that has most of them, for one image."""
    sizes = [0]

    def count(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        tensors = [item for item in (*inputs, output) if isinstance(item, Tensor)]
        sizes.append(sum(tensor.numel() * tensor.element_size() for tensor in tensors))

    leaves = [module for module in checkpoint.model.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    try:
        predict(checkpoint, data[:1], next(iter(checkpoint.model.parameters())).device)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> _duration(42.4), _duration(600), _duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
