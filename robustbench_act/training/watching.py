"""What is measured while a network trains, without a change to the training."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from robustbench_act.atomic_files import write_atomically
from robustbench_act.behaviour import IMAGES
from robustbench_act.datasets import Dataset
from robustbench_act.preprocessing import normalise
from robustbench_act.probes import Probe, find_image_axes, gradient_variance
from robustbench_act.records.parts import to_parquet
from robustbench_act.training.answers import accuracy, answer

TRACK_IMAGES = 256
"""Training images, stratified by class, on which the layers are tracked."""
CHECK_IMAGES = 2000
"""Validation images, stratified by class, that the curve of a training is measured on, at most."""


@dataclass(frozen=True)
class Watch:
    """What to measure, and after which steps.

    Attributes
    ----------
    track
        After these steps (0: before the first) the activation layers are probed, see `probe_in_training`.
    check
        After these steps the accuracy on the validation images is measured.
    """

    track: Collection[int] = ()
    check: Collection[int] = ()


NOTHING = Watch()


class Watcher:
    """Measures a network on the way; call it before the first step (0) and after each.

    Parameters
    ----------
    watch
        What to measure.
    train, validation
        Images that the network is trained on, and others to check it on.
    steps_per_epoch
        Of the training.
    """

    def __init__(
        self, watch: Watch, train: Dataset, validation: Dataset | None, *, steps_per_epoch: int
    ) -> None:
        self._watch, self._train, self._per_epoch = watch, train, steps_per_epoch
        self._sample = train.subset(TRACK_IMAGES) if watch.track else train
        self._checked = validation.subset(CHECK_IMAGES) if validation is not None and watch.check else None
        self._tables: list[pd.DataFrame] = []
        self._curve: list[dict[str, float]] = []
        self._losses: list[Tensor] = []

    def __call__(self, model: nn.Module, step: int, *, lr: float, loss: Tensor | None) -> None:
        """Measure what is to be measured after a step, which was made with `lr` and showed `loss`."""
        when = {"step": step, "epoch": step / self._per_epoch}
        if step in self._watch.track:
            device = next(model.parameters()).device
            table = probe_in_training(model, self._sample, device)
            self._tables.append(pd.DataFrame([when] * len(table)).join(table))
        if self._checked is None or loss is None:
            return
        self._losses.append(loss.detach())
        if step in self._watch.check:
            found = accuracy(model, self._checked, self._train)
            self._curve.append(
                when | {"lr": lr, "loss": float(torch.stack(self._losses).mean()), "accuracy": found}
            )
            self._losses.clear()

    def write(self, track: Path, curve: Path) -> None:
        """Write the tables of what was measured."""
        if self._tables:
            write_atomically(track, to_parquet(pd.concat(self._tables, ignore_index=True)))
        if self._curve:
            write_atomically(curve, to_parquet(pd.DataFrame(self._curve)))


def probe_in_training(model: nn.Module, sample: Dataset, device: torch.device) -> pd.DataFrame:
    """Probe the layers of a network in training on clean images; return a row for each layer.

    Columns: layer, index, elements, n, MEAN_COLUMNS, SLOPE_COLUMNS and SIGNAL_COLUMNS in evaluation mode,
    and gradient_variance in training mode, all images in one batch. Both papers show them over training.
    Layers in which no row belongs to one image are left out. The model's state and mode are left as they
    were.
    """
    inputs = normalise(sample.images.to(device), sample.mean, sample.std)
    mode = model.training
    model.eval()
    axes = find_image_axes(model, inputs[:IMAGES])
    with Probe(model, metrics=("means", "slopes", "signal"), axes=axes) as probe, torch.no_grad():
        model(inputs)
    batch = inputs, sample.known_labels.to(device)
    model.train(mode)
    logits: Callable[..., Any] = partial(answer, classes=len(sample.classes))
    gradients = gradient_variance(model, [batch], training=True, axes=axes, logits=logits)
    return probe.to_frame().merge(gradients, on=["version", "layer"], how="left").drop(columns="version")
