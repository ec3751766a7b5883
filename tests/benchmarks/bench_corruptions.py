"""Throughput of the corruptions against the imagecorruptions package, on the same images in one run.

    python -m tests.benchmarks.bench_corruptions [--sides 32 64 224] [--batches 1 32 256] [--threads 1 2]
                                                 [--modes eager compiled] [--json FILE] [NAME ...]
    python -m tests.benchmarks.bench_corruptions --docs

Both sides use the constants of ImageNet-C at severity 3 (the table `imagecorruptions`). The two take turns,
each for at least a tenth of a second, and the fastest call of each counts, so that what else the machine does
disturbs both alike; the package works image by image, so it gets at most 32 images. A batch of one is what a
DataLoader's worker corrupts. The floor of a corruption
is a copy of the batch plus its own random numbers. Peak memory is what a call adds to the process at most,
input and output included in neither (Linux; 0 elsewhere).

`--docs` prints the tables of docs/corruptions.md: one image (one thread) and batches (two) against the
package; batches of 32 images of 224 pixels against other libraries (`corruption_peers`), those that are
installed, with the constants of ImageNet-C on both sides.
"""

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

import corruptions
from corruptions.random import Stream
from corruptions.reference import corrupt_reference, list_reference_corruptions
from tests.benchmarks.corruption_peers import installed_peers

SEVERITY = 3
TABLE = "imagecorruptions"
PEER_IMAGES = 32
TURN = 0.1

COLUMNS = {
    "1 at 32": ("eager", 1, 32, 1),
    "256 at 32": ("eager", 2, 32, 256),
    "256 at 32, compiled": ("compiled", 2, 32, 256),
    "1 at 224": ("eager", 1, 224, 1),
    "32 at 224": ("eager", 2, 224, 32),
    "32 at 224, compiled": ("compiled", 2, 224, 32),
}
"""The settings of the documentation: mode, threads, side, batch."""


Setting: TypeAlias = tuple[str, int, int, int]


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
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # it calls no torch, but a team of threads would wait to copy its images
        corrupted = corrupt_reference(few, name, severity=SEVERITY)
        torch.set_num_threads(threads)
        return corrupted

    def floor() -> object:
        stream = Stream(torch.arange(len(images)), name=name, severity=SEVERITY, seed=0)
        return images.clone(), kind.draw(stream, images)

    ours(), theirs(), floor()  # tables, compilation, lazy imports
    memory = peak_memory(ours)
    rounds = [(seconds(ours), seconds(theirs), seconds(floor)) for _ in range(repeats)]
    own, other, least = (min(column) * 1e6 for column in zip(*rounds, strict=True))
    return own / len(images), other / len(few), least / len(images), memory


def run(settings: Iterable[Setting], names: list[str], *, repeats: int) -> Iterator[Result]:
    """Measure every setting: mode, threads, side, batch."""
    for mode, threads, side, batch in settings:
        corruptions.use_compile(mode == "compiled")
        torch.set_num_threads(threads)
        torch.compiler.reset()  # what was compiled for other settings counts towards torch's limit
        images = images_of(side, batch)
        for name in names:
            own, other, least, memory = measure(name, images, repeats=repeats)
            sys.stderr.write(f"\r{mode} {threads} {side} {batch} {name:20s}")
            yield Result(name, side, batch, threads, mode, own, other, other / own, least, memory)
    sys.stderr.write("\r" + 60 * " " + "\r")
    corruptions.use_compile(False)


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
        lines.append(f"{head} {'geometric mean':38s} {geometric_mean([r.ratio for r in members]):6.2f}")
    return "\n".join(lines)


def geometric_mean(ratios: list[float]) -> float:
    """Return the geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def package_table(names: list[str], *, repeats: int) -> str:
    """Measure the columns of the documentation, and return them: microseconds, and times the package."""
    results = list(run(COLUMNS.values(), names, repeats=repeats))
    columns = [results[start : start + len(names)] for start in range(0, len(results), len(names))]
    rows = zip(names, zip(*columns, strict=True), strict=True)
    lines = [[name, *(f"{number(r.ours)} | {number(r.ratio)}" for r in row)] for name, row in rows]
    means = [f" | **{number(geometric_mean([r.ratio for r in column]))}**" for column in columns]
    head = ["corruption", *(f"{title}: µs | ×" for title in COLUMNS)]
    rule = "|---|" + 2 * len(COLUMNS) * "---:|"
    return "\n".join([_row(head), rule, *map(_row, lines), _row(["**geometric mean**", *means])])


def peer_table(names: list[str], *, repeats: int) -> str:
    """Measure batches of 32 images of 224 pixels in two threads against the peers, and return the table."""
    torch.set_num_threads(2)
    images = images_of(224, 32)
    peers, missing = installed_peers(images)
    lines = []
    for name in names:
        theirs = [calls.get(name) for calls in peers.values()]
        if not any(theirs):
            continue
        calls = [partial(corruptions.corrupt, images, name, severity=SEVERITY, table="224"), *theirs]
        for call in filter(None, calls):
            call()
        rounds = [[seconds(call) if call else math.nan for call in calls] for _ in range(repeats)]
        own, *others = (min(column) * 1e6 / len(images) for column in zip(*rounds, strict=True))
        lines.append(
            [name, number(own), *("" if math.isnan(other) else number(other / own) for other in others)]
        )
    head = ["corruption", "µs", *(f"{library}: ×" for library in peers)]
    rule = "|---|" + (len(head) - 1) * "---:|"
    return "\n".join([_row(head), rule, *map(_row, lines), *missing])


def number(value: float) -> str:
    """Return a number with two or three digits."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


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
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    names = options.names or sorted(set(corruptions.list_corruptions()) & set(list_reference_corruptions()))
    if options.docs:
        sys.stdout.write(package_table(names, repeats=options.repeats) + "\n\n")
        sys.stdout.write(peer_table(names, repeats=options.repeats) + "\n")
        return 0
    settings = itertools.product(options.modes, options.threads, options.sides, options.batches)
    results = list(run(settings, names, repeats=options.repeats))
    sys.stdout.write(table(results) + "\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
