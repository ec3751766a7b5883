"""How to compute, as opposed to what."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from robustbench_act.devices import choose_device
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.evaluation.executors import EXECUTORS, run_here, run_in_processes, run_on_ray
from robustbench_act.evaluation.plan import Plan
from robustbench_act.evaluation.precision import check_precision
from robustbench_act.evaluation.worker import Job, Result, Task

_SMALL = 64  # pixels of a side, and
_MANY = 100_000  # images through networks, from which on several processes pay
_MOST = 8  # of them, where nobody says how many


@dataclass(frozen=True)
class Execution:
    """How to compute: device, precision and compilation may show in the last digits, the rest does not.

    Attributes
    ----------
    device
        Where corruptions and networks run.
    batch_size
        Images, clean and corrupted together, that go through a network at once.
    precision
        "fp32", "tf32" (CUDA alone), "bf16" or "fp16".
    compiled
        Whether networks are compiled; without probes alone, which look into every layer.
    executor
        "local" or "ray".
    processes
        How many share the work: on this machine, or at most of a Ray cluster. None leaves it to `for_plan`.
    threads
        CPU cores of a process; None leaves it to PyTorch in one, and is 1 in several.
    ray_address
        Of a Ray cluster; a local one is started where left out.
    on_images
        Called with the number of images that have gone through a network.
    on_note
        Called with what did not go as planned and changes no number; a warning in the log where left out.

    Raises
    ------
    InputError
        For a value that does not exist, or does not go with another.
    """

    device: torch.device
    batch_size: int = 128
    precision: str = "fp32"
    compiled: bool = False
    executor: str = "local"
    processes: int | None = 1
    threads: int | None = None
    ray_address: str | None = None
    on_images: Callable[[int], None] = lambda count: None
    on_note: Callable[[str], None] = logging.getLogger(__name__).warning

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"Expected a batch size of at least 1, got {self.batch_size}.")
        for name, value in (("processes", self.processes), ("threads", self.threads)):
            if value is not None and value < 1:
                raise InputError(f"Expected at least 1 of {name}, got {value}.")
        if self.executor not in EXECUTORS:
            raise unknown_name("executor", self.executor, EXECUTORS)
        if self.ray_address is not None and self.executor != "ray":
            raise InputError("An address of a Ray cluster goes with the executor ray.")
        check_precision(self.precision, self.device)

    @classmethod
    def of(cls, *, device: str, **others: Any) -> "Execution":
        """Return the execution on a device by its name; "auto" is CUDA where there is one.

        Tasks of Ray run on other machines: there "cuda" need not be here.
        """
        return cls(choose_device(device, elsewhere=others.get("executor") == "ray"), **others)

    def for_plan(self, plan: Plan) -> "Execution":
        """Return the same with a number of processes where none was said: several where it pays.

        On CPUs a pass of a small network is Python as much as kernels, and Python is one thread: a process
        a core does 1.4 times the images of one process with two threads. Starting them takes seconds.
        """
        if self.processes is not None:
            return self
        small = max(plan.dataset.shape) <= _SMALL and plan.passes >= _MANY
        pays = small and self.device.type == "cpu" and self.executor == "local" and self.threads is None
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return replace(self, processes=min(cores, _MOST, plan.unit_count) if pays else 1)

    def results(self, job: Job, tasks: Iterator[Task]) -> Iterator[Result]:
        """Yield what comes out of the tasks, in any order."""
        if self.executor == "local" and self.processes in (None, 1):
            threads = torch.get_num_threads()
            torch.set_num_threads(self.threads or threads)
            try:
                yield from run_here(job, tasks, on_images=self.on_images)
            finally:
                torch.set_num_threads(threads)
            return
        for result in self._elsewhere(job, tasks):
            self.on_images(result.images)
            yield result

    def _elsewhere(self, job: Job, tasks: Iterator[Task]) -> Iterator[Result]:
        threads = self.threads or 1
        if self.executor == "local":
            return run_in_processes(job, tasks, processes=self.processes or 1, threads=threads)
        return run_on_ray(job, tasks, address=self.ray_address, processes=self.processes, threads=threads)
