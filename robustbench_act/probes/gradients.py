"""The variance of gradients layer by layer, in evaluation or in training mode."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.probes.image_axes import ImageAxis
from robustbench_act.probes.probe import Probe

Batch = tuple[Tensor, Tensor]  # normalised inputs, labels


def gradient_variance(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    training: bool = False,
    axes: Mapping[str, ImageAxis | str] | None = None,
    logits: Callable[[nn.Module, Tensor], Tensor] = lambda model, inputs: model(inputs),
) -> pd.DataFrame:
    """Return version (0), layer and gradient_variance: of d loss / d y over samples and elements.

    The loss is the cross-entropy (nats) of each sample, y the input of the layer. In training mode samples of
    a batch see each other; buffers, modes and the random state are restored. `axes`: see `Probe`. `logits`
    makes logits of what the network returns; by default it returns them.
    """
    probe = Probe(model, metrics=["gradients"], axes=axes)
    with _training_mode(model) if training else nullcontext(), probe, torch.enable_grad():
        for inputs, labels in batches:
            leaf = inputs.detach().requires_grad_()
            loss = F.cross_entropy(logits(model, leaf), labels, reduction="sum")
            torch.autograd.grad(loss, leaf)
    return probe.to_frame()[["version", "layer", "gradient_variance"]]


@contextmanager
def _training_mode(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = {buffer.device for buffer, _ in buffers if buffer.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            torch.manual_seed(0)
            model.train()
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
