"""Train one network, probe its layers on the way, and write its checkpoint."""

import io
from collections.abc import Callable, Collection
from dataclasses import asdict
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from robustbench_act.activations import activation_facts
from robustbench_act.activations.contract import check_own_layers
from robustbench_act.atomic_files import write_atomically
from robustbench_act.behaviour import IMAGES
from robustbench_act.checkpoints import Spec, check_storable, save_checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError, first_line
from robustbench_act.models import Architecture, answer_entry, answer_rows, build_model
from robustbench_act.normalizations import normalization_code
from robustbench_act.preprocessing import normalise
from robustbench_act.probes import Probe, find_image_axes, gradient_variance
from robustbench_act.training.grid import Job, Recipe, step_count
from robustbench_act.training.parts import trained_on

TRACK_IMAGES = 256
"""Training images, stratified by class, on which the layers are tracked."""

_PAD = 4  # pixels on each side before the random crop, as in both papers


def train_checkpoint(
    job: Job,
    *,
    architecture: str,
    train: Dataset,
    test: Dataset | None,
    recipe: Recipe,
    device: torch.device,
    held_out: str = "",
    track: Collection[int] = (),
    on_step: Callable[[], None] = lambda: None,
) -> Spec:
    """Train one network, write its checkpoint and return its spec with the clean accuracy.

    The accuracy is that on `test`; without a test part it is None. `held_out` says how `test` was split from
    the same images, for the record.

    `track` lists epochs (0: before the first) after which the activation layers are probed. Their table goes
    to `job.track` (see `probe_epoch`); probing does not change the training.

    Deterministic: the same job, data and recipe give the same weights on one kind of device, whatever was
    trained before; the global random state is left as it was. An InputError if the loss is not finite, or
    test images are training images.
    """
    if test is not None and len(trained_on(train, test)) == len(test):
        raise InputError(f"Dataset {test.name!r}: expected test images, got training images; split them.")
    classes = train.known_class_count
    model = _fresh_model(architecture, job, classes, train.shape).to(device)
    check_storable(model)  # before the work, not after it
    sample = train.subset(TRACK_IMAGES)
    few = normalise(sample.images[:IMAGES].to(device), train.mean, train.std)
    model.eval()  # a user's own may return nothing
    check_own_layers(model, few)
    tracked: list[pd.DataFrame] = []

    def on_epoch(epoch: int) -> None:
        if epoch in track:
            tracked.append(probe_epoch(model, sample, epoch, device))

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(job.seed)  # of layers that draw in training: dropout, RReLU
        _fit(model, train, recipe, job.seed, device=device, on_step=on_step, on_epoch=on_epoch)
    model.eval()
    run = {"steps": step_count(train, recipe), "images": len(train), "data": train.digest}
    said = {
        "held_out": held_out,
        "class_order": train.class_order,
        "normalization_code": normalization_code(job.normalization),
    }
    spec = Spec(
        architecture=str(Architecture.parse(architecture)),
        activation=job.activation,
        activation_parameters=job.parameters,
        activation_facts=activation_facts(job.activation).to_record(),
        normalization=job.normalization,
        training_seed=job.seed,
        classes=classes,
        input_size=train.shape,
        mean=train.mean,
        std=train.std,
        dataset=train.name,
        recipe={**asdict(recipe), **run, **{name: text for name, text in said.items() if text}},
        clean_accuracy=None if test is None else _accuracy(model, test, train, device),
        **_shown(train),
    )
    if tracked:
        buffer = io.BytesIO()
        pd.concat(tracked, ignore_index=True).to_parquet(buffer, index=False)
        write_atomically(job.track, buffer.getvalue())
    save_checkpoint(job.path, model, spec)
    return spec


def _shown(train: Dataset) -> dict[str, Any]:
    """Return the spec's fields for a training set of centre-cropped pictures; none for other sets."""
    view = train.view
    return {"resize": view.resize, "interpolation": view.interpolation} if view and view.crop else {}


