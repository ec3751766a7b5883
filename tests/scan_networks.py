"""Look at every network of torchvision and at one of each module of timm.

`python -m tests.scan_networks > docs/networks.md` writes the page; name a network to go on after it.
"""

import gc
import re
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.models import get_model, list_models

from robustbench_act.activations import activation_layers
from robustbench_act.behaviour import look_at
from robustbench_act.english import some
from robustbench_act.errors import InputError, first_line
from robustbench_act.models import answer_rows
from robustbench_act.models.random_state import seeded

CLASSES = 1000
LARGEST = 700_000_000
"""Number of parameters, at most, and"""

MEMORY = 16 * 2**30
"""bytes that a network may take."""

_SMALL = (
    *("pico", "femto", "atto", "nano", "xxs", "xx_small", "micro", "tiny"),
    *("xs", "_t", "small", "_s", "18", "b0"),
)
"""Parts of the names of small networks, the smallest first."""

CPU = torch.device("cpu")
HEAD = """# Networks that were looked at

What the [look before a run](your-model.md#what-a-network-must-do) finds in every classifier of
torchvision and in one network of each module of timm, with random weights and three images of
noise. *Alone*: how far the answer to an image by itself is from the answer in company, as a share
of the largest value; the limit is 0.0001. Layers that are folded have their images elsewhere than
along the first axis: (axis, outer, inner) as in `probes.ImageAxis`.

"""


def torchvision_networks() -> Iterator[tuple[str, Any]]:
    """Yield name and maker of each classifier."""
    from torchvision import models

    for name in list_models(module=models):
        options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        yield f"torchvision:{name}", lambda name=name, options=options: get_model(name, **options)


def timm_networks() -> Iterator[tuple[str, Any]]:
    """Yield name and maker of the smallest network of each module."""
    for module in timm.list_modules():
        names = sorted(timm.list_models(module=module), key=lambda name: (_rank(name), name))
        if names:
            yield f"timm:{names[0]}", lambda name=names[0]: timm.create_model(name, num_classes=CLASSES)


def _rank(name: str) -> int:
    order = (
        "pico",
        "femto",
        "atto",
        "nano",
        "xxs",
        "xx_small",
        "micro",
        "tiny",
        "xs",
        "_t",
        "small",
        "_s",
        "18",
        "b0",
    )
    return next((place for place, part in enumerate(order) if part in name), len(order))


def images_for(network: nn.Module, name: str) -> Tensor:
    """Return four images of the size that the network is made for."""
    config = getattr(network, "pretrained_cfg", None) or {}
    size = tuple(config.get("input_size", (3, 224, 224)))
    if name.endswith("inception_v3"):
        size = (3, 299, 299)
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def rounding(network: nn.Module, images: Tensor) -> float:
    """Return how far an image alone is answered from how it is in company: a share of the largest value."""
    batch = images.contiguous(memory_format=torch.channels_last)
    with seeded(0, CPU):
        together = answer_rows(network(batch), len(images))
    with seeded(0, CPU):
        alone = answer_rows(network(batch[:1]), 1)
    return float((alone - together[:1]).abs().max() / together.abs().max().clamp(min=1e-30))


def row(name: str, make: Any) -> str:
    """Return the line of one network."""
    with torch.device("meta"):
        size = sum(one.numel() for one in make().parameters())
    if size > LARGEST:
        return f"| {name} | | | not looked at: {size // 10**6} million parameters |"
    with seeded(0, CPU):
        network = make().eval()
    images = images_for(network, name)
    layers = len(activation_layers(network))
    try:
        found = look_at(
            network, images[:3], images[3], classes=CLASSES, memory_format="channels_last", allow_random=True
        )
        alone = f"{rounding(network, images[:3]):.0e}" if not found.fails else ""
    except InputError as error:
        return f"| {name} | {layers} | | refused: {first_line(error)} |"
    said = [text for text in found.notes() if not text.startswith("layers left out")]
    if found.folded:
        axes = sorted({tuple(axis) for axis in found.folded.values()})
        said.append(f"{len(found.folded)} folded {', '.join(map(str, axes))}")
    if found.left_out:
        kinds = sorted({re.sub(r"[0-9]+", "N", key) for key in found.left_out})
        said.append(f"{len(found.left_out)} left out: {some(kinds, 1)}")
    return f"| {name} | {layers} | {alone} | {'; '.join(said).replace('|', '/')} |"


def main(after: str = "") -> None:
    """Write the page to stdout, progress to stderr; from the network after a named one, if one is named."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    networks = [*torchvision_networks(), *timm_networks()]
    names = [name for name, _ in networks]
    print(HEAD + "| network | activation modules | alone | found |\n|---|---:|---:|---|")  # noqa: T201
    for name, make in networks[names.index(after) + 1 if after else 0 :]:
        started = time.monotonic()
        try:
            line = row(name, make)
        except Exception as error:  # a library's own fault, or a part that it lacks here
            line = f"| {name} | | | cannot be made here: {first_line(error)} |"
        print(line, flush=True)  # noqa: T201
        print(f"{time.monotonic() - started:6.1f} s  {line}", file=sys.stderr, flush=True)  # noqa: T201
        gc.collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
