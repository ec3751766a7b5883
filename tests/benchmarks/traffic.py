"""What a function asks of a device: operations, bytes, uploads; without a clock, and without a GPU.

    python -m tests.benchmarks.traffic [--side 32] [--batch 256] [NAME ...]

prints them for each corruption, eager, on a GPU that is not there (PyTorch's fake tensors), and for a pass of
ResNet-50 with and without probes, on the meta device.
"""

import argparse
import sys
from collections import Counter
from contextlib import nullcontext
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import corruptions
from robustbench_act.probes import DEFAULT_METRICS, Probe

NO_KERNEL = {
    *("alias", "detach", "empty", "empty_like", "empty_strided", "lift_fresh", "new_empty"),
    *("new_empty_strided", "resize_", "set_"),
}


class Traffic(TorchDispatchMode):
    """Counts the operations inside that work on a device: views and empty tensors do not.

    Attributes
    ----------
    operations : Counter
        How many, by name; most launch one kernel, sorts and sums along large axes several.
    moved : int
        Bytes of the tensors that they read and write. Caches may keep some, and a look-up names its table.
    uploads : int
        Copies from host memory; each waits for the device, unless it is from pinned memory and told not to
        block. On a fake device constants that a real one keeps are among them.
    """

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self.operations: Counter[str] = Counter()
        self.moved = 0
        self.uploads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        read, written = _tensors((args, kwargs)), _tensors(result)
        if name in NO_KERNEL or _is_view(func) or self._device not in {one.device.type for one in written}:
            return result
        if self._device != "cpu" and any(one.device.type == "cpu" and one.ndim for one in read):
            self.uploads += 1
        self.operations[name] += 1
        self.moved += sum(map(_size, read)) + sum(map(_size, written))
        return result


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_view(func: Any) -> bool:
    """Tell whether an operation returns its input's memory without writing to it."""
    aliases = [one.alias_info for one in func._schema.returns]
    return bool(aliases) and all(one is not None and not one.is_write for one in aliases)


def _size(tensor: Tensor) -> int:
    """Return the bytes of a tensor; of an expanded one those that exist."""
    own = [length for length, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
    return int(torch.Size(own).numel() * tensor.element_size())


def of_corruption(name: str, *, side: int, batch: int, severity: float = 3, table: str = "224") -> Traffic:
    """Return the traffic of a corruption of colour images in levels, on a fake GPU."""
    dtype = torch.uint8 if corruptions.get_corruption(name).domain == "pixels" else torch.float32
    traffic = Traffic("cuda")
    with FakeTensorMode():
        images = torch.empty(batch, 3, side, side, dtype=dtype, device="cuda")
        with traffic:
            corruptions.corrupt(images, name, severity=severity, table=table)
    return traffic


PROBES: dict[str, tuple[str, ...]] = {
    "none": (),
    "fluctuation": ("fluctuation",),
    "fluctuation, means": ("fluctuation", "means"),
    "all": DEFAULT_METRICS,
}
"""Metrics of a `Probe`, by what tables call them."""


def of_pass(model: nn.Module, inputs: Tensor, *, versions: int, metrics: tuple[str, ...]) -> Traffic:
    """Return the traffic of a pass of a network in evaluation mode, watched or not; it is not the first."""
    watch = Probe(model, versions=versions, metrics=metrics) if metrics else nullcontext()
    traffic = Traffic(inputs.device.type)
    with watch, torch.inference_mode():
        model(inputs)
        with traffic:
            model(inputs)
    return traffic


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="corruptions; all by default")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    sys.stdout.write(f"{'corruption':18s} operations uploads bytes/value  most frequent\n")
    for name in options.names or corruptions.list_corruptions():
        found = of_corruption(name, side=options.side, batch=options.batch)
        total, each = found.operations.total(), found.moved / (options.batch * 3 * options.side**2)
        most = ", ".join(f"{count} {what}" for what, count in found.operations.most_common(4))
        sys.stdout.write(f"{name:18s} {total:10d} {found.uploads:7d} {each:11.0f}  {most}\n")
    with torch.device("meta"):
        model, inputs = torchvision.models.resnet50().eval(), torch.empty(192, 3, 224, 224)
    sys.stdout.write(f"\n{'ResNet-50, probes':18s} operations GB of {len(inputs)} images\n")
    for name, metrics in PROBES.items():
        found = of_pass(model, inputs, versions=6, metrics=metrics)
        sys.stdout.write(f"{name:18s} {found.operations.total():10d} {found.moved / 1e9:5.0f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
