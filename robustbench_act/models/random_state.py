"""Fixes the random numbers that a network draws."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of PyTorch (the CPU's and the device's), NumPy and Python; restore them afterwards.

    >>> cpu = torch.device("cpu")
    >>> with seeded(1, cpu):
    ...     first = torch.rand(3)
    >>> with seeded(1, cpu):
    ...     print(torch.equal(torch.rand(3), first))
    True
    """
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed tells every kind of device: slow
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)


def random_state(device: torch.device) -> list[bytes]:
    """Return the state of the generators that `seeded` seeds; drawing a number changes it."""
    states = [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    others = repr((kind, rest, random.getstate())).encode()
    return [*(bytes(state.numpy()) for state in states), np.asarray(keys).tobytes(), others]
