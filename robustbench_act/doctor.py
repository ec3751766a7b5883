"""Looks at checkpoints and data before hours of compute: whether they are what they should be.

Wrong preprocessing does not stop an evaluation: it changes its ranking. So each network is shown a sample of
the clean images, as its spec says and in the ways that are usually confused with it.
"""

import importlib.metadata
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.evaluation import BATCH_SIZE, CHUNK, Plan, measure
from robustbench_act.preprocessing import USUAL, normalise
from robustbench_act.statistics import compare_outcomes, share_interval

SAMPLE = 256
"""Images that each network is shown."""

_BATCH = 64
_FEW = 32  # images that are corrupted to see how long it takes
_BYTES = 10_000  # of a run, for each checkpoint, cell and chunk; 7,400 with seven layers watched
_CLEARLY = 0.05  # accuracy that another way must gain, and
_SURE = 0.001  # the p-value of McNemar's test
_PERMUTED = 0.3  # accuracy that other names of the classes must gain
_PER_CLASS = 5  # images of a class on average; of fewer any errors look like other names

_WAYS = {
    "no normalisation (0 to 1)": ((0.0,), (1.0,)),
    "no normalisation (0 to 255)": ((0.0,), (1 / 255,)),
    "mean 0.5, std 0.5": ((0.5,), (0.5,)),
    **{f"the usual normalisation of {name}": pair for name, pair in USUAL.items()},
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    subject
        A checkpoint's name, "data", "run" or "machine".
    good
        Whether it is as it should be.
    text
        What was found, with numbers.
    """

    subject: str
    good: bool
    text: str


def examine(checkpoint: Checkpoint, data: Dataset, device: torch.device) -> list[Finding]:
    """Look at one network on a balanced sample of clean images.

    Its accuracy against the one in its spec; other normalisations and the reversed order of colours, where
    one is clearly better (McNemar's test); other names of the classes, where a permutation explains the
    errors.

    Parameters
    ----------
    checkpoint
        Is moved to `device`.
    data
        Clean images with labels.
    device
        Where to compute.

    Returns
    -------
    list of Finding
        The accuracy first, then what is wrong.
    """
    sample = data.subset(SAMPLE)
    own = _predict_own(checkpoint, sample, device)
    if isinstance(own, Finding):
        return [own]
    read = [Finding(checkpoint.name, True, f"read: {note}") for note in checkpoint.notes]
    if sample.labels is None:
        return [*read, _spread(checkpoint, own)]
    labels = sample.labels.numpy()
    right = own == labels
    return [
        *read,
        _accuracy(checkpoint, right, data),
        *_other_way(checkpoint, sample, labels, right, device),
        *_other_names(checkpoint, own, labels, data.classes),
    ]


def check_accuracy(checkpoint: Checkpoint, data: Dataset, device: torch.device) -> Finding:
    """Return the first finding of `examine` alone: what `evaluate` looks at before it begins."""
    sample = data.subset(_BATCH)
    found = _predict_own(checkpoint, sample, device)
    if isinstance(found, Finding):
        return found
    if sample.labels is None:
        return _spread(checkpoint, found)
    return _accuracy(checkpoint, found == sample.labels.numpy(), data)


def _predict_own(
    checkpoint: Checkpoint, sample: Dataset, device: torch.device
) -> NDArray[np.int64] | Finding:
    """Return the predictions with the spec's normalisation, or why there are none."""
    problem = checkpoint.problem
    if problem is None:
        try:
            return _predict(checkpoint, sample.images, checkpoint.spec.mean, checkpoint.spec.std, device)
        except (RuntimeError, ValueError) as error:
            problem = f"its forward pass fails: {' '.join(str(error).split())}"
    return Finding(checkpoint.name, False, problem)


def _accuracy(checkpoint: Checkpoint, right: NDArray[np.bool_], data: Dataset) -> Finding:
    count, stated = len(right), checkpoint.spec.clean_accuracy
    low, high = share_interval(int(right.sum()), count, confidence=0.999)
    text = f"accuracy {right.mean():.1%} on {count} clean images of {data.name}"
    known = checkpoint.spec.dataset
    if stated is not None and (data.name == known or data.name.startswith(f"{known}-")):
        text += f", {stated:.1%} in its spec"
        return Finding(checkpoint.name, bool(stated <= high), text)
    chance = 1 / checkpoint.spec.classes
    text += f", {chance:.1%} by chance"
    return Finding(checkpoint.name, bool(low > chance), text)


def _spread(checkpoint: Checkpoint, predicted: NDArray[np.int64]) -> Finding:
    """Say how many classes are predicted for images without labels: a network fed wrongly often says one."""
    classes = len(np.unique(predicted))
    good = classes > 1 or len(predicted) == 1
    known = checkpoint.spec.classes
    text = f"no labels; {classes} of {known} classes predicted for {len(predicted)} clean images"
    return Finding(checkpoint.name, good, text)


def _other_way(
    checkpoint: Checkpoint,
    sample: Dataset,
    labels: NDArray[np.int64],
    right: NDArray[np.bool_],
    device: torch.device,
) -> Iterator[Finding]:
    """Yield the best other way of feeding the network, where it is clearly better."""
    spec = checkpoint.spec
    best: tuple[float, str, NDArray[np.bool_]] | None = None
    for what, images, mean, std in _ways(sample, spec.mean, spec.std):
        found = _predict(checkpoint, images, mean, std, device) == labels
        if best is None or found.mean() > best[0]:
            best = float(found.mean()), what, found
    if best is None:
        return
    test = compare_outcomes(best[2], right)
    if test.difference > _CLEARLY and test.p < _SURE:
        yield Finding(
            checkpoint.name,
            False,
            f"with {best[1]} its accuracy is {best[0]:.1%}, not {right.mean():.1%}: are mean "
            f"{_numbers(spec.mean)} and std {_numbers(spec.std)} right?",
        )


def _ways(
    sample: Dataset, mean: tuple[float, ...], std: tuple[float, ...]
) -> Iterator[tuple[str, Tensor, tuple[float, ...], tuple[float, ...]]]:
    channels = sample.images.shape[1]
    candidates = {**_WAYS, f"the usual normalisation of {sample.name}": (sample.mean, sample.std)}
    seen = {(mean, std)}
    for what, (means, stds) in candidates.items():
        if len(means) not in (1, channels):
            continue
        pair = (means * (channels // len(means)), stds * (channels // len(stds)))
        if pair not in seen:
            seen.add(pair)
            yield what, sample.images, *pair
    if channels == 3:
        yield "the order of the colours reversed (BGR)", sample.images.flip(1), mean, std


def _other_names(
    checkpoint: Checkpoint, predicted: NDArray[np.int64], labels: NDArray[np.int64], names: tuple[str, ...]
) -> Iterator[Finding]:
    """Yield the renaming of classes that explains the errors, where one does."""
    count = checkpoint.spec.classes
    classes = names or tuple(map(str, range(count)))
    confusion = np.zeros((count, count), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    rows, columns = linear_sum_assignment(confusion, maximize=True)
    renamed, right = confusion[rows, columns].sum() / len(labels), np.trace(confusion) / len(labels)
    if renamed - right < _PERMUTED or len(labels) < _PER_CLASS * len(np.unique(labels)):
        return
    moved = [
        f"{classes[row]} as {classes[column]}"
        for row, column in zip(rows, columns, strict=True)
        if row != column and confusion[row, column] > 0
    ]
    yield Finding(
        checkpoint.name,
        False,
        f"with other names of the classes its accuracy is {renamed:.1%}, not {right:.1%} "
        f"({', '.join(moved[:3])}, ...): is the order of the classes right?",
    )


@torch.inference_mode()
def _predict(
    checkpoint: Checkpoint,
    images: Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device,
) -> NDArray[np.int64]:
    network = checkpoint.model.to(device)
    batches = torch.split(images, _BATCH)
    parts = [network(normalise(part.to(device), mean, std)).argmax(1).cpu() for part in batches]
    found: NDArray[np.int64] = torch.cat(parts).numpy()
    return found


def examine_data(data: Dataset) -> list[Finding]:
    """Return what the images are, whether their labels make sense, and what is stored of them in files."""
    channels, height, width = data.shape
    seen = f" ({data.view})" if data.view is not None else ""
    text = f"{len(data)} of {data.total} images of {data.name}, {channels} x {height} x {width}{seen}"
    found = [Finding("data", True, text)]
    if data.unreadable:
        text = f"{len(data.unreadable)} files cannot be read, first {data.unreadable[0]}"
        found.append(Finding("data", False, text))
    if data.labels is None:
        found.append(Finding("data", True, "no labels: agreement and fluctuation alone are measured"))
    else:
        present = len(np.unique(data.labels.numpy()))
        text = f"labels of {present} of {data.class_count} classes"
        found.append(Finding("data", present > 1 or len(data) == 1, text))
    if data.stored is not None:
        kinds = f"{len(data.stored.corruptions)} corruptions x {len(data.stored.severities)} severities"
        text = f"{kinds} in files ({data.stored.codec}), each image paired with its clean one"
        found.append(Finding("data", True, text))
    return found


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
        Finding("run", True, f"about {_memory(plan) / 1e6:,.0f} MB of memory, probes aside"),
        examine_room(plan, out),
    ]


def examine_room(plan: Plan, out: Path) -> Finding:
    """Return whether the run fits on the disk."""
    room = shutil.disk_usage(_existing(out)).free
    cells = 1 + sum(len(suite.cells) for suite in plan.chosen_suites())
    needed = cells * len(plan.checkpoints) * -(-len(plan.dataset) // CHUNK) * _BYTES
    text = f"up to {needed / 1e6:,.0f} MB in {out}, {room / 1e6:,.0f} MB are free there"
    return Finding("run", needed < room, text)


def warnings_before(plan: Plan, out: Path, device: torch.device) -> list[Finding]:
    """Return what is wrong of all that takes no more than a moment to look at: what `evaluate` asks first."""
    looked = [*examine_machine(), examine_room(plan, out)]
    looked += [check_accuracy(one, plan.dataset, device) for one in plan.checkpoints if one.problem is None]
    return [finding for finding in looked if not finding.good]


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


def _memory(plan: Plan) -> int:
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
        _predict_own(checkpoint, data[:1], next(iter(checkpoint.model.parameters())).device)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)


def examine_machine() -> list[Finding]:
    """Return versions, and whether another distribution has put its files over ours."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("actrobust", "torch"))
    device = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
    found = [Finding("machine", True, f"{versions}, {device}, {torch.get_num_threads()} threads")]
    owners = importlib.metadata.packages_distributions()
    for package in ("corruptions", "reports", "robustbench_act"):
        others = sorted(set(owners.get(package, [])) - {"actrobust"})
        if others:
            text = f"the distribution {', '.join(others)} has a package {package!r} too; uninstall it"
            found.append(Finding("machine", False, text))
    return found


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


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)
