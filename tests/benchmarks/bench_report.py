"""How long a report takes, and how large it is, as runs grow.

    python -m tests.benchmarks.bench_report

Runs are made up: 19 corruptions at 5 severities on 10,000 images, seven layers watched. Each line is measured
in a process of its own, the imports included. The budget (30 checkpoints, HTML): 15 seconds.
"""

import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

from corruptions import get_suite
from tests.build_run import Builder

IMAGES = 10_000
SEVERITIES = (1.0, 2.0, 3.0, 4.0, 5.0)
KNOWN = ("relu", "silu", "gelu", "mish", "elu", "prelu", "relu6", "la_silu", "la_hardsilu", "nrelu")


def make_run(folder: Path, activations: int, seeds: int) -> Path:
    """Write a run of so many checkpoints, right and wrong at random."""
    random = np.random.default_rng(3)
    names = [*KNOWN, *(f"mine_{place}" for place in range(activations))][:activations]
    cells = [(cell.corruption, cell.group) for cell in get_suite("c19").with_severities([1.0]).cells]
    grid = [0, *(severity for _ in cells for severity in SEVERITIES)]
    correct = {}
    for name, seed in product(names, range(seeds)):
        shares = 0.97 - 0.14 * np.array(grid) * random.uniform(0.6, 1.2, len(grid))
        correct[name, seed] = random.random((len(grid), IMAGES)) < shares[:, None]
    layers = tuple((f"block{place}.act", 1000) for place in range(7))
    return Builder(correct, corruptions=cells, layer_names=layers, severities=SEVERITIES).write(folder)


def main() -> None:
    """Print a line for each size and format."""
    for activations, seeds in ((10, 3), (30, 1), (13, 23), (100, 3)):
        with tempfile.TemporaryDirectory() as folder:
            run = make_run(Path(folder), activations, seeds)
            for kind in ("html", "pdf"):
                started = time.perf_counter()
                command = [sys.executable, "-m", "robustbench_act.cli", "report", str(run), "--format", kind]
                subprocess.run(command, check=True, capture_output=True)
                seconds = time.perf_counter() - started
                size = (run / f"report.{kind}").stat().st_size / 1e6
                print(
                    f"{activations * seeds:>4} checkpoints, {activations:>3} activations, {kind:<4}: "
                    f"{seconds:5.1f} s, {size:.1f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
