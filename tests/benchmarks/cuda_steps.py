"""The steps of `bench_cuda`: each yields rows of what it measures or compares on one device."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import torch
import torchvision
from torch import Tensor, nn

import corruptions
from robustbench_act import evaluate, load_run
from robustbench_act.devices import MEMORY_FORMATS
from robustbench_act.evaluation.forward import measure
from robustbench_act.evaluation.inputs import Versions
from robustbench_act.evaluation.precision import computing, memory_format
from robustbench_act.run import Run
from tests.benchmarks.bench_corruptions import images_of
from tests.benchmarks.cuda_timing import (
    Size,
    bandwidth,
    kernels,
    launch_seconds,
    peak,
    seconds_per_call,
    told_of_waits,
    wait,
)
from tests.benchmarks.traffic import Traffic

Row = dict[str, Any]

VERSIONS = 6
SERIES = [range(1, VERSIONS)]
TESTS = ("tests/test_corruptions/test_cuda.py", "tests/test_robustbench_act/test_cuda.py")
LAYERS = ("input_fluctuation_mean", "output_fluctuation_mean", "activation_abs_mean", "saturated")


def machine(size: Size) -> Iterator[Row]:
    """Yield what the device is, and what it does at most: copies, launches, matrix products."""
    yield {"what": "PyTorch", "value": torch.__version__}
    yield {"what": "CPU cores", "value": os.cpu_count()}
    if not size.rehearsed:
        facts = torch.cuda.get_device_properties(size.device)
        libraries = f"{torch.version.cuda}, {torch.backends.cudnn.version()}"  # type: ignore[no-untyped-call]
        yield {"what": "GPU", "value": facts.name}
        yield {"what": "its memory, GiB", "value": facts.total_memory / 2**30}
        yield {"what": "CUDA, cuDNN", "value": libraries}
    yield {"what": "copy, GB/s read and written", "value": bandwidth(size) / 1e9}
    yield {"what": "start of an operation, us", "value": launch_seconds(size) * 1e6}
    for precision in precisions(size):
        rows = torch.randn(size.product, size.product, device=size.device)
        with computing(precision, size.device):
            seconds = seconds_per_call(partial(torch.mm, rows, rows), size)
        yield {"what": f"matrix product in {precision}, TFLOP/s", "value": 2e-12 * size.product**3 / seconds}


def precisions(size: Size) -> tuple[str, ...]:
    """Return the precisions of a device."""
    return ("fp32", "bf16") if size.rehearsed else ("fp32", "tf32", "bf16")


def tried(work: Callable[[], Row], **named: object) -> Row:
    """Return a row under its names; if it cannot be made, with the reason: other rows may do better."""
    try:
        return {**named, **work()}
    except Exception as error:  # whatever it is, it belongs on the page
        return {**named, "problem": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def input_of(name: str, images: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Return what a corruption takes, of images in levels: levels, floats, or normalised floats."""
    if corruptions.get_corruption(name).domain == "input":
        work = torch.float32 if dtype == torch.uint8 else dtype
        return images.to(torch.float32).div(64).sub(2).to(work)
    return images if dtype == torch.uint8 else images.div(255).to(dtype)


def pixels(size: Size) -> Iterator[Row]:
    """Yield how far pixels are from the CPU's: at most, in levels (1/255), and the share above 0.01."""
    for name in size.names:
        yield tried(partial(_pixels, name, size), corruption=name)


