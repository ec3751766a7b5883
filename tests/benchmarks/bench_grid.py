"""What a grid costs, end to end, and what it would cost at scale.

    python -m tests.benchmarks.bench_grid [speed] [memory] [workers] [overhead] [shares] [rates]
        [--mnist ROOT] [--device cuda]

speed     the full grid (19 corruptions x 5 severities) of six embedded networks, against a plain loop that
          corrupts every image anew for every network with the imagecorruptions package
memory    the largest resident size of a process at 1,000 and 10,000 images, and with 3 and 60 networks
workers   images a second in this process, in one and two processes, with one and two workers of Ray
overhead  seconds and bytes for a unit, and for all that a plan of up to 100,000 units holds in memory
shares    where the time of one process goes: corrupting, networks, probes, writing, merging
rates     images a second of each corruption and network on --device, 32 x 32 pixels

Each line is measured in a process of its own; what is compared is measured in the same call.
"""

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from corruptions import get_suite
from corruptions.reference import corrupt_reference
from robustbench_act.checkpoints import Checkpoint, Entry, find_entries, load_entries
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.evaluation import Plan, evaluate, measure
from robustbench_act.evaluation.inputs import Versions
from robustbench_act.preprocessing import normalise
from robustbench_act.records import Part, RunDirectory, pack
from robustbench_act.records.parts import unpack

SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)
SIX = ("relu_1", "silu_1", "gelu_1", "la_silu_1", "la_hardsilu_1", "nrelu_1")


class Asked(argparse.Namespace):
    """What the command line says."""

    mnist: str | None
    device: str


