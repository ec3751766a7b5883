"""How to compute, as opposed to what."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from typing import Any, Literal

import torch

from robustbench_act.devices import choose_device, cores
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.evaluation.executors import (
    EXECUTORS,
    Crew,
    RayCrew,
    run_here,
    run_in_processes,
    run_on_ray,
)
from robustbench_act.evaluation.plan import Plan
from robustbench_act.evaluation.precision import check_precision
from robustbench_act.evaluation.work import Job, Result, Task
from robustbench_act.option_kinds import use_plain_numbers
from robustbench_act.options import BATCH_SIZE

SMALL = 64
"""Pixels of a side: passes over images up to this size are too little work for several threads."""

_MANY = 100_000  # images through networks at least, for several processes to pay on small images;
_MOST = 8  # of them at most, if their number is left open


@dataclass(frozen=True)
class Execution:
    """How to compute: device, precision and compilation may show in the last digits, the rest does not.

    Raises InputError if a value is unknown, or two values exclude each other.

    Attributes
    ----------
    device
        Where corruptions and networks run.
    batch_size
        Images, clean and corrupted together, that go through a network at once.
    precision
        "fp32", "tf32" (CUDA alone), "bf16" or "fp16".
    compiled
        Whether networks are compiled; not together with probes, which look into every layer.
    executor
        "local" or "ray".
    processes
        How many share the work. None: one on this machine, all that a Ray cluster has room for. "auto":
        several on this machine if it pays, see `for_plan`.
    threads
        CPU cores of a process; None leaves it to PyTorch in one, and is 1 in several.
    ray_address
        Address of a Ray cluster; without one a local cluster is started.
    crew
        Who shares the work, if they are there already: see `new_crew`.
    on_images
        Called with the number of images that have gone through a network.
    on_result
        Called with the result of each unit, once it is stored.
    on_note
        Called with surprises that change no number; a warning in the log by default.
    """

    device: torch.device
    batch_size: int = BATCH_SIZE
    precision: str = "fp32"
    compiled: bool = False
    executor: str = "local"
    processes: int | Literal["auto"] | None = None
    threads: int | None = None
    ray_address: str | None = None
    crew: Crew | RayCrew | None = None
    on_images: Callable[[int], None] = lambda count: None
    on_result: Callable[[Result], None] = lambda result: None
    on_note: Callable[[str], None] = logging.getLogger(__name__).warning

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        if self.batch_size < 1:
            raise InputError(f"Expected a batch size of at least 1, got {self.batch_size}.")
        for name, value in (("processes", self.processes), ("threads", self.threads)):
            if isinstance(value, int) and value < 1:
                raise InputError(f"Expected {name} of at least 1, got {value}.")
        if self.executor not in EXECUTORS:
            raise unknown_name("executor", self.executor, EXECUTORS)
        if self.executor == "ray" and find_spec("ray") is None:
            raise InputError("--executor ray needs Ray: pip install 'actrobust[ray]'.")
        if self.ray_address is not None and self.executor != "ray":
            raise InputError("--ray-address goes with --executor ray.")
        check_precision(self.precision, self.device)

    @classmethod
    def of(cls, *, device: str, **others: Any) -> "Execution":
        """Return the execution on a device by its name; "auto" is CUDA if there is a device.

        Ray tasks run on other machines, so this one need not have "cuda".
        """
        return cls(choose_device(device, elsewhere=others.get("executor") == "ray"), **others)

    @property
    def in_processes(self) -> bool:
        """Whether processes on this machine do the work, and not this one."""
        return self.executor == "local" and self.processes not in (None, 1, "auto")

    def for_plan(self, plan: Plan) -> "Execution":
        """Return the execution for a plan: with a number of processes, if it was left open.

        On CPUs a pass of a small network is Python as much as kernels, and Python is one thread: a process a
        core does 1.4 times the images of one process with two threads. Starting them takes seconds. Raises
        InputError if networks are to be both compiled and probed, or one cannot be computed in this way.
        """
        graph = next((one for one in plan.checkpoints if one.is_onnx), None)
        if graph is not None and (self.compiled or self.precision != "fp32"):
            raise InputError(
                f"{graph.path}: onnxruntime computes as the file says; leave out --compile and --precision."
            )
        if self.compiled and plan.probes:
            raise InputError("--compile cannot be combined with probes; add --no-probes.")
        if self.processes != "auto":
            return self
        small = max(plan.largest_input) <= SMALL and plan.passes >= _MANY
        pays = small and self.device.type == "cpu" and self.executor == "local" and self.threads is None
        return replace(self, processes=min(cores(), _MOST, plan.unit_count) if pays else None)

    def results(self, job: Job, tasks: Iterator[Task]) -> Iterator[Result]:
        """Yield the results of the tasks, in any order; without tasks nothing is started."""
        first = next(tasks, None)
        if first is None:
            return
        tasks = chain([first], tasks)
        if self.executor == "local" and not self.in_processes:
            threads = torch.get_num_threads()
            torch.set_num_threads(self.threads or threads)
            try:
                yield from run_here(job, tasks, on_images=self.on_images)
            finally:
                torch.set_num_threads(threads)
            return
        with nullcontext(self.crew) if self.crew else self.new_crew() as crew:
            assert crew is not None
            work = (
                run_in_processes(job, tasks, crew) if isinstance(crew, Crew) else run_on_ray(job, tasks, crew)
            )
            for result in work:
                self.on_images(result.images)
                yield result

    def new_crew(self) -> AbstractContextManager[Crew | RayCrew | None]:
        """Return the processes or the cluster that share the work; None if this process does it alone.

        Processes start when the context is entered, a cluster is joined when it is needed.
        """
        processes, threads = None if self.processes == "auto" else self.processes, self.threads or 1
        if self.executor == "ray":
            return RayCrew(self.ray_address, processes, threads)
        return Crew(processes, threads) if self.in_processes and processes else nullcontext()
