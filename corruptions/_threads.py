"""The threads that make the parts of one result together."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import torch

P = TypeVar("P")


def share(work: Callable[[P], None], parts: list[P]) -> None:
    """Call work(part) for all parts, in as many threads as torch uses, and raise what a call raises.

    NumPy, OpenCV and torch release the interpreter while they work. In each of these threads torch has one
    thread, and so has a call of `share`.
    """
    threads = min(torch.get_num_threads(), len(parts))
    left = iter(parts)
    if threads < 2:
        _do(work, left)
        return
    calls = [_pool(torch.get_num_threads()).submit(_do, work, left) for _ in range(threads)]
    wait(calls)  # nothing goes on behind an error
    for call in calls:
        call.result()


def _do(work: Callable[[P], None], left: Iterator[P]) -> None:
    for part in left:
        work(part)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the threads, which stay: to start them takes longer than to corrupt a few small images."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="corruptions", initializer=_settle)
    here, all_here = torch.get_num_threads(), Barrier(threads)
    for ready in [pool.submit(all_here.wait) for _ in range(threads)]:
        ready.result()
    torch.set_num_threads(here)  # a thread's number is also that of threads which start later
    return pool


def _settle() -> None:
    torch.get_num_threads()  # the first call in a thread makes the number that of the others
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork has no thread but its own
