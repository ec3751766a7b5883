"""A Ray cluster, or a local one: for grids that outgrow a machine. Needs the extra `ray`."""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar

import torch
from torch import nn

from robustbench_act.allocator import keep_freed_memory
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.errors import InputError, first_line
from robustbench_act.evaluation.executors.casualties import Casualties
from robustbench_act.evaluation.units import WorkUnit
from robustbench_act.evaluation.work import Chunk, Job, Result, Task
from robustbench_act.evaluation.worker import Worker

S = TypeVar("S")
T = TypeVar("T")

RETRIES = 3
"""How often a unit starts again after its worker died or the system failed it."""

_QUEUED = 2  # units given to Ray for each that can run: the next one is there when one ends
_ANSWERS = 10  # seconds within which a cluster must answer
_STORE = 2**29  # bytes of a local cluster's store, in addition to the weights

_workers: dict[str, Worker] = {}  # in Ray's processes: the current job's


class RayCrew:
    """Context manager of a Ray cluster: joined for the first thing to do, left when the block ends.

    Telemetry and dashboard are off. What was started here is shut down afterwards.

    Parameters
    ----------
    address
        Address of a cluster, "auto" for that of RAY_ADDRESS, else the one that this machine belongs to.
        Without an address a local cluster is started, whatever RAY_ADDRESS says.
    processes
        Most units at a time; by default as many as the cluster has room for.
    threads
        CPU cores for each unit, which also has a GPU on CUDA devices.
    """

    def __init__(self, address: str | None = None, processes: int | None = None, threads: int = 1) -> None:
        self.threads = threads
        self._address, self._processes = address, processes
        self._most: int | None = None  # units at a time, in a cluster that we have not started
        self._cluster = ExitStack()
        self._joined = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._cluster.close()
        self._joined = False

    def join(self, weights: int = 0) -> Any:
        """Return Ray, connected to the cluster; `weights` are the bytes for which a new one needs room.

        Raises InputError if Ray is not installed, or the cluster is missing.
        """
        ray = _import_ray()
        if not self._joined:
            ours = self._address is None and not ray.is_initialized()
            self._most = None if ours else self._processes
            cores = None if self._processes is None else self._processes * self.threads
            self._cluster.enter_context(_cluster(ray, self._address, weights, cores=cores))
            self._joined = True
        return ray

    def room(self, gpus: int, *, threads: int, each: int = 1) -> int:
        """Return how many tasks can be given to the cluster: `each` for every one that can run."""
        room = each * _room(self.join(), threads, gpus)
        return room if self._most is None else min(room, self._most)

    def map(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yield what the function makes of each item, in order, as `Crew.map` does; items travel by value."""
        ray = self.join()
        call = ray.remote(num_cpus=1, max_retries=RETRIES)(_call)
        placed = ray.put(function)
        waiting = deque[tuple[Any, Any]]()

        def first() -> T:
            item, answer = waiting.popleft()
            try:
                found: T = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except _deaths(ray):
                return function(ray.get(item))
            return found

        for reference in map(ray.put, items):
            waiting.append((reference, call.remote(placed, reference)))
            if len(waiting) >= self.room(0, threads=1):
                yield first()
        while waiting:
            yield first()


def run_on_ray(job: Job, tasks: Iterator[Task], crew: RayCrew) -> Iterator[Result]:
    """Yield the results as they come; units of dead workers are given to others.

    Weights and images are placed in Ray's store, once on each node that needs them. Raises InputError if the
    cluster has no room for a single unit, or a network cannot be sent to it; see also `RayCrew.join`.
    """
    ray = crew.join(sum(checkpoint.size for checkpoint in job.checkpoints))
    units = _Units(ray, job, crew)
    try:
        for task, chunk in _placed(ray, tasks):
            units.give(task, chunk)
            while units.is_full():
                yield from units.finished()
        while units.busy:
            yield from units.finished()
    finally:
        units.stop()


class _Units:
    """The units in Ray, each with the reference to its images."""

    def __init__(self, ray: Any, job: Job, crew: RayCrew) -> None:
        self._ray, self._crew = ray, crew
        self._gpus = 1 if job.device.type == "cuda" else 0
        options = {"num_cpus": crew.threads, "num_gpus": self._gpus, "max_calls": 0}  # 0: keep the process
        retries = {"max_retries": RETRIES, "retry_exceptions": [OSError, MemoryError]}
        self._work = ray.remote(**options, **retries)(_work)
        self._job = ray.put(_portable(ray, job))
        self._casualties = Casualties(job, 1, f"its worker died, {RETRIES + 1} times")  # Ray counts
        self.busy: dict[Any, tuple[Task, Any]] = {}

    def give(self, task: Task, chunk: Any) -> None:
        """Hand a unit to Ray."""
        reference = self._work.remote([self._job], task.key, task.unit, [chunk], self._crew.threads)
        self.busy[reference] = task, chunk

    def is_full(self) -> bool:
        """Tell whether Ray has enough units: one waits for each that runs."""
        return len(self.busy) >= self._crew.room(self._gpus, threads=self._crew.threads, each=_QUEUED)

    def finished(self) -> Iterator[Result]:
        """Wait for the next result and yield it."""
        (reference,), _ = self._ray.wait(list(self.busy), num_returns=1)
        task, chunk = self.busy.pop(reference)
        try:
            result = self._casualties.lived(self._ray.get(reference))
        except _deaths(self._ray):
            result = self._casualties.died(task)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        while self._casualties.again:
            self.give(self._casualties.again.pop(), chunk)
        if result is not None:
            yield result

    def stop(self) -> None:
        """Cancel the unfinished units."""
        for reference in self.busy:
            self._ray.cancel(reference, force=True)


def _placed(ray: Any, tasks: Iterator[Task]) -> Iterator[tuple[Task, Any]]:
    """Yield the tasks, each with its images in Ray's store; they go when no unit needs them."""
    chunk, reference = None, None
    for task in tasks:
        if task.chunk is not chunk:
            chunk, reference = task.chunk, ray.put(task.chunk)
        yield task, reference


def _portable(ray: Any, job: Job) -> Job:
    """Return the job with networks from Ray's store, for machines that lack their files."""
    checkpoints = tuple(one if one.problem is not None else _stored(ray, one) for one in job.checkpoints)
    return replace(job, checkpoints=checkpoints)


def _stored(ray: Any, checkpoint: Checkpoint) -> Checkpoint:
    try:
        network = checkpoint.model
    except Exception:  # the worker reports what is wrong
        return checkpoint
    try:
        return replace(checkpoint, load=partial(_fetched, [ray.put(network)]))
    except Exception as error:  # a user's object may raise anything
        raise InputError(f"{checkpoint.path}: cannot be sent to Ray ({first_line(error)}).") from error


def _fetched(reference: list[Any]) -> nn.Module:
    network: nn.Module = _import_ray().get(reference[0])
    return network


def _work(job: list[Any], key: str, unit: WorkUnit, chunk: list[Any], threads: int) -> Result:
    """Do a unit in one of Ray's processes; references come in lists, so that Ray does not follow them."""
    ray = _import_ray()
    name = job[0].hex()
    if name not in _workers:
        _workers.clear()
        keep_freed_memory()
        torch.set_num_threads(threads)
        _workers[name] = Worker(ray.get(job[0]))
    images: Chunk = ray.get(chunk[0])
    return _workers[name].run(Task(key, unit, images))


def _call(function: Callable[[S], T], item: S) -> T:
    return function(item)


def _deaths(ray: Any) -> tuple[type[Exception], ...]:
    """Return the errors of what took its worker with it, more often than Ray tries again."""
    errors = ray.exceptions
    return errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError


def _room(ray: Any, threads: int, gpus: int) -> int:
    """Return how many units can run at a time: nodes may come and go."""
    there = ray.cluster_resources()
    cores = int(there.get("CPU", 0))
    room = min(cores // threads, int(there.get("GPU", 0)) if gpus else cores)
    if room < 1:
        needed = f"{threads} CPU cores" + (" and a GPU" if gpus else "")
        found = f"{cores} CPU cores and {there.get('GPU', 0):g} GPUs"
        raise InputError(f"The Ray cluster has {found}; a unit needs {needed}.")
    return room


@contextmanager
def _cluster(ray: Any, address: str | None, weights: int, *, cores: int | None) -> Iterator[None]:
    """Connect to a cluster; an existing connection is left as it is."""
    if ray.is_initialized():
        yield
        return
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)  # as Ray does, but knocked at first
    options: dict[str, Any] = {"address": "local" if address is None else address}  # None: RAY_ADDRESS's
    if address is None:
        options |= {"num_cpus": cores, "object_store_memory": _STORE + 2 * weights}
        options |= {"include_dashboard": False}
        options |= {"_node_ip_address": "127.0.0.1"}  # not the interface's: nobody else is to find it
    try:
        _knock(address)
        ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:  # a ConnectionError is an OSError
        where = f"at {address}" if address else "on this machine"
        reason = first_line(error).partition(". ")[0]  # what follows names options of Ray's own
        raise InputError(f"No Ray cluster {where} ({reason}).") from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise an OSError if nobody answers at HOST:PORT: Ray itself would keep asking for many minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.rpartition("//")[2], int(port)), timeout=_ANSWERS).close()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns of its own coming default
    import ray  # noqa: PLC0415 - an extra, and a second to load

    return ray
