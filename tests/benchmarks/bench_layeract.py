"""LASiLU against the same formula as a composition of plain torch operations, in one run.

`python -m tests.benchmarks.bench_layeract` prints, at 128 x 16 x 32 x 32 in float32 and for both layouts:

- forward, forward+backward: the best of alternating runs (other processes only add time), and their ratio;
- peak: the greatest sum of live tensor storages, counted after every operation of a forward and backward
  pass, without the input and the gradient that comes in;
- saved: the storages that the graph holds between the passes, the input included.

Budget: forward <= 0.35, forward+backward <= 0.45, peak memory <= 0.7 of the composition.
"""

import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from robustbench_act.activations import LAHardSiLU, LASiLU

Function = Callable[[Tensor], Tensor]
SHAPE = (128, 16, 32, 32)
RUNS = 100
BUDGETS = {"forward": 0.35, "forward+backward": 0.45, "peak": 0.7}


def _normalized(y: Tensor) -> Tensor:
    axes = tuple(range(1, y.ndim))
    mean = y.mean(dim=axes, keepdim=True)
    return (y - mean) / torch.sqrt(y.var(dim=axes, keepdim=True, unbiased=True) + 1e-5)


def plain_la_silu(y: Tensor) -> Tensor:
    """Return LA-SiLU from plain operations."""
    return y * torch.sigmoid(_normalized(y))


def plain_la_hardsilu(y: Tensor) -> Tensor:
    """Return LA-HardSiLU from plain operations."""
    return y * torch.clamp(_normalized(y) / 6 + 0.5, 0, 1)


class _LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations make and that are still alive."""

    def __init__(self, *known: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known: set[int] = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.live: int = 0
        self.peak: int = 0
        self._watched: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._watch(tensor.untyped_storage())
        self.peak = max(self.peak, self.live)
        return out

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = storage.data_ptr(), storage.nbytes()
        if key in self.known or key in self._watched or not size:
            return
        self._watched.add(key)
        self.live += size
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._watched.discard(key)
        self.live -= size


def peak_bytes(function: Function, y: Tensor, grad: Tensor) -> int:
    """Return the most bytes alive during a forward and backward pass, beyond y and grad."""
    counter = _LiveStorages(y, grad)
    with counter:
        torch.autograd.backward(function(y), grad)
    y.grad = None
    return counter.peak


def saved_bytes(function: Function, y: Tensor) -> int:
    """Return the bytes that the graph keeps for the backward pass."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function(y)
    return sum(storages.values())


def _seconds(function: Function, y: Tensor, grad: Tensor | None) -> float:
    start = time.perf_counter()
    if grad is None:
        with torch.no_grad():
            function(y)
    else:
        torch.autograd.backward(function(y), grad)
        y.grad = None
    return time.perf_counter() - start


def ratios(ours: Function, plain: Function, y: Tensor, grad: Tensor) -> dict[str, tuple[float, float]]:
    """Return (ours, plain) of each quantity: milliseconds and MB."""
    result = {}
    for name, upstream in (("forward", None), ("forward+backward", grad)):
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(RUNS):
            for function, seconds in zip((ours, plain), times, strict=True):
                seconds.append(_seconds(function, y, upstream))
        result[name] = (min(times[0]) * 1e3, min(times[1]) * 1e3)
    result["peak"] = (peak_bytes(ours, y, grad) / 1e6, peak_bytes(plain, y, grad) / 1e6)
    result["saved"] = (saved_bytes(ours, y) / 1e6, saved_bytes(plain, y) / 1e6)
    return result


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        y = torch.randn(SHAPE).to(memory_format=memory_format).requires_grad_()
        grad = torch.randn_like(y)
        for ours, plain in ((LASiLU(), plain_la_silu), (LAHardSiLU(), plain_la_hardsilu)):
            _say(f"{type(ours).__name__}, {memory_format}, {torch.get_num_threads()} threads")
            for name, (a, b) in ratios(ours, plain, y, grad).items():
                unit = "ms" if "forward" in name else "MB"
                budget = f"(budget {BUDGETS[name]})" if name in BUDGETS else ""
                _say(f"  {name:17} {a:8.2f} / {b:8.2f} {unit} = {a / b:.2f} {budget}")


if __name__ == "__main__":
    main()
