"""Several processes on this machine: for small networks, whose time goes into Python and not into kernels."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import torch

from robustbench_act.allocator import keep_freed_memory
from robustbench_act.errors import InputError, first_line
from robustbench_act.evaluation.executors.casualties import Casualties
from robustbench_act.evaluation.work import Job, Result, Task
from robustbench_act.evaluation.worker import Worker

S = TypeVar("S")
T = TypeVar("T")

ATTEMPTS = 3
"""How often a unit is given to a process that dies of it before it is given up."""

_worker: Worker | str | None = None  # of this process, if it belongs to the pool; or why it has none


def run_in_processes(
    job: Job,
    tasks: Iterator[Task],
    crew: "Crew",
) -> Iterator[Result]:
    """Yield the results as they come; a unit whose process dies is given to a new one, ATTEMPTS times.

    An InputError if a network cannot be sent to a worker process, or processes cannot be started.
    """
    pool = _Pool(job, tasks, crew)
    pool.open()
    while pool.busy:
        yield from pool.finished()


class Crew:
    """Context manager of processes that start, and load what they need, while their job is being prepared.

    Each has `threads` threads of PyTorch. When the block ends, they end; their current units are lost, which
    does not matter.
    """

    def __init__(self, processes: int, threads: int = 1) -> None:
        self._threads = threads
        self.seats = [Seat(_settle_in, threads) for _ in range(processes)]

    def __enter__(self) -> Self:
        for seat in self.seats:
            seat.submit(_problem)
        return self

    def __exit__(self, *error: object) -> None:
        for seat in self.seats:
            seat.close()

    def take(self, job: Job) -> list["Future[str | None]"]:
        """Give all processes a job, and those that follow them if they die; each answers why it cannot."""
        pickled = _pickled(job)
        for seat in self.seats:
            seat.starts_with(_start, pickled, self._threads)
        return [seat.submit(_take, pickled) for seat in self.seats]

    def map(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yield what the function makes of each item, in order; as many are at work as there are processes.

        What a process dies of is done here.
        """
        items = iter(items)
        while some := list(islice(items, len(self.seats))):
            answers = [seat.submit(function, item) for seat, item in zip(self.seats, some, strict=False)]
            for item, answer in zip(some, answers, strict=True):
                try:
                    yield answer.result()
                except BrokenProcessPool:
                    yield function(item)


class _Pool:
    """The processes and their current units."""

    def __init__(self, job: Job, tasks: Iterator[Task], crew: Crew) -> None:
        self._tasks, self._job, self._crew = tasks, job, crew
        self._casualties = Casualties(job, ATTEMPTS, f"its process died, {ATTEMPTS} times")
        self.busy: dict[Future[Result], tuple[Seat, Task]] = {}

    def open(self) -> None:
        """Wait until all processes are ready, and give each a unit."""
        for answer in self._crew.take(self._job):
            try:
                problem = answer.result()
            except BrokenProcessPool:
                problem = "it ended at once; a script must keep its code under if __name__ == '__main__'"
            if problem is not None:
                raise InputError(f"A process cannot be started ({problem}).")
        for seat in self._crew.seats:
            self._give(seat)

    def finished(self) -> Iterator[Result]:
        """Wait until something is finished, give out what comes next, and yield it."""
        done, _ = wait(self.busy, return_when=FIRST_COMPLETED)
        failure: Exception | None = None
        for future in done:
            seat, task = self.busy.pop(future)
            try:
                result = self._casualties.lived(future.result())
            except BrokenProcessPool:
                result = self._casualties.died(task)
            try:
                self._give(seat)  # before the result is written: nobody waits for the disk
            except Exception as error:  # the next unit's: this one is done
                failure = error
            if result is not None:
                yield result
        if failure is not None:
            raise failure

    def _give(self, seat: "Seat") -> None:
        task = self._casualties.again.pop() if self._casualties.again else next(self._tasks, None)
        if task is not None:
            self.busy[seat.submit(_work, pickle.dumps(task))] = seat, task


class Seat:
    """A process that does one thing at a time: a pool of one, so that it is known what a process died of.

    It starts, by calling `start`, with the first thing to do.
    """

    def __init__(self, start: Callable[..., None], *arguments: Any) -> None:
        self._start = start, arguments
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        return ProcessPoolExecutor(1, context, *self._start)

    def starts_with(self, start: Callable[..., None], *arguments: Any) -> None:
        """Have the next process begin with something else."""
        self._start = start, arguments

    def submit(self, function: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Have a function called; BrokenProcessPool is raised by the result if the process dies of it."""
        with _deaf(), _importable_main():
            try:
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:  # it died in the last call, or between calls
                self._pool.shutdown(wait=True)
                self._pool = self._new()
                return self._pool.submit(function, *arguments)

    def close(self) -> None:
        """End the process."""
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C until they have learnt to leave it to this one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _importable_main() -> Iterator[None]:
    """Start processes without the main module if it is no file that they can import, such as standard input.

    A network whose class is in such a script is then refused, like one from an interactive session.
    """
    main = vars(sys.modules["__main__"])
    path = main.get("__file__")
    if path is None or Path(path).is_file():
        yield
        return
    del main["__file__"]
    try:
        yield
    finally:
        main["__file__"] = path


def _pickled(job: Job) -> bytes:
    try:
        return pickle.dumps(job)
    except Exception as error:  # a user's object may raise anything
        whose = next((one.path for one in job.checkpoints if not _can_be_sent(one)), "A network")
        raise InputError(
            f"{whose}: cannot be sent to a worker process ({first_line(error)}); define its parts at the top "
            "of a module, give a file of its weights, or use one process."
        ) from error


def _can_be_sent(thing: object) -> bool:
    try:
        pickle.dumps(thing)
    except Exception:  # as above
        return False
    return True


def settle() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _settle_in(threads: int) -> None:
    """Make this process one that waits for a job."""
    settle()
    keep_freed_memory()
    torch.set_num_threads(threads)


def _start(job: bytes, threads: int) -> None:
    """Make this process a worker at once: it takes the place of one that died."""
    _settle_in(threads)
    _take(job)


def _take(job: bytes) -> str | None:
    """Make this process the worker of a job; return why it cannot be."""
    global _worker  # noqa: PLW0603 - the pool has no other place for what a process keeps
    try:
        _worker = Worker(pickle.loads(job))  # noqa: S301 - from the process that started this one
    except Exception as error:  # a user's object may raise anything
        _worker = f"{type(error).__name__}: {first_line(error)}"
    return _problem()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _problem() -> str | None:
    return _worker if isinstance(_worker, str) else None


def _work(task: bytes) -> Result:
    assert isinstance(_worker, Worker)
    return _worker.run(pickle.loads(task))  # noqa: S301 - from the process that started this one
