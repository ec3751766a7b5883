"""One checkpoint's layers under one shift: what `actrobust probe` shows."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from corruptions import Cell
from robustbench_act.behaviour import logits_of, probe_axes, seeded
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation.execution import Execution
from robustbench_act.evaluation.inputs import corrupt
from robustbench_act.evaluation.looks import behaviour_of, few_images
from robustbench_act.options import BATCH_SIZE
from robustbench_act.probes import DEFAULT_METRICS, Injection, Probe, gradient_variance


def probe_layers(
    checkpoint: Checkpoint,
    dataset: Dataset,
    *,
    cell: Cell,
    inject: str | None = None,
    gradients: bool = False,
    training: bool = False,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    device: torch.device | None = None,
    allow_random: bool = False,
    on_images: Callable[[int], None] = lambda count: None,
) -> pd.DataFrame:
    """Return `Probe.to_frame` of a checkpoint on clean images (version 0) and on shifted ones (version 1).

    Layers and slopes that cannot be measured are left out; the table's `attrs["left_out"]` says which and
    why, as `Probe.left_out` does. Raises InputError if the checkpoint cannot run, no layer can be measured,
    or the network is random and may not be.

    Parameters
    ----------
    cell
        How the network's input is shifted.
    inject
        Shift the input of every activation layer in turn instead, as "gaussian:0.1" (in units of the standard
        deviation of the layer's clean input, over images and elements): a layer's row then shows its own
        response, without the layers before it, and later layers see none of it.
    gradients
        Also measure gradient_variance: of the cross-entropy of each clean image with respect to the inputs
        of the layers.
    training
        Take the gradients in training mode (batch statistics, dropout under a fixed seed); the network and
        its buffers are as before afterwards.
    batch_size
        Images, clean and shifted together, that go through the network at once.
    allow_random
        Whether the network may give different answers to the same images.
    on_images
        Called with the number of images that have gone through the network.
    """
    if checkpoint.problem:
        raise InputError(f"{checkpoint.path}: {checkpoint.problem}")
    device = device or torch.device("cpu")
    model = checkpoint.model.to(device)
    behaviour = behaviour_of(checkpoint, few_images(dataset), Execution(device), allow_random=allow_random)
    if reason := behaviour.unwatched or behaviour.fails:
        raise InputError(f"{checkpoint.path}: no layer can be measured: {reason}.")
    axes = probe_axes(behaviour)
    left_out = dict(behaviour.left_out)

    def run(injection: Injection | None = None, *, shifted: bool) -> pd.DataFrame:
        only = None if injection is None else [injection.layer]
        probe = Probe(model, metrics=DEFAULT_METRICS, versions=2, injection=injection, only=only, axes=axes)
        with probe, torch.inference_mode(), seeded(seed, device):
            for part in dataset.chunks(max(batch_size // 2, 1)):
                clean = _clean(part, checkpoint, device)
                other = _shifted(part, clean, checkpoint, cell, seed) if shifted else clean
                inputs = torch.cat([clean, other])
                model(inputs)
                on_images(len(inputs))
        left_out.update(probe.left_out)
        return probe.to_frame()

    table = run(shifted=inject is None)
    if inject is not None:
        tables = []
        clean = table[table["version"] == 0]
        for index, (layer, variance) in enumerate(zip(clean["layer"], clean["input_variance"], strict=True)):
            rows = run(Injection(layer, inject, seed, unit=variance**0.5), shifted=False)
            tables.append(rows.assign(index=index))
        table = pd.concat(tables).sort_values(["version", "index"], kind="stable", ignore_index=True)
    if gradients:
        batches = (
            (_clean(part, checkpoint, device), part.known_labels.to(device))
            for part in dataset.chunks(batch_size)
        )
        logits = partial(logits_of, behaviour=behaviour, columns=dataset.columns)
        with seeded(seed, device):
            found = gradient_variance(model, batches, training=training, axes=axes, logits=logits)
        table = table.merge(found, on=["version", "layer"], how="left")
    table.attrs["left_out"] = left_out
    return table


def _clean(part: Dataset, checkpoint: Checkpoint, device: torch.device) -> Tensor:
    return checkpoint.preprocessing(part.shape)(part.images.to(device))


def _shifted(part: Dataset, clean: Tensor, checkpoint: Checkpoint, cell: Cell, seed: int) -> Tensor:
    images, ids = part.images.to(clean.device), part.ids.to(clean.device)
    preprocessing = checkpoint.preprocessing(part.shape)
    _, inputs = corrupt(cell, images, clean, ids=ids, seed=seed, preprocessing=preprocessing)
    return inputs
