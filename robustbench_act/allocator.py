"""Have the C library keep freed memory for what comes next."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory in this process, from now on; return False where there is no glibc.

    glibc returns a freed block of more than 32 MiB to the system and has the next one mapped again, page by
    page. For large activations these page faults can take longer than the arithmetic. Commands and their
    worker processes call this when they start. A library leaves its host's allocator alone: in Python, call
    it yourself before the first evaluation. The process then holds on to its peak memory.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "gnu_get_libc_version"):
        return False
    return bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, _LARGEST))
