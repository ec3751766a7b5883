"""A small grid, run in a process of its own that can be killed, starved of memory or given a bad disk."""

import ctypes
import multiprocessing
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.evaluation import evaluate
from robustbench_act.run import load_run

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # of malloc.h
TABLES = (
    *(f"{kind}/part-000{block}.parquet" for kind in ("cells", "layers") for block in range(4)),
    "images.parquet",
)
UNITS = 8
PRELOADED = ["robustbench_act.evaluation", "tests.references.grid"]


def many_images(count: int, side: int = 8) -> Dataset:
    """Return digits, repeated under new ids; enlarged where `side` says so."""
    base = load_dataset("digits", train=True)
    rows = torch.arange(count) % len(base)
    images = base.images[rows].repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)
    return Dataset(
        "many",
        images,
        base.known_labels[rows],
        torch.arange(count),
        base.classes,
        base.mean,
        base.std,
        total=count,
    )


def run_grid(checkpoints: Path, out: Path, images: int = 300, **options: Any) -> None:
    """Evaluate on two chunks: eight units, each of one network."""
    torch.set_num_threads(1)
    chosen: dict[str, Any] = {"suites": ["noise"], "severities": [1, 4], "probe_images": 256, **options}
    chosen["device"] = "cpu"
    evaluate([checkpoints], dataset=many_images(images), out=out, **chosen)


def assert_alike(found: Path, expected: Path) -> None:
    """Both runs have the same tables to the byte; nothing half-written is left."""
    tables = [*expected.glob("cells/*"), *expected.glob("layers/*"), expected / "images.parquet"]
    for table in tables:
        name = table.relative_to(expected)
        assert (found / name).read_bytes() == table.read_bytes(), name
    assert len(tables) == 1 + len([*found.glob("cells/*.parquet"), *found.glob("layers/*.parquet")])
    assert load_run(found).info.status == "complete"
    assert not [path for path in found.rglob(".*") if path.name != ".lock"]


def started(work: Callable[..., None], *arguments: Any, **options: Any) -> BaseProcess:
    """Start a process that has the libraries loaded already, and whose standard error says nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=work, args=arguments, kwargs=options)
    process.start()
    return process


def finished(work: Callable[..., None], *arguments: Any, **options: Any) -> int:
    """Run in such a process and return its exit code: minus the signal that killed it."""
    process = started(work, *arguments, **options)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


class _Half:
    """A file of which the first half is written before `act` is called and the rest may be."""

    def __init__(self, file: Any, act: Callable[[], None]) -> None:
        self._file, self._act = file, act
        self.flush, self.fileno = file.flush, file.fileno

    def __enter__(self) -> "_Half":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        self._act()
        self._file.write(data[len(data) // 2 :])


def with_bad_disk(event: int, act: Callable[[], None], checkpoints: Path, out: Path) -> None:
    """Run the grid and call `act` before one of all things done with files, or half-way in a write."""
    left = [event]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            act()

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            count()
            return work(*arguments, **options)

        return instead

    opened = os.fdopen
    for module, name in ((os, "fsync"), (os, "replace"), (tempfile, "mkstemp")):
        setattr(module, name, counted(getattr(module, name)))
    setattr(os, "fdopen", lambda *arguments: _Half(opened(*arguments), count))  # noqa: B010 - overloaded
    run_grid(checkpoints, out)


def die() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def with_little_memory(more: int, checkpoint: Path, out: Path, images: int) -> None:
    """Run on large images with so many bytes of address space more than a small run has needed.

    What was told of progress is what went through the network, once. Memory is asked of the system and
    given back block by block: what a small run leaves, and what threads reserve for themselves, would
    differ from time to time.
    """
    allocator = ctypes.CDLL(None)  # glibc's
    allocator.mallopt(_ARENA_MAX, 1)
    allocator.mallopt(_MMAP_THRESHOLD, 2**18)
    torch.set_num_threads(1)
    loaded = load_checkpoint(checkpoint, input_size=(1, 160, 160))
    chosen: dict[str, Any] = {"suites": ["light"], "device": "cpu", "batch_size": 12, "probes": False}
    evaluate([loaded], dataset=many_images(2, side=160), out=out.with_name(f"{out.name}-small"), **chosen)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    if more:
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    told: list[int] = []
    evaluate(
        [loaded],
        dataset=many_images(images, side=160),
        out=out,
        on_start=lambda *_: told.append,
        **chosen,
    )
    units = load_run(out).cells.groupby("corruption", sort=False)["severity"].nunique()
    assert sum(told) == images * units.sum()