def networks(count: int | None = None) -> list[Checkpoint]:
    """Return six embedded networks of different activations, or the first `count`, again and again."""
    folder = resources.files("robustbench_act") / "assets" / "checkpoints"
    with resources.as_file(folder) as path:
        found = load_entries(find_entries([Entry(path)]))
    if count is None:
        return [one for one in found if one.name in SIX]
    rounds = [
        replace(one, name=f"{one.name}-{turn}") for turn in range(-(-count // len(found))) for one in found
    ]
    return rounds[:count]


def padded(images: int, mnist: str | None = None) -> Dataset:
    """Return MNIST images with a border that makes them 32 x 32, which the package needs at least."""
    data = load_dataset(f"mnist:{mnist}" if mnist else "mnist-1k").subset(images)
    return replace(data, pixels=torch.nn.functional.pad(data.images, (2, 2, 2, 2)))


def plain_loop(checkpoints: list[Checkpoint], data: Dataset) -> float:
    """Return the seconds of the loop that one writes first: for network, corruption, severity, image."""
    started = time.perf_counter()
    for checkpoint in checkpoints:
        for name in get_suite("c19").corruptions:
            for severity in (1, 2, 3, 4, 5):
                corrupted = corrupt_reference(data.images, name, severity=severity)
                with torch.inference_mode():
                    inputs = normalise(corrupted, checkpoint.spec.mean, checkpoint.spec.std)
                    (checkpoint.model(inputs).argmax(1) == data.known_labels).sum().item()
    return time.perf_counter() - started


def speed(out: Path, asked: Asked) -> Iterator[dict[str, Any]]:
    """Compare the full grid with the plain loop, on few images for the loop and the same for us."""
    checkpoints = [replace(one, spec=replace(one.spec, input_size=(1, 32, 32))) for one in networks()]
    few, many = padded(20), padded(1000, asked.mnist)
    loop = plain_loop(checkpoints, few) / len(few)
    yield {"what": "plain loop with imagecorruptions", "ms an image": 1000 * loop}
    for probes in (False, True):
        started = time.perf_counter()
        evaluate(
            checkpoints,
            dataset=many,
            suites=["c19"],
            probes=probes,
            device="cpu",
            out=out / f"speed-{probes}",
        )
        ours = (time.perf_counter() - started) / len(many)
        what = f"actrobust, probes {'on' if probes else 'off'}"
        yield {"what": what, "ms an image": 1000 * ours, "times": loop / ours}


def memory(out: Path, asked: Asked) -> Iterator[dict[str, Any]]:
    """Return the largest resident size of runs of their own."""
    for images, count in ((1000, 3), (10_000, 3), (1000, 60)):
        if images > 1000 and asked.mnist is None:
            continue
        arguments = ["--one", "memory", str(images), str(count), "--mnist", asked.mnist or ""]
        yield {"images": images, "networks": count, **measured(arguments, out)}


def one_memory(out: Path, mnist: str | None, images: int, count: int) -> dict[str, Any]:
    """Run, and return this process's largest resident size before and after."""
    data = load_dataset(f"mnist:{mnist}" if mnist else "mnist-1k").subset(images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    evaluate(
        networks(count),
        dataset=data,
        suites=["noise"],
        severities=[3],
        device="cpu",
        out=out / f"memory-{images}-{count}",
    )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"MB at the start": before / 1e3, "MB at most": after / 1e3}


WAYS: dict[str, dict[str, Any]] = {
    "this process, 1 thread": {"threads": 1},
    "this process, all threads": {},
    "1 process": {"processes": 1, "threads": 1},
    "2 processes": {"processes": 2},
    "Ray, 1 worker": {"executor": "ray", "threads": 1},
    "Ray, 2 workers": {"executor": "ray", "processes": 2, "threads": 1},
}


def workers(out: Path, asked: Asked) -> Iterator[dict[str, Any]]:
    """Return images a second from the first result to the last: starting takes what it takes, once."""
    del asked
    for name, ways in WAYS.items():
        if name == "1 process":
            continue
        yield {"what": name, **measured(["--one", "workers", json.dumps(ways)], out)}


def one_workers(out: Path, ways: dict[str, Any]) -> dict[str, Any]:
    """Run a grid of 40 units and more, one way."""
    moments: list[tuple[float, int]] = []
    if ways.get("executor") == "ray" and "processes" not in ways:  # one worker: a cluster of one core
        import ray

        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    started = time.perf_counter()
    evaluate(
        networks(),
        dataset=load_dataset("mnist-1k"),
        suites=["noise", "shift"],
        device="cpu",
        out=out / "run",
        on_start=lambda plan, _: lambda images: moments.append((time.perf_counter(), images)),
        **ways,
    )
    whole = time.perf_counter() - started
    first, last = moments[4][0], moments[-1][0]
    images = sum(count for _, count in moments[5:])
    return {"images/s": images / (last - first), "s in all": whole}


def overhead(out: Path, asked: Asked) -> Iterator[dict[str, Any]]:
    """Return what a unit costs that does nothing: named, looked for, written, merged; and a plan's memory."""
    del asked
    checkpoints = networks()
    data = load_dataset("mnist-1k")
    rows = _rows(out, checkpoints)
    for wanted in (100, 1000, 10_000):
        plan = _plan_of(wanted, checkpoints, data)
        started = time.perf_counter()
        with RunDirectory.open(out / f"units-{wanted}", plan.describe(), resume=True) as directory:
            units = 0
            for unit in plan.units():
                key = unit.key("0" * 64)
                if not directory.has(key):
                    directory.add_part(key, rows)
                units += 1
        seconds = time.perf_counter() - started
        yield {"units": units, "ms a unit": 1000 * seconds / units}
    plan = _plan_of(100_000, checkpoints, data)
    tracemalloc.start()
    started = time.perf_counter()
    units = sum(1 for unit in plan.units() if unit.key("0" * 64))
    seconds = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield {"units": units, "ms a unit": 1000 * seconds / units, "MB of the plan": peak / 1e6}


def _rows(out: Path, checkpoints: list[Checkpoint]) -> bytes:
    """Return the part of a real unit: six networks, five corruptions at five severities, seven layers."""
    options: dict[str, Any] = {"suites": ["light"], "device": "cpu", "limit": 8}
    run = evaluate(checkpoints, dataset="mnist-1k", out=out / "rows", **options)
    parts = [unpack(path.read_bytes(), path) for path in run.path.glob("parts/*.zip")]
    return pack(Part(pd.concat(part.cells for part in parts), pd.concat(part.layers for part in parts)))


def _plan_of(units: int, checkpoints: list[Checkpoint], data: Dataset) -> Plan:
    """Return a plan of about so many units: an image set that is that long, of views of one image."""
    images = max(units // len(checkpoints), 1) * 256  # each network is a unit of 256 images
    long = Dataset(
        "long",
        data.images[:1].expand(images, -1, -1, -1),
        torch.zeros(images, dtype=torch.int64),
        torch.arange(images),
        data.classes,
        data.mean,
        data.std,
        total=images,
    )
    return Plan(checkpoints, long, ("c19", "shift"), SEVERITIES)


SHARES: dict[str, tuple[str, ...]] = {
    "corrupting": ("suites.py", "apply"),
    "networks": ("forward.py", "_logits"),
    "layer rows": ("forward.py", "_columns", "_layer_rows"),
    "packing": ("parts.py", "pack"),
    "writing": ("directory.py", "add_part"),
    "merging": ("directory.py", "finish"),
}


def shares(out: Path, asked: Asked) -> Iterator[dict[str, Any]]:
    """Return the share of each step in the time of one process, by the profiler."""
    del asked
    for probes in (True, False):
        profile = cProfile.Profile()
        profile.enable()
        evaluate(
            networks(),
            dataset="mnist-1k",
            suites=["c19"],
            device="cpu",
            probes=probes,
            out=out / f"shares-{probes}",
        )
        profile.disable()
        found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
        total = float(max(row[3] for (_, _, name), row in found.items() if name == "evaluate"))
        yield {"probes": probes, "s in all": total, **{name: _share(found, name) / total for name in SHARES}}


def _share(found: dict[Any, Any], name: str) -> float:
    file, *functions = SHARES[name]
    times = (
        row[3] for (path, _, called), row in found.items() if path.endswith(file) and called in functions
    )
    return float(sum(times))


def rates(out: Path, asked: Asked) -> Iterator[dict[str, Any]]:
    """Return what one corruption does, and one network with and without probes, in batches of 256."""
    del out
    where = torch.device(asked.device)
    data = padded(256)
    images, ids = data.images.to(where), data.ids.to(where)
    for cell in get_suite("c19").with_severities([3.0]).cells:
        work = partial(cell.apply, images, ids=ids, seed=0)
        yield {"corruption": cell.corruption, "images/s": len(images) / _fastest(work, where)}
    for checkpoint in networks():
        network = checkpoint.model.to(where)
        inputs = normalise(images, checkpoint.spec.mean, checkpoint.spec.std)
        labels = data.known_labels.to(where)
        versions = [Versions.of(inputs[None])]
        for probes in (False, True):
            passes = partial(measure, network, versions, labels, series=[[0]], batch_size=256, probes=probes)
            yield {
                "network": checkpoint.name,
                "probes": "all" if probes else "none",
                "images/s": len(images) / _fastest(passes, where),
            }


def _fastest(work: Callable[[], Any], device: torch.device) -> float:
    """Return the seconds of the fastest of five calls."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measured(arguments: list[str], out: Path) -> dict[str, Any]:
    """Run a part of this in a process of its own and return what it prints."""
    with tempfile.TemporaryDirectory(dir=out) as folder:
        command = [sys.executable, "-m", "tests.benchmarks.bench_grid", *arguments, "--out", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


PARTS: dict[str, Callable[[Path, Asked], Iterator[dict[str, Any]]]] = {
    "speed": speed,
    "memory": memory,
    "workers": workers,
    "overhead": overhead,
    "shares": shares,
    "rates": rates,
}


def main() -> None:
    """Print a table for each part asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--mnist", help="folder of the MNIST files, for 10,000 images")
    parser.add_argument("--device", default="cpu", help="for rates")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args(namespace=Asked())
    if chosen.one:
        kind, *values = chosen.one
        if kind == "memory":
            answer = one_memory(chosen.out, chosen.mnist or None, int(values[0]), int(values[1]))
        else:
            answer = one_workers(chosen.out, json.loads(values[0]))
        print(json.dumps(answer))
        return
    with tempfile.TemporaryDirectory(dir=chosen.out) as folder:
        for name in chosen.parts or PARTS:
            print(f"\n{name}", flush=True)
            for row in PARTS[name](Path(folder), chosen):
                print("  ".join(f"{key}: {_text(value)}" for key, value in row.items()), flush=True)


def _text(value: Any) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and value < 100
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


if __name__ == "__main__":
    main()