def probe_epoch(model: nn.Module, sample: Dataset, epoch: int, device: torch.device) -> pd.DataFrame:
    """Probe the layers on a clean sample after an epoch; return a row for each layer.

    Columns: epoch, layer, index, elements, n, MEAN_COLUMNS, SLOPE_COLUMNS and SIGNAL_COLUMNS in evaluation
    mode, and gradient_variance in training mode, all images in one batch. Both papers show them over
    training. Layers in which no row belongs to one image are left out. The model's state and mode are left as
    they were.
    """
    inputs = normalise(sample.images.to(device), sample.mean, sample.std)
    mode = model.training
    model.eval()
    axes = find_image_axes(model, inputs[:IMAGES])
    with Probe(model, metrics=("means", "slopes", "signal"), axes=axes) as probe, torch.no_grad():
        model(inputs)
    batch = inputs, sample.known_labels.to(device)
    model.train(mode)
    logits = partial(_answer, classes=len(sample.classes))
    gradients = gradient_variance(model, [batch], training=True, axes=axes, logits=logits)
    table = probe.to_frame().merge(gradients, on=["version", "layer"], how="left").drop(columns="version")
    table.insert(0, "epoch", epoch)
    return table


def _fresh_model(architecture: str, job: Job, classes: int, shape: tuple[int, int, int]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # layers draw their weights from the global generator
        torch.manual_seed(job.seed)
        model = build_model(
            architecture,
            activation=job.activation,
            activation_parameters=job.parameters,
            normalization=job.normalization,
            classes=classes,
            input_size=shape,
        )
        if any(is_lazy(parameter) for parameter in model.parameters()):
            model.eval()
            with torch.no_grad():
                model(torch.zeros(1, *shape))  # lazy layers take their sizes from an image
    return model


def _answer(model: nn.Module, inputs: Tensor, classes: int) -> Tensor:
    """Return what a network answers, (N, classes); it may return more in training than in evaluation.

    Raises InputError if it fails, or does not answer with a column for each class.
    """
    what = f"The network ({type(model).__name__})"
    try:
        output = model(inputs)
        found = answer_rows(output, len(inputs), answer_entry(output, len(inputs), classes))
    except Exception as error:  # it may be the user's network
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(f"{what} cannot be trained: {kind}{first_line(error)}.") from error
    if found.shape[1] != classes:
        raise InputError(
            f"{what} returns {found.shape[1]} columns, expected {classes}, one for each class; let it take "
            "`classes`, or set an option of its own."
        )
    return found


def _fit(
    model: nn.Module,
    train: Dataset,
    recipe: Recipe,
    seed: int,
    *,
    device: torch.device,
    on_step: Callable[[], None],
    on_epoch: Callable[[int], None],
) -> None:
    generator = torch.Generator().manual_seed(seed)
    steps = step_count(train, recipe)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones=[steps // 2, steps * 3 // 4])
    loss, classes = torch.zeros((), device=device), train.known_class_count
    model.train()
    on_epoch(0)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(train), generator=generator)
        for rows in torch.split(order, recipe.batch_size)[: steps // recipe.epochs]:
            images = _augment(train.images[rows], recipe.augment, generator)
            logits = _answer(model, normalise(images.to(device), train.mean, train.std), classes)
            loss = F.cross_entropy(logits, train.known_labels[rows].to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            on_step()
        on_epoch(epoch + 1)
    if not torch.isfinite(loss):
        raise InputError(f"Training diverged: the loss of the last batch is {loss.item()}; try a lower --lr.")


def _augment(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    if kind == "none":
        return images
    count, _, height, width = images.shape
    top = torch.randint(2 * _PAD + 1, (count, 1, 1), generator=generator)
    left = torch.randint(2 * _PAD + 1, (count, 1, 1), generator=generator)
    rows, columns = torch.arange(height).view(1, -1, 1) + top, torch.arange(width).view(1, 1, -1) + left
    if kind == "crop-flip":
        flip = torch.rand((count, 1, 1), generator=generator) < 0.5
        columns = torch.where(flip, columns.flip(-1), columns)
    padded = F.pad(images, (_PAD, _PAD, _PAD, _PAD))
    return padded[torch.arange(count).view(-1, 1, 1), :, rows, columns].permute(0, 3, 1, 2)


@torch.inference_mode()
def _accuracy(model: nn.Module, test: Dataset, train: Dataset, device: torch.device) -> float:
    correct = 0
    for part in test.chunks(500):
        inputs = normalise(part.images.to(device), train.mean, train.std)
        logits = _answer(model, inputs, train.known_class_count)
        correct += int((logits.argmax(1).cpu() == part.known_labels).sum())
    return correct / len(test)
