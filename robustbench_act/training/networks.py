"""Train a grid of activations x normalisations x training seeds with the papers' recipe, scaled.

The recipe of LayerAct (arXiv 2306.04940) for CIFAR: SGD with momentum 0.9, weight decay 1e-4, learning rate
0.1, divided by 10 after 1/2 and 3/4 of the iterations, batches of 128, He initialisation; random crops and
flips with `augment`.
"""

import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

from corruptions.random import check_seed
from robustbench_act.activations import activation_facts, activation_name, get_activation
from robustbench_act.activations.contract import check_own_layers
from robustbench_act.activations.facts import NATIVE
from robustbench_act.activations.registry import Factory, resolve, sizes_of
from robustbench_act.atomic_files import write_atomically
from robustbench_act.behaviour import IMAGES
from robustbench_act.checkpoints import Spec, check_storable, read_spec, save_checkpoint
from robustbench_act.datasets import Dataset, hold_out, shared_images
from robustbench_act.errors import InputError, first_line, unknown_name
from robustbench_act.evaluation import DataRequest
from robustbench_act.models import Architecture, answer_entry, answer_rows, build_model
from robustbench_act.normalizations import check_normalization
from robustbench_act.option_kinds import use_plain_numbers
from robustbench_act.preprocessing import normalise
from robustbench_act.probes import Probe, find_image_axes, gradient_variance

AUGMENTATIONS = ("none", "crop", "crop-flip")
TRACK_IMAGES = 256
"""Training images, stratified by class, on which the layers are tracked."""

_TWICE = 0.1  # share of test images that may be training images: published sets have some images twice
_PAD = 4  # pixels on each side before the random crop, as in both papers


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    epochs
        Passes over the training images.
    batch_size
        Images in one step; the last, smaller batch of an epoch is dropped unless it is the only one.
    lr, momentum, weight_decay
        Settings of gradient descent; lr falls to a tenth after 1/2 and again after 3/4 of all steps.
    augment
        "none", "crop" (pad by 4, crop back at random) or "crop-flip" (also flip half of the images).
    """

    epochs: int = 2
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    augment: str = "none"

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        if self.augment not in AUGMENTATIONS:
            raise unknown_name("augmentation", self.augment, AUGMENTATIONS)
        if self.epochs < 1 or self.batch_size < 2 or not self.lr > 0:
            raise InputError(
                "Expected epochs >= 1, batch size >= 2 and lr > 0, "
                f"got {self.epochs}, {self.batch_size} and {self.lr}."
            )


@dataclass(frozen=True)
class Job:
    """One network: an activation with its parameters, a normalisation, a training seed, and where it goes."""

    activation: str
    seed: int
    path: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    normalization: str = NATIVE

    @property
    def track(self) -> Path:
        """The table of layers tracked during training, beside the checkpoint."""
        return self.path.with_suffix(".track.parquet")


def plan_grid(
    activations: Iterable[str | Factory],
    seeds: Iterable[int],
    out: Path,
    normalizations: Iterable[str] = (NATIVE,),
) -> list[Job]:
    """Return the jobs of the grid: `out/<activation>_<seed>.safetensors`, activation by activation.

    An activation is what `resolve` takes, or "native": the network's own. Parameters go into file names as in
    published ones, and so does a normalisation: la_silu_alpha0.1_layer_1.

    >>> [job.path.name for job in plan_grid(["relu", "la_silu(alpha=0.1)"], [1, 2], Path("out"))]
    ['relu_1.safetensors', 'relu_2.safetensors',
     'la_silu_alpha0.1_1.safetensors', 'la_silu_alpha0.1_2.safetensors']
    >>> [job.path.name for job in plan_grid(["relu"], [1], Path("out"), ["native", "layer"])]
    ['relu_1.safetensors', 'relu_layer_1.safetensors']
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for activation in activations:
        name, parameters = resolve(activation)  # an unknown name is an error before anything is trained
        if name != NATIVE and not sizes_of(name, parameters):
            get_activation(name, **parameters)
        stem = "_".join([name, *(f"{key}{_plain(value)}" for key, value in parameters.items())])
        if found.setdefault(stem, (name, parameters)) != (name, parameters):
            raise InputError(
                f"{activation_name(name, parameters)}: two activations would be written to {stem}."
            )
    chosen = [check_seed(seed) for seed in seeds]
    norms = {norm: "" if norm == NATIVE else f"_{norm.rpartition(':')[2]}" for norm in normalizations}
    for norm in norms:
        check_normalization(norm)
    return [
        Job(name, seed, out / f"{stem}{part}_{seed}.safetensors", parameters, norm)
        for stem, (name, parameters) in found.items()
        for norm, part in norms.items()
        for seed in chosen
    ]