def _pixels(name: str, size: Size) -> Row:
    row: Row = {}
    for dtype in (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        largest, off, count = 0.0, 0, 0
        for channels, height, width in size.compared:
            images = images_of(max(height, width), 8)[:, :channels, :height, :width]
            images = input_of(name, images, dtype)
            for severity in (1, 3, 5):
                made = corruptions.corrupt(images.to(size.device), name, severity=severity).cpu().double()
                away = (made - corruptions.corrupt(images, name, severity=severity).double()).abs()
                away *= 1 if images.dtype == torch.uint8 else 255
                largest = max(largest, float(away.max()))
                off, count = off + int((away > 0.01).sum()), count + away.numel()
        kind = str(dtype).removeprefix("torch.")
        row |= {f"{kind}: levels": largest, f"{kind}: % off": 100 * off / count}
    return row


def rates(size: Size) -> Iterator[Row]:
    """Yield what each corruption takes, beside what its passes over memory and its launches take at least."""
    copied, start = bandwidth(size), launch_seconds(size)
    for side, batch in size.batches.items():
        for name in size.names:
            images = images_of(side, batch)
            work = partial(_rate, name, images, size, copied=copied, start=start)
            yield tried(work, corruption=name, px=side, batch=batch)


def _rate(name: str, images: Tensor, size: Size, *, copied: float, start: float) -> Row:
    """Return the rate: `copied` bytes a second are read and written, an operation is started in `start`."""
    images = input_of(name, images).to(size.device)
    work = partial(corruptions.corrupt, images, name, severity=3)
    seconds = seconds_per_call(work, size)
    with Traffic(size.device.type) as traffic:
        work()
    count, at_work = kernels(work, size)
    return {
        "images/s": len(images) / seconds,
        "us a batch": seconds * 1e6,
        "operations": traffic.operations.total(),
        "kernels": count,
        "% busy": at_work and 100 * at_work / seconds,
        "uploads": traffic.uploads,
        "MB": traffic.moved / 1e6,
        "floor: memory, us": traffic.moved / copied * 1e6,
        "floor: launches, us": traffic.operations.total() * start * 1e6,
        "floor: in and out once, us": 2 * images.numel() * images.element_size() / copied * 1e6,
        "MiB at most": peak(work, size),
    }


def compiled(size: Size) -> Iterator[Row]:
    """Yield the same for compiled kernels, what the first call takes, and where its pixels differ."""
    for name in size.names:
        for side, batch in size.batches.items():
            work = partial(_compiled, name, images_of(side, batch), size)
            yield tried(work, corruption=name, px=side, batch=batch)


def _compiled(name: str, images: Tensor, size: Size) -> Row:
    images = input_of(name, images).to(size.device)
    work = partial(corruptions.corrupt, images, name, severity=3)
    corruptions.use_compile(False)
    eager, plain = work(), seconds_per_call(work, size)
    corruptions.use_compile()
    started = time.perf_counter()
    away = (work().double() - eager.double()).abs()
    wait(size.device)
    first = time.perf_counter() - started
    seconds = seconds_per_call(work, size)
    count, at_work = kernels(work, size)
    return {
        "s to compile": first,
        "images/s": len(images) / seconds,
        "x eager": plain / seconds,
        "kernels": count,
        "% busy": at_work and 100 * at_work / seconds,
        "most away": float(away.max()),
        "% away": 100 * float((away > 0.01).double().mean()),
        "MiB at most": peak(work, size),
    }


def network_of(size: Size) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a network of torchvision with random weights, a batch in all versions, and labels."""
    kind = torchvision.models.resnet18 if size.rehearsed else torchvision.models.resnet50
    torch.manual_seed(0)
    made = kind(weights=None, num_classes=10).eval().to(size.device)
    images = size.network_batch // VERSIONS
    inputs = torch.randn(VERSIONS, images, 3, size.network_side, size.network_side, device=size.device)
    return made, inputs, torch.zeros(images, dtype=torch.int64, device=size.device)


def network(size: Size) -> Iterator[Row]:
    """Yield images a second and memory of ResNet-50, in each precision, with and without probes."""
    found = network_of(size)
    for precision in precisions(size):
        for probes in (False, True):
            work = partial(_network, found, size, precision=precision, probes=probes)
            yield tried(work, precision=precision, probes=probes)


def _network(found: tuple[nn.Module, Tensor, Tensor], size: Size, *, precision: str, probes: bool) -> Row:
    model, inputs, labels = found
    layout = memory_format(inputs.shape[2:], precision, size.device)
    options: Row = {"layout": MEMORY_FORMATS[layout], "batch_size": size.network_batch}
    model = model.to(memory_format=MEMORY_FORMATS[layout])
    passes = partial(measure, model, [Versions.of(inputs)], labels, series=SERIES, probes=probes, **options)
    with computing(precision, size.device):
        seconds = seconds_per_call(passes, size)
        count, at_work = kernels(passes, size)
        with Traffic(size.device.type) as traffic:
            passes()
        return {
            "layout": layout,
            "images/s": size.network_batch / seconds,
            "ms": seconds * 1e3,
            "operations": traffic.operations.total(),
            "GB": traffic.moved / 1e9,
            "kernels": count,
            "% busy": at_work and 100 * at_work / seconds,
            "MiB at most": peak(passes, size),
        }


def waits(size: Size) -> Iterator[Row]:
    """Yield how often a call that has been made before waits for the GPU, and where."""
    side, batch = next(iter(size.batches.items()))
    for name in size.names:
        images = input_of(name, images_of(side, batch)).to(size.device)
        work = partial(corruptions.corrupt, images, name, severity=3)
        yield tried(partial(_waits, work, size), what=name)
    model, inputs, labels = network_of(size)
    versions = [Versions.of(inputs)]
    options: Row = {"series": SERIES, "batch_size": size.network_batch}
    for probes in (False, True):
        passes = partial(measure, model, versions, labels, probes=probes, **options)
        yield tried(
            partial(_waits, passes, size), what=f"a network, {'with' if probes else 'without'} probes"
        )


def _waits(work: Callable[[], object], size: Size) -> Row:
    work()
    with told_of_waits(size) as places:
        work()
    most = ", ".join(f"{count} at {place}" for place, count in places.most_common(6))
    return {"waits": places.total(), "where": most}


def study(size: Size) -> Iterator[Row]:
    """Yield what an evaluation of ResNet-50 takes from images to tables, and its corruptions alone."""
    model, _, _ = network_of(size)
    count = 8 if size.rehearsed else 128
    images = images_of(size.network_side, count)
    names = [name for name in size.names if corruptions.get_corruption(name).domain == "pixels"]
    there = images.to(size.device)

    def corrupt_all() -> None:
        for name in names:
            corruptions.corrupt(there, name, severity=3)

    alone = seconds_per_call(corrupt_all, size)
    options: Row = {"mean": [0.5] * 3, "std": [0.25] * 3, "corruptions": names, "severities": [3]}
    options |= {"dataset": (images, torch.arange(count) % 10), "device": str(size.device), "progress": False}
    for precision in precisions(size):
        for probes in (False, True):
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as out:
                evaluate(model, out=Path(out) / "run", precision=precision, probes=probes, **options)
            seconds = time.perf_counter() - started
            yield {
                "precision": precision,
                "probes": probes,
                "s in all": seconds,
                "s of corruptions alone": alone,
                "images/s": count * (len(names) + 1) / seconds,
            }


def grid(size: Size) -> Iterator[Row]:
    """Yield how the tables of the embedded default differ from the CPU's, and what both took."""
    command = [sys.executable, "-m", "robustbench_act.cli", "evaluate", *size.checkpoints, "--report", "none"]
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        for device in ("cpu", str(size.device)):
            out = Path(folder) / f"run-{len(runs)}"
            where = ["--device", device, "--out", str(out)]
            started = time.perf_counter()
            subprocess.run([*command, *size.options, *where], check=True, stdout=sys.stderr)
            yield {"what": f"seconds on {device}", "value": time.perf_counter() - started}
            runs.append(load_run(out))
        yield from differences(*runs)


def differences(one: Run, other: Run) -> Iterator[Row]:
    """Yield how far two runs of the same cells are apart."""
    mine, theirs = one.cells, other.cells
    clean = mine["corruption"] == "clean"
    yield {"what": "cells that failed", "value": int(theirs["error"].notna().sum())}
    for name, rows in {"clean": clean, "corrupted": ~clean}.items():
        flips = (mine["correct"] - theirs["correct"]).abs()[rows]
        alike = float((mine["pixels"] == theirs["pixels"])[rows].mean())
        yield {"what": f"{name}: cells with the same pixels, %", "value": 100 * alike}
        yield {"what": f"{name}: right answers more or fewer, at most", "value": int(flips.max())}
        yield {"what": f"{name}: the same, on average, of {mine['n'].max()}", "value": float(flips.mean())}
    for name in LAYERS:
        apart = _apart(one.layers[name], other.layers[name])
        yield {"what": f"layers: {name}, largest relative difference", "value": apart}
    orders = [run.leaderboard()["activation"].tolist() for run in (one, other)]
    yield {"what": "the same order in the leaderboard", "value": orders[0] == orders[1]}


def _apart(mine: "pd.Series[Any]", theirs: "pd.Series[Any]") -> float:
    values, others = (column.to_numpy(np.float64) for column in (mine, theirs))
    return float(np.nanmax(np.abs(values - others) / np.maximum(np.abs(values), 1e-12)))


def together(size: Size) -> Iterator[Row]:
    """Yield what two processes that share the device take against one, and whether tables are the same."""
    runs: list[Run] = []
    options: Row = {"dataset": "mnist-1k", "suites": ["noise"], "severities": [3], "limit": size.limit}
    options |= {"device": str(size.device), "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            started = time.perf_counter()
            out = Path(folder) / str(processes)
            runs.append(evaluate(list(size.checkpoints) or None, processes=processes, out=out, **options))
            yield {"processes": processes, "s": time.perf_counter() - started}
        same = runs[0].cells.equals(runs[1].cells) and runs[0].layers.equals(runs[1].layers)
    yield {"processes": "1 and 2", "the same tables": same}


def tests(size: Size) -> Iterator[Row]:
    """Yield the outcomes of the tests that need a GPU: skipped in a rehearsal."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        command += ["-m", "slow or not slow", *TESTS]
        subprocess.run(command, check=False, stdout=sys.stderr)
        cases = list(ElementTree.parse(report).iter("testcase"))
    for file in TESTS:
        module = file.removesuffix(".py").replace("/", ".")
        kinds = Counter(_outcome(case) for case in cases if case.get("classname") == module)
        outcome = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        yield {"test": file, "outcome": outcome}
    for case in cases:
        if _outcome(case) in ("failure", "error"):
            message = " ".join(case[0].get("message", "").split())
            yield {"test": case.get("name"), "outcome": message[:300]}


def _outcome(case: ElementTree.Element) -> str:
    return next((part.tag for part in case if part.tag != "system-out"), "passed")


STEPS: dict[str, tuple[Callable[[Size], Iterator[Row]], int]] = {
    "machine": (machine, 60),
    "pixels": (pixels, 90),
    "rates": (rates, 90),
    "network": (network, 60),
    "waits": (waits, 60),
    "grid": (grid, 150),
    "tests": (tests, 150),
    "study": (study, 90),
    "together": (together, 60),
    "compiled": (compiled, 240),
}
"""Each with the seconds that it may take, in the order in which they are done."""
