"""What watching the activation layers costs: forward passes with probes against the same passes without.

    python -m tests.benchmarks.bench_probes [--threads 2] [--repeats 15] [--compile]

A pass takes a stacked batch of 6 versions. "naive" are forward hooks that keep input and output and take
sum |y^ - y| with plain operations. The settings take turns, and the fastest pass of each counts.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from corruptions import use_compile
from robustbench_act.activations import activation_layers
from robustbench_act.models import build_model
from robustbench_act.probes import Probe

VERSIONS = 6
SETTINGS = {
    "naive": None,
    "fluctuation": ["fluctuation"],
    "means": ["means"],
    "fluctuation + means": ["fluctuation", "means"],
    "all": ["fluctuation", "means", "slopes", "signal"],
}


class Naive(AbstractContextManager[Any]):
    """Hooks as one writes them first."""

    def __init__(self, model: nn.Module) -> None:
        self.handles = [layer.register_forward_hook(self.hook) for _, layer in activation_layers(model)]
        self.sums: list[Tensor] = []

    def hook(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for x in (inputs[0], output):
            stacked = x.view(VERSIONS, -1, *x.shape[1:])
            self.sums.append((stacked - stacked[:1]).abs().flatten(2).sum(-1))

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """Return each network with a batch for it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(VERSIONS * 21, 1, 28, 28, generator=generator)
    found: dict[str, tuple[nn.Module, Tensor]] = {
        f"ResNet-8 {name}": (
            build_model("cifar:resnet8?width=16", activation=name, classes=10, channels=1),
            images,
        )
        for name in ("relu", "silu", "la_silu")
    }
    large = torch.randn(VERSIONS * 4, 3, 224, 224, generator=generator)
    return found | {"ResNet-18 at 224 px": (torchvision.models.resnet18(), large)}


def seconds(run: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@torch.inference_mode()
def measure(model: nn.Module, batch: Tensor, repeats: int) -> dict[str, float]:
    """Return the milliseconds of the fastest pass in each setting, "off" among them."""
    best: dict[str, float] = {}
    for _ in range(repeats):
        for name, metrics in {"off": [], **SETTINGS}.items():
            watch: AbstractContextManager[Any] = nullcontext()
            if name == "naive":
                watch = Naive(model)
            elif metrics:
                watch = Probe(model, versions=VERSIONS, metrics=metrics)
            with watch:
                best[name] = min(best.get(name, float("inf")), 1e3 * seconds(lambda: model(batch)))
    return best


def main() -> int:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--compile", action="store_true", help="with corruptions.use_compile()")
    options = parser.parse_args()
    use_compile(options.compile)
    torch.set_num_threads(options.threads)
    sys.stdout.write(f"{'network':22s} {'off ms':>8s}" + "".join(f" {name:>20s}" for name in SETTINGS) + "\n")
    for name, (model, batch) in networks().items():
        found = measure(model.eval(), batch, options.repeats)
        ratios = "".join(f" {found[setting] / found['off']:20.2f}" for setting in SETTINGS)
        sys.stdout.write(f"{name:22s} {found['off']:8.1f}{ratios}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
