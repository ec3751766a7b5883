"""What a device takes: seconds a call, memory, kernels, waits; and how much a step of `bench_cuda` does."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

import corruptions


@dataclass(frozen=True)
class Size:
    """How much a step does, and where.

    Attributes
    ----------
    device
        The device that is measured; the CPU in a rehearsal.
    batches
        Images in a batch, by their side.
    names
        The corruptions.
    least_seconds
        That calls are repeated for.
    copied, product
        Bytes of a copy, rows of matrices.
    compared
        Channels, heights and widths of images on both devices.
    network_batch, network_side
        Images in all versions that go through a network at once, and their side.
    checkpoints, options
        Of `actrobust evaluate`. Without any, it evaluates the embedded networks on images that it chooses.
    limit
        Images of other evaluations.
    """

    device: torch.device
    batches: dict[int, int]
    names: tuple[str, ...]
    least_seconds: float
    copied: int
    product: int
    compared: tuple[tuple[int, int, int], ...]
    network_batch: int
    network_side: int
    checkpoints: tuple[str, ...]
    options: tuple[str, ...]
    limit: int | None

    @property
    def rehearsed(self) -> bool:
        """Whether this is no GPU."""
        return self.device.type != "cuda"


def size_of(device: str) -> Size:
    """Return the size for a GPU, or that of a rehearsal on the CPU."""
    where = torch.device(device)
    if where.type == "cuda":
        names = tuple(corruptions.list_corruptions())
        sides = ((3, 17, 11), (1, 28, 28), (3, 32, 32), (3, 224, 224))
        return Size(where, {32: 1024, 224: 64}, names, 0.1, 2**30, 8192, sides, 192, 224, (), (), None)
    embedded = resources.files("robustbench_act") / "assets" / "checkpoints" / "relu_1.safetensors"
    options = ("--suite", "light", "--severity", "3", "--limit", "8")
    names = ("contrast", "shift_up")
    return Size(
        where, {16: 4}, names, 0.0, 2**20, 64, ((3, 17, 11), (1, 28, 28)), 6, 32, (str(embedded),), options, 8
    )


def wait(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_per_call(work: Callable[[], object], size: Size) -> float:
    """Return the seconds of a call among many that do not wait for each other; the first is not counted."""
    work()
    calls, elapsed = 1, -1.0
    while elapsed < size.least_seconds:
        calls *= 2
        wait(size.device)
        started = time.perf_counter()
        for _ in range(calls):
            work()
        wait(size.device)
        elapsed = time.perf_counter() - started
    return elapsed / calls


def bandwidth(size: Size) -> float:
    """Return bytes a second that a copy on the device reads and writes."""
    source = torch.zeros(size.copied, dtype=torch.uint8, device=size.device)
    target = torch.empty_like(source)
    return 2 * size.copied / seconds_per_call(lambda: target.copy_(source), size)


def launch_seconds(size: Size) -> float:
    """Return what starting an operation takes, one after the other."""
    one = torch.zeros(1, device=size.device)

    def many() -> None:
        for _ in range(100):
            one.add_(1)

    return seconds_per_call(many, size) / 100


def peak(work: Callable[[], object], size: Size) -> float | None:
    """Return the MiB that a call adds to what the GPU holds, at most."""
    if size.rehearsed:
        return None
    wait(size.device)
    torch.cuda.reset_peak_memory_stats(size.device)
    before = torch.cuda.memory_allocated(size.device)
    work()
    wait(size.device)
    return (torch.cuda.max_memory_allocated(size.device) - before) / 2**20


def kernels(work: Callable[[], object], size: Size) -> tuple[int | None, float | None]:
    """Return how many kernels and copies a call runs on a GPU, and the seconds that they take."""
    if size.rehearsed:
        return None, None
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        work()
        wait(size.device)
    events: Any = found.events()
    there = [one for one in events if str(one.device_type).endswith("CUDA")]
    return len(there), sum(one.time_range.elapsed_us() for one in there) * 1e-6


@contextmanager
def told_of_waits(size: Size) -> Iterator[Counter[str]]:
    """Fill a counter with the lines of code that wait for the GPU."""
    places: Counter[str] = Counter()
    if size.rehearsed:
        yield places
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found = [one for one in caught if "synchroniz" in str(one.message)]
    places.update(f"{Path(one.filename).name}:{one.lineno}" for one in found)
