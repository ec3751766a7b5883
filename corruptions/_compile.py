"""Optional torch.compile for the kernels, and constants that live on a device."""

import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache, wraps
from types import FunctionType
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")
Args = TypeVarTuple("Args")

_state = {"enabled": os.environ.get("ACTROBUST_COMPILE") == "1"}
_eager = ContextVar("eager", default=False)


def use_compile(enabled: bool = True) -> None:
    """Turn compilation of the kernels on or off (off by default; ACTROBUST_COMPILE=1 turns it on).

    Kernels are the functions decorated with `kernel`. Those of uint8 images in host memory are compiled for
    corruptions that are `fused` only. The first call of each takes seconds and needs a C++ compiler. Random
    integers do not change; pixels may differ by one grey level on very few values.

    >>> use_compile(False)
    """
    _state["enabled"] = enabled


def compiles_kernels() -> bool:
    """Tell whether `use_compile` is on, and not `eager`."""
    return _state["enabled"] and not _eager.get()


@contextmanager
def eager() -> Iterator[None]:
    """Leave the kernels uncompiled inside, in this thread."""
    before = _eager.set(True)
    try:
        yield
    finally:
        _eager.reset(before)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a pure function of tensors so that `use_compile` can compile it.

    Compiled once for every kind of call (dtype, one image or many, grey or colour, gradients on or off) up to
    torch's limit; a call beyond it is not compiled, hence no `fullgraph`, which would raise there.
    """

    @cache
    def compiled() -> Callable[P, R]:
        return torch.compile(function, dynamic=True)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling() or not compiles_kernels():
            return function(*args, **kwargs)
        return compiled()(*args, **kwargs)

    return call


def with_own_code(function: Callable[P, R]) -> Callable[P, R]:
    """Return a copy of a function for torch.compile, which allows a code object 8 recompilations in all."""
    return FunctionType(function.__code__.replace(), function.__globals__)


def device_constant(
    build: Callable[[*Args], np.ndarray[Any, Any]], *args: *Args, device: torch.device
) -> Tensor:
    """Return the array `build(*args)` as a tensor on `device`, made once per device.

    Under a fake tensor mode it is made each time: a fake constant in the cache would poison later calls.
    """
    (constant,) = _constants(build, args, device)
    return constant


def device_constants(
    build: Callable[[*Args], tuple[np.ndarray[Any, Any], ...]], *args: *Args, device: torch.device
) -> tuple[Tensor, ...]:
    """Return the arrays `build(*args)` in the same way, with one look-up for all."""
    return _constants(build, args, device)


def _constants(
    build: Callable[..., Any], args: tuple[Hashable, ...], device: torch.device
) -> tuple[Tensor, ...]:
    if type(torch.empty(0)) is not torch.Tensor:
        return _cached_constant.__wrapped__(build, args, device)
    return _cached_constant(build, args, device)


@lru_cache(maxsize=256)
def _cached_constant(
    build: Callable[..., Any], args: tuple[Hashable, ...], device: torch.device
) -> tuple[Tensor, ...]:
    made = build(*args)
    with torch.inference_mode(False):  # an inference tensor in the cache would break later gradients
        return tuple(
            torch.from_numpy(one).to(device) for one in (made if isinstance(made, tuple) else (made,))
        )
