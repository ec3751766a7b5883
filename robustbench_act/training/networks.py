"""Train one network, and write its checkpoint."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from robustbench_act.activations import activation_facts
from robustbench_act.activations.contract import check_own_layers
from robustbench_act.behaviour import IMAGES
from robustbench_act.checkpoints import Spec, check_storable, save_checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.errors import DivergedError, InputError
from robustbench_act.models import Architecture, build_model
from robustbench_act.normalizations import normalization_code
from robustbench_act.preprocessing import normalise
from robustbench_act.training.answers import accuracy, answer
from robustbench_act.training.augmentation import add_noise, crop_and_flip
from robustbench_act.training.grid import Job, Recipe, step_count
from robustbench_act.training.parts import Parts, trained_on
from robustbench_act.training.watching import NOTHING, TRACK_IMAGES, Watch, Watcher


def train_checkpoint(
    job: Job,
    parts: Parts,
    *,
    architecture: str,
    recipe: Recipe,
    device: torch.device,
    watch: Watch = NOTHING,
    on_step: Callable[[], None] = lambda: None,
) -> Spec:
    """Train one network, write its checkpoint and return its spec with its accuracies.

    The clean accuracy is that on `parts.test`, the validation accuracy that on `parts.validation`; without
    these parts they are None. What `watch` asks for is measured on the way and goes to `job.track` and
    `job.curve`; it does not change the training.

    Deterministic: the same job, data and recipe give the same weights on one kind of device, whatever was
    trained before; the global random state is left as it was. A DivergedError if the loss is not finite at
    the end of an epoch; an InputError if test images are training images.
    """
    train, test = parts.train, parts.test
    if test is not None and len(trained_on(train, test)) == len(test):
        raise InputError(f"Dataset {test.name!r}: expected test images, got training images; split them.")
    classes = train.known_class_count
    model = _fresh_model(architecture, job, classes, train.shape).to(device)
    check_storable(model)  # before the work, not after it
    few = normalise(train.subset(TRACK_IMAGES).images[:IMAGES].to(device), train.mean, train.std)
    model.eval()  # a user's own may return nothing
    check_own_layers(model, few)
    steps = step_count(train, recipe)
    watcher = Watcher(watch, train, parts.validation, steps_per_epoch=steps // recipe.epochs)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(job.seed)  # of layers that draw in training: dropout, RReLU
        _fit(model, train, recipe, job.seed, device=device, watcher=watcher, on_step=on_step)
    model.eval()
    run = {"steps": steps, "images": len(train), "data": train.digest}
    said = {
        "held_out": parts.held_out,
        "validation": parts.held_out_for_validation,
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
        clean_accuracy=None if test is None else accuracy(model, test, train),
        validation_accuracy=None if parts.validation is None else accuracy(model, parts.validation, train),
        **_shown(train),
    )
    watcher.write(job.track, job.curve)
    save_checkpoint(job.path, model, spec)
    return spec


def _shown(train: Dataset) -> dict[str, Any]:
    """Return the spec's fields for a training set of centre-cropped pictures; none for other sets."""
    view = train.view
    return {"resize": view.resize, "interpolation": view.interpolation} if view and view.crop else {}


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


def _fit(
    model: nn.Module,
    train: Dataset,
    recipe: Recipe,
    seed: int,
    *,
    device: torch.device,
    watcher: Watcher,
    on_step: Callable[[], None],
) -> None:
    generator = torch.Generator().manual_seed(seed)
    steps = step_count(train, recipe)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones=[steps // 2, steps * 3 // 4])
    loss, classes, done = torch.zeros((), device=device), train.known_class_count, 0
    model.train()
    watcher(model, done, lr=recipe.lr, loss=None)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(train), generator=generator)
        for rows in torch.split(order, recipe.batch_size)[: steps // recipe.epochs]:
            images = crop_and_flip(train.images[rows], recipe.augment, generator)
            if recipe.noise:
                images = add_noise(images, recipe.noise, generator)
            logits = answer(model, normalise(images.to(device), train.mean, train.std), classes)
            loss = F.cross_entropy(logits, train.known_labels[rows].to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            (lr,) = schedule.get_last_lr()
            schedule.step()
            done += 1
            watcher(model, done, lr=float(lr), loss=loss)
            on_step()
        if not torch.isfinite(loss):
            when = f"after {done} of {steps} steps the loss is {loss.item()}"
            raise DivergedError(f"Training diverged: {when}; try a lower --lr.")