def _plain(value: object) -> str:
    """Return a parameter's value for a file name."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", str(value)).strip("-")


class Parts(NamedTuple):
    """Images to train on, others to test on (or None), and how they were split if they had to be.

    `doubt` says which test images are training images too: published sets have some images twice.
    """

    train: Dataset
    test: Dataset | None
    held_out: str = ""
    doubt: str = ""


def open_parts(request: DataRequest) -> Parts:
    """Return the data set's own parts; a tenth of its images to test on if it has no labelled test part.

    The limit of the request is on the images to train on. An InputError if some of the test images are
    training images.
    """
    everything = replace(request, limit=None)
    whole = replace(everything, train=True)
    train = whole.choose(whole.open())
    _ = train.known_labels
    test = everything.choose(everything.open())
    if test.labels is not None:
        shared = _shared(train, test)
        if len(shared) < len(test):
            doubt = ""
            if shared:
                doubt = f"of its test images, {_some_of(shared, test)} are training images too"
            return Parts(request.choose(train), test.with_channels(train.shape[0]), doubt=doubt)
    kept, held = hold_out(train)
    text = f"{len(held)} of {len(train)} images, drawn in each class, seed 0"
    return Parts(request.choose(kept), held if len(held) else None, text)


def _shared(train: Dataset, test: Dataset) -> list[str]:
    """Return the test images that are trained on: all or few of them, an InputError if there are more."""
    shared = shared_images(train, test)
    if _TWICE * len(test) < len(shared) < len(test):
        raise InputError(
            f"Dataset {test.name!r}: expected test images that are not trained on, but "
            f"{_some_of(shared, test)} are; take them out of one of the two parts."
        )
    return shared


def _some_of(shared: Sequence[str], test: Dataset) -> str:
    return f"{len(shared)} of {len(test)} (such as {shared[0]})"


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
    if test is not None and len(_shared(train, test)) == len(test):
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
    said = {"held_out": held_out, "class_order": train.class_order}
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


def parse_epochs(text: str, epochs: int) -> tuple[int, ...]:
    """Return the epochs in a comma-separated list, sorted.

    >>> parse_epochs("last,0,1", 20), parse_epochs("all", 3)
    ((0, 1, 20), (0, 1, 2, 3))
    """
    if text == "all":
        return tuple(range(epochs + 1))
    names = [name.strip() for name in text.split(",")]
    numbers = {epochs if name == "last" else int(name) for name in names if name == "last" or name.isdigit()}
    wrong = [name for name in names if not (name == "last" or (name.isdigit() and int(name) <= epochs))]
    if wrong:
        raise InputError(f"Expected epochs from 0 to {epochs}, 'last' or 'all' to track, got {wrong[0]!r}.")
    return tuple(sorted(numbers))


def is_trained(job: Job, *, architecture: str, train: Dataset, recipe: Recipe, tracked: bool = False) -> bool:
    """Tell whether the job's file exists; an InputError if its recipe, architecture, data or code differ.

    With `tracked`, its table has to exist too.
    """
    if not job.path.exists() or (tracked and not job.track.exists()):
        return False
    spec = read_spec(job.path)
    code = activation_facts(job.activation).digest
    wanted = {
        **asdict(recipe),
        "data": train.digest,
        "architecture": str(Architecture.parse(architecture)),
        "code of its activation": code,
        "normalization": job.normalization,
    }
    own_code = spec.activation_facts.get("digest", "")
    found = {
        **spec.recipe,
        "architecture": spec.architecture,
        "code of its activation": own_code,
        "normalization": spec.normalization,
    }
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f"{job.path}: was trained with {key} {found.get(key)!r}, not {value!r}; "
                "choose a different --out or remove it."
            )
    return True


def step_count(train: Dataset, recipe: Recipe) -> int:
    """Return the number of optimiser steps of a training run."""
    return recipe.epochs * max(len(train) // recipe.batch_size, 1)


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
