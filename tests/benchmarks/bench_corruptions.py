"""Throughput of the corruptions against the imagecorruptions package, on the same images in one run.

    python -m tests.benchmarks.bench_corruptions [--sides 32 64 224] [--batches 1 32 256] [--threads 1 2]
                                                 [--modes eager compiled] [--json FILE] [NAME ...]

Both sides use the constants of ImageNet-C at severity 3 (the table `imagecorruptions`). The two take turns,
each for at least a tenth of a second, and the fastest call of each counts, so that what else the machine does
disturbs both alike; the package works image by image, so it gets at most 32 images. A batch of one is what a
DataLoader's worker corrupts. The floor of a corruption
is a copy of the batch plus its own random numbers. Peak memory is what a call adds to the process at most,
input and output included in neither (Linux; 0 elsewhere).
"""

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

import corruptions
from corruptions.random import Stream
from corruptions.reference import corrupt_reference, list_reference_corruptions

SEVERITY = 3
TABLE = "imagecorruptions"
PEER_IMAGES = 32
TURN = 0.1


@dataclass(frozen=True)
class Result:
    """One corruption in one setting; times in microseconds per image, memory in MiB."""

    corruption: str
    side: int
    batch: int
    threads: int
    mode: str
    ours: float
    package: float
    ratio: float
    floor: float
    memory: float


def images_of(side: int, batch: int) -> Tensor:
    """Return smooth random photographs' stand-ins, uint8 (batch, 3, side, side)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return (smooth * 255).to(torch.uint8)


def seconds(function: Callable[[], object]) -> float:
    """Return how long the fastest call takes, of as many as fit in a tenth of a second."""
    times: list[float] = []
    while sum(times) < TURN:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_memory(function: Callable[[], object]) -> float:
    """Return by how many MiB a call raises the resident memory at most."""
    status, peaks = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not peaks.exists():
        return 0.0
    peaks.write_text("5")  # the peak becomes what is resident now
    before = _kibibytes(status, "VmRSS")
    function()
    return (_kibibytes(status, "VmHWM") - before) / 1024


def _kibibytes(status: Path, key: str) -> int:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])


def measure(name: str, images: Tensor, *, repeats: int) -> tuple[float, float, float, float]:
    """Return microseconds per image (ours, the package's, the floor) and the peak memory of a call."""
    kind = corruptions.get_corruption(name).at(SEVERITY, table=TABLE)
    few = images[:PEER_IMAGES]

    def ours() -> Tensor:
        return corruptions.corrupt(images, name, severity=SEVERITY, table=TABLE)

    def theirs() -> Tensor:
        return corrupt_reference(few, name, severity=SEVERITY)

    def floor() -> object:
        stream = Stream(torch.arange(len(images)), name=name, severity=SEVERITY, seed=0)
        return images.clone(), kind.draw(stream, images)

    ours(), theirs(), floor()  # tables, compilation, lazy imports
    memory = peak_memory(ours)
    rounds = [(seconds(ours), seconds(theirs), seconds(floor)) for _ in range(repeats)]
    own, other, least = (min(column) * 1e6 for column in zip(*rounds, strict=True))
    return own / len(images), other / len(few), least / len(images), memory


def run(options: argparse.Namespace, names: list[str]) -> Iterator[Result]:
    """Measure every setting."""
    settings = itertools.product(options.modes, options.threads, options.sides, options.batches)
    for mode, threads, side, batch in settings:
        corruptions.use_compile(mode == "compiled")
        torch.set_num_threads(threads)
        torch.compiler.reset()  # what was compiled for other settings counts towards torch's limit
        images = images_of(side, batch)
        for name in names:
            own, other, least, memory = measure(name, images, repeats=options.repeats)
            yield Result(name, side, batch, threads, mode, own, other, other / own, least, memory)


def table(results: list[Result]) -> str:
    """Return one line per result, and a geometric mean per setting."""
    lines = [
        "  px batch threads mode     corruption          ours us  package us  ratio  floor us  of floor   MiB"
    ]
    for setting, group in itertools.groupby(results, lambda r: (r.side, r.batch, r.threads, r.mode)):
        members = list(group)
        head = "{:4d} {:5d} {:7d} {:8s}".format(*setting)
        lines += [
            f"{head} {r.corruption:18s} {r.ours:8.1f} {r.package:11.1f} {r.ratio:6.2f} {r.floor:9.1f} "
            f"{r.ours / r.floor:9.1f} {r.memory:5.0f}"
            for r in members
        ]
        mean = math.exp(sum(math.log(r.ratio) for r in members) / len(members))
        lines.append(f"{head} {'geometric mean':38s} {mean:6.2f}")
    return "\n".join(lines)


def main() -> int:
    """Print the table, and write the JSON file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="corruptions; all by default")
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 224])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--modes", nargs="+", choices=["eager", "compiled"], default=["eager", "compiled"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    both = sorted(set(corruptions.list_corruptions()) & set(list_reference_corruptions()))
    results = []
    for result in run(options, options.names or both):
        results.append(result)
        sys.stderr.write(f"\r{len(results)} {result.corruption:20s}")
    sys.stderr.write("\r")
    sys.stdout.write(table(results) + "\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
