"""The grid: a recipe, and a job for each activation x normalisation x training seed.

The recipe is that of LayerAct (arXiv 2306.04940) for CIFAR: SGD with momentum 0.9, weight decay 1e-4,
learning rate 0.1, divided by 10 after 1/2 and 3/4 of the iterations, batches of 128, He initialisation;
random crops and flips with `augment`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from corruptions.random import check_seed
from robustbench_act.activations import activation_facts, activation_name, get_activation
from robustbench_act.activations.facts import NATIVE
from robustbench_act.activations.registry import Factory, resolve, sizes_of
from robustbench_act.checkpoints import read_spec
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.models import Architecture
from robustbench_act.normalizations import check_normalization, normalization_code
from robustbench_act.option_kinds import use_plain_numbers
from robustbench_act.training.augmentation import AUGMENTATIONS
from robustbench_act.training.watching import NOTHING, Watch

_AWAY = "choose a different --out or remove it"


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
    noise
        Half of the images of each step get Gaussian noise, see `add_noise`; its standard deviation is at most
        this, on the [0, 1] scale. 0: none.
    """

    epochs: int = 2
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    augment: str = "none"
    noise: float = 0.0

    def __post_init__(self) -> None:
        use_plain_numbers(self)
        if self.augment not in AUGMENTATIONS:
            raise unknown_name("augmentation", self.augment, AUGMENTATIONS)
        if self.epochs < 1 or self.batch_size < 2 or not self.lr > 0:
            raise InputError(
                "Expected epochs >= 1, batch size >= 2 and lr > 0, "
                f"got {self.epochs}, {self.batch_size} and {self.lr}."
            )
        if not 0 <= self.noise <= 1:
            raise InputError(f"Expected noise from 0 to 1, got {self.noise}.")


def step_count(train: Dataset, recipe: Recipe) -> int:
    """Return the number of optimiser steps of a training run."""
    return recipe.epochs * max(len(train) // recipe.batch_size, 1)


@dataclass(frozen=True)
class Job:
    """One network: an activation with its parameters, a normalisation, a training seed, and where it goes."""

    activation: str
    seed: int
    path: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    normalization: str = NATIVE

    @property
    def name(self) -> str:
        """The activation as tables name it."""
        return activation_name(self.activation, self.parameters)

    @property
    def track(self) -> Path:
        """The table of layers tracked during training, beside the checkpoint."""
        return self.path.with_suffix(".track.parquet")

    @property
    def curve(self) -> Path:
        """The table of validation accuracies during training, beside the checkpoint."""
        return self.path.with_suffix(".curve.parquet")


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


def is_trained(
    job: Job,
    *,
    architecture: str,
    train: Dataset,
    recipe: Recipe,
    watch: Watch = NOTHING,
) -> bool:
    """Tell whether the job's file exists; an InputError if its recipe, architecture, data or code differ.

    The tables that `watch` asks for have to exist too, with its steps.
    """
    tables = {job.track: watch.track, job.curve: watch.check}
    if not all(path.exists() for path in (job.path, *(path for path, steps in tables.items() if steps))):
        return False
    spec = read_spec(job.path)
    code = spec.activation_facts.get("digest", ""), spec.recipe.get("normalization_code", "")
    if code != (activation_facts(job.activation).digest, normalization_code(job.normalization)):
        raise InputError(
            f"{job.path}: the code of its activation or normalisation has changed since it was trained; "
            f"{_AWAY}."
        )
    wanted = {
        **asdict(recipe),
        "data": train.digest,
        "architecture": str(Architecture.parse(architecture)),
        "normalization": job.normalization,
    }
    found = {**spec.recipe, "architecture": spec.architecture, "normalization": spec.normalization}
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f"{job.path}: was trained with {key} {found.get(key)!r}, not {value!r}; {_AWAY}."
            )
    for path, steps in tables.items():
        if steps and {*pd.read_parquet(path, columns=["step"])["step"]} != {*steps}:
            raise InputError(f"{path}: was measured after other steps than the {len(steps)} wanted; {_AWAY}.")
    return True
