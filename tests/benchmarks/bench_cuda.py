"""All that only a GPU can tell, in eight minutes: one page, and one JSON file of the same.

    python -m tests.benchmarks.bench_cuda --out FOLDER [--minutes 8] [--steps NAME ...] [--rehearse]

machine   what copies, launches and matrix products take
pixels    the corruptions against the CPU's, by type of values
rates     images a second of each, beside the time of its passes over memory and of its launches
network   ResNet-50 at 224 pixels in each precision, with and without probes, and its memory
waits     lines of code that wait for the GPU
grid      `actrobust evaluate`: its tables against the CPU's
tests     the tests that need a GPU
study     an evaluation of ResNet-50 on the corruptions, end to end
together  two processes that share the GPU
compiled  rates, and pixels, of compiled kernels

Each step is a process of its own: one that fails or takes too long leaves the rows that it has, and the next
one starts. The files are there after every step. --rehearse does all of it on the CPU, on next to nothing.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.cuda_steps import STEPS, Row
from tests.benchmarks.cuda_timing import size_of


@dataclass(frozen=True)
class Outcome:
    """How a step ended ("" if well), the seconds that it took, and its rows."""

    step: str
    problem: str
    seconds: float
    rows: list[Row]

    @property
    def how(self) -> str:
        """The problem, or how many rows have one."""
        bad = sum("problem" in row for row in self.rows)
        return self.problem or (f"{bad} of {len(self.rows)} rows failed" if bad else "done")


def run_step(step: str, device: str, seconds: float) -> Outcome:
    """Do a step in a process of its own, for so many seconds at most."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.benchmarks.cuda_steps"])  # what all steps import, once
    with tempfile.TemporaryDirectory() as folder:
        rows, log = Path(folder) / "rows.jsonl", Path(folder) / "log.txt"
        rows.touch()
        child = context.Process(target=do_step, args=(step, device, rows, log))
        started = time.perf_counter()
        child.start()
        child.join(seconds)
        problem = ""
        if child.exitcode is None:
            problem = f"stopped after {seconds:.0f} seconds"
            _kill(child)
        elif child.exitcode:
            problem = f"failed ({child.exitcode}): {_last_line(log)}"
        lines = rows.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may be cut off
        return Outcome(step, problem, time.perf_counter() - started, found)


def _kill(child: BaseProcess) -> None:
    """End a step and all that it has started."""
    assert child.pid, "it was started"
    with suppress(ProcessLookupError):  # it has not come as far as its own group
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.join()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if line.strip()] if log.exists() else []
    return lines[-1].strip() if lines else "it said nothing"


def do_step(step: str, device: str, path: Path, log: Path) -> None:
    """Do a step here, in a process group of its own, and write each row as soon as it is there."""
    os.setsid()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function, _ = STEPS[step]
    with path.open("w") as file:
        for row in function(size_of(device)):
            file.write(json.dumps(row) + "\n")
            file.flush()


def page(outcomes: list[Outcome], device: str) -> str:
    """Return the Markdown page."""
    lines = [f"# On {device}", "", "| step | seconds | rows | |", "|---|---:|---:|---|"]
    lines += [
        f"| [{one.step}](#{one.step}) | {one.seconds:.0f} | {len(one.rows)} | {_cell(one.how)} |"
        for one in outcomes
    ]
    for one in outcomes:
        lines += ["", f"## {one.step}", ""]
        lines += [f"**{_cell(one.problem)}**", ""] if one.problem else []
        lines += _table(one.rows)
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*head, *("| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows)]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else str(value).replace("|", "\\|")


def main() -> int:
    """Do the steps; 1 unless all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), metavar="NAME")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, on next to nothing")
    options = parser.parse_args()
    device = "cpu" if options.rehearse else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that PyTorch can use: --rehearse does it on the CPU")
    options.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    outcomes: list[Outcome] = []
    for step in options.steps:
        _, most = STEPS[step]
        left = end - time.monotonic()
        late = Outcome(step, "not started: the time is up", 0.0, [])
        outcomes.append(run_step(step, device, min(most, left)) if left > 0 else late)
        sys.stderr.write(f"{step}: {outcomes[-1].how}, {outcomes[-1].seconds:.0f} s\n")
        (options.out / "cuda.md").write_text(page(outcomes, device))
        everything = [vars(one) for one in outcomes]
        (options.out / "cuda.json").write_text(json.dumps({"device": device, "steps": everything}, indent=1))
    return int(any(one.how != "done" for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
