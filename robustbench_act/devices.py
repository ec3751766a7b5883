"""The machine: its devices, CPU cores and disks."""

import os
import shutil
from pathlib import Path

import torch

from robustbench_act.errors import InputError


def choose_device(name: str, *, elsewhere: bool = False) -> torch.device:
    """Return the device for "auto" (CUDA if available, else the CPU), "cpu", "cuda" or "cuda:i".

    A requested device that is missing is an InputError, never a silent fallback; if the work is done
    `elsewhere`, this machine need not have it.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise InputError(f"Unknown device {name!r}: expected auto, cpu, cuda or cuda:i.")
    count = torch.cuda.device_count() if kind == "cuda" else 0
    if kind == "cuda" and not elsewhere and int(index or 0) >= count:
        raise InputError(f"Device {name!r}: this machine has {count} CUDA device(s) that PyTorch can use.")
    return torch.device(name)


def at_hand(device: torch.device) -> torch.device:
    """Return the device if this machine has it, else the CPU: the work may be done elsewhere.

    >>> at_hand(torch.device("cpu"))
    device(type='cpu')
    """
    there = device.type != "cuda" or torch.cuda.is_available()
    return device if there else torch.device("cpu")


_NO_MEMORY = ("can't allocate memory", "could not create a primitive")  # PyTorch's on CPUs, and oneDNN's

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
"""By their names in run.json."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux states how many microseconds of each period a container may keep cores busy."""


def cores() -> int:
    """Return how many CPU cores this process may use: those it is bound to, but no more than its quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = QUOTA.read_text().split()
        return max(1, min(bound, -(-int(allowed) // int(period))))
    except (OSError, ValueError):  # no such file, or no limit ("max")
        return bound


def free_bytes(path: Path) -> int:
    """Return the room on the disk that holds the path, or will once it exists."""
    path = path.absolute()
    return shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error is one of memory, whichever library raised it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)
