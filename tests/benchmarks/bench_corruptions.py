"""Throughput of the corruptions against the imagecorruptions package, on the same images in one run.

    python -m tests.benchmarks.bench_corruptions [--compile] [--threads 2] [--repeats 5]

Both sides use the constants of ImageNet-C. The runs of the two sides take turns and the fastest of each
counts, so that what else the machine does disturbs both alike.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

import corruptions
from corruptions.reference import corrupt_reference, list_reference_corruptions

SETTINGS = ((32, 256), (224, 32))
"""(side in pixels, images in the batch)"""

SEVERITY = 3


def images_of(side: int, batch: int) -> Tensor:
    """Return smooth random photographs' stand-ins, uint8 (batch, 3, side, side)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return (smooth * 255).to(torch.uint8)


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(name: str, images: Tensor, *, repeats: int) -> tuple[float, float]:
    """Return microseconds per image, ours and the package's."""

    def ours() -> Tensor:
        return corruptions.corrupt(images, name, severity=SEVERITY, table="imagecorruptions")

    def theirs() -> Tensor:
        return corrupt_reference(images, name, severity=SEVERITY)

    ours(), theirs()  # tables, compilation, lazy imports
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    own, other = (min(column) / len(images) * 1e6 for column in zip(*pairs, strict=True))
    return own, other


def main() -> int:
    """Print one line per corruption and size, and the geometric mean of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="compile the kernels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    corruptions.use_compile(options.compile)
    torch.set_num_threads(options.threads)
    names = sorted(set(corruptions.list_corruptions()) & set(list_reference_corruptions()))
    for side, batch in SETTINGS:
        images = images_of(side, batch)
        ratios = []
        for name in names:
            own, other = measure(name, images, repeats=options.repeats)
            ratios.append(other / own)
            sys.stdout.write(f"{side:4d} px {name:18s} {own:9.1f} us {other:9.1f} us {ratios[-1]:6.2f}x\n")
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        sys.stdout.write(f"{side:4d} px geometric mean {mean:.2f}x\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
