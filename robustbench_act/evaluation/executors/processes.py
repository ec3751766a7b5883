"""Several processes on this machine: for small networks, whose time goes into Python and not into kernels."""

import multiprocessing
import os
import pickle
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from robustbench_act.errors import InputError, first_line
from robustbench_act.evaluation.worker import Job, Result, Task, Worker, failed_result

ATTEMPTS = 3
"""How often a unit is given to a process that dies of it before its cells are marked failed."""

_worker: Worker | None = None  # of this process, where it is one of the pool


def run_in_processes(
    job: Job,
    tasks: Iterator[Task],
    *,
    processes: int,
    threads: int = 1,
) -> Iterator[Result]:
    """Yield the results as they come; a unit whose process dies is given to a new one, ATTEMPTS times.

    Parameters
    ----------
    job, tasks
        See `executors`.
    processes
        How many.
    threads
        Of PyTorch, in each.

    Raises
    ------
    InputError
        Where a network cannot be sent to another process.
    """
    pool = _Pool(job, tasks, processes, threads)
    try:
        while pool.busy:
            yield from pool.finished()
    finally:
        pool.close()


class _Pool:
    """The processes, and what each is at."""

    def __init__(self, job: Job, tasks: Iterator[Task], processes: int, threads: int) -> None:
        self._job, self._tasks = job, tasks
        self._again: list[Task] = []
        self._died: Counter[str] = Counter()
        self.busy: dict[Future[Result], tuple[_Seat, Task]] = {}
        pickled = _pickled(job)
        self._seats = [_Seat(pickled, threads) for _ in range(processes)]
        for seat in self._seats:
            self._give(seat)

    def finished(self) -> Iterator[Result]:
        """Wait until something is finished, give out what comes next, and yield it."""
        done, _ = wait(self.busy, return_when=FIRST_COMPLETED)
        for future in done:
            seat, task = self.busy.pop(future)
            result = _result(future)
            if result is None:
                seat.renew()
                result = self._bury(task)
            self._give(seat)  # before the result is written: nobody waits for the disk
            if result is not None:
                yield result

    def close(self) -> None:
        """End the processes; what they are at is lost, and no matter."""
        for seat in self._seats:
            seat.close()

    def _give(self, seat: "_Seat") -> None:
        task = self._again.pop() if self._again else next(self._tasks, None)
        if task is not None:
            self.busy[seat.submit(task)] = seat, task

    def _bury(self, task: Task) -> Result | None:
        """Have a unit whose process died done again; mark it failed where that was the last time."""
        self._died[task.key] += 1
        if self._died[task.key] < ATTEMPTS:
            self._again.append(task)
            return None
        return failed_result(self._job, task, f"its process died, {ATTEMPTS} times")


def _result(future: "Future[Result]") -> Result | None:
    """Return what has come out of a unit, None where its process died."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


class _Seat:
    """A process that does one unit at a time: a pool of one, so that it is known what a process died of."""

    def __init__(self, job: bytes, threads: int) -> None:
        self._arguments = (job, threads)
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        return ProcessPoolExecutor(1, context, _start, self._arguments)

    def submit(self, task: Task) -> "Future[Result]":
        return self._pool.submit(_work, pickle.dumps(task))

    def renew(self) -> None:
        self._pool.shutdown(wait=True)
        self._pool = self._new()

    def close(self) -> None:
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _pickled(job: Job) -> bytes:
    try:
        return pickle.dumps(job)
    except Exception as error:  # whatever an object of the user's raises
        raise InputError(
            f"A network cannot be sent to another process ({first_line(error)}); give checkpoint files, or "
            "one process."
        ) from error


def _start(job: bytes, threads: int) -> None:
    """Make this process a worker: it leaves Ctrl-C to the process that started it, and ends with it."""
    global _worker  # noqa: PLW0603 - the pool has no other place for what a process keeps
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _worker = Worker(pickle.loads(job))  # noqa: S301 - from the process that started this one


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: bytes) -> Result:
    assert _worker is not None
    return _worker.run(pickle.loads(task))  # noqa: S301 - likewise
