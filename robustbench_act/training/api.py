"""`robustbench_act.train`: the Python twin of `actrobust train`."""

import inspect
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from robustbench_act.activations import list_activations, split_activations
from robustbench_act.activations.registry import Factory
from robustbench_act.checkpoints import Spec
from robustbench_act.datasets import Data, name_of
from robustbench_act.devices import choose_device
from robustbench_act.errors import InputError, StoppedError, unknown_name
from robustbench_act.evaluation import DataRequest
from robustbench_act.paths import expand
from robustbench_act.progress import choose_bar
from robustbench_act.training.grid import Job, Recipe, is_trained, plan_grid, step_count
from robustbench_act.training.moments import parse_moments, steps_at
from robustbench_act.training.networks import train_checkpoint
from robustbench_act.training.parts import Parts, open_parts
from robustbench_act.training.rates import LearningRates
from robustbench_act.training.watching import Watch
from robustbench_act.user_code import origin

_log = logging.getLogger(__name__)

ALL = "all"
"""In place of the names of activations: all that are listed."""


def train(
    dataset: Data,
    *,
    arch: str | Callable[..., Any] = "cifar:resnet8?width=8",
    activation: str | Factory | Sequence[str | Factory] = "relu",
    normalization: str | Sequence[str] = "native",
    seeds: int | Sequence[int] = 1,
    epochs: int = 2,
    batch_size: int = 128,
    lr: float | str | Mapping[str, float] = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    augment: str = "none",
    noise: float = 0.0,
    validation: float = 0.0,
    validate_every: int | None = None,
    track: str | Sequence[int] | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    progress: bool = True,
    on_note: Callable[[str], None] | None = None,
    on_start: Callable[[Sequence[Job], int], Callable[[int], None]] | None = None,
    on_network: Callable[[Job, Spec | None], None] = lambda job, spec: None,
    **data: Any,
) -> list[Path]:
    """Train a grid of activations x normalisations x training seeds; return the files of its networks.

    Networks that are there already, trained in the same way, are kept. Deterministic: see `train_checkpoint`.

    Parameters
    ----------
    dataset
        Training data: what `load_dataset` takes, a `Dataset`, images and labels, or a map-style data set of
        torch: see `robustbench_act.datasets.as_dataset`.
    arch
        An architecture, see `build_model`, or your own function or class. One from a script or a notebook
        can be trained, but its files can be loaded only there.
    activation
        One or several: names, as "relu,la_silu(alpha=0.1)", or classes; "all" that are listed; "native" keeps
        those that the network was written with.
    normalization
        One or several names with commas or in a list, see `replace_normalization`.
    seeds
        Train with the seeds 1 to N, or with those of a list.
    epochs, batch_size, momentum, weight_decay, augment, noise
        See `Recipe`.
    lr
        Learning rate: of all activations, or by their names: {"relu": 0.1, "silu": 0.05}, or
        "0.1,silu=0.05", where 0.1 is that of all others.
    validation
        Share of the training images, drawn in each class, that no network is trained on: their accuracy goes
        into each file, to choose settings by. 0: none.
    validate_every
        Measure the accuracy on validation images, at most `CHECK_IMAGES`, after each so many steps and after
        the last; a table with the columns step, epoch, lr, loss (the mean since the row before) and accuracy
        goes next to each file.
    track
        Probe the layers after these epochs, "0,1,last", "all" or a list, or shares of the training as "25%";
        a table goes next to each file: step, epoch, then the columns of `probe_in_training`.
    device
        "auto", "cpu", "cuda" or "cuda:i".
    out
        Folder of the checkpoints; by default `runs/train-DATASET`.
    progress
        Show progress in a notebook or a terminal; elsewhere nothing is shown.
    on_note
        Called with what a reader of the accuracies should know; by default it is shown with the progress, or
        is a warning in the log if none is shown.
    on_start
        Called with the networks to be trained and the number of images that they will see; it returns a
        function that is then called with each number of images seen. It replaces the progress that is shown.
    on_network
        Called with each network that was there already, then with each that has been trained; the spec, with
        the clean accuracy, is None for the former.
    data
        Other settings of `DataRequest`: limit, imports, channels, class_order, resize, download, ...

    Raises
    ------
    InputError
        For wrong settings, before anything is trained; for a network that was trained in another way.
    DivergedError
        An InputError too: the loss is not finite.
    StoppedError
        A KeyboardInterrupt, or the stop button of a notebook. Finished networks are kept.
    """
    if not isinstance(arch, str) and not hasattr(arch, "__qualname__"):  # a module, say
        kind = type(arch).__name__
        raise InputError(f"arch: expected a name, a class or a function that builds networks, got a {kind}.")
    known = [item.name for item in fields(DataRequest) if item.name != "valid_classes"]
    if wrong := next((name for name in data if name not in known), None):
        raise unknown_name("option of train", wrong, [*known, *inspect.signature(train).parameters])
    rates = LearningRates.parse(lr)
    recipe = Recipe(
        epochs, batch_size, momentum=momentum, weight_decay=weight_decay, augment=augment, noise=noise
    )
    moments = () if track is None else parse_moments(_text(track), recipe.epochs)
    _check_validation(validation, validate_every)
    request = DataRequest(dataset=dataset, **data)  # imports the modules that register activations
    folder = expand(out) if out else Path("runs") / f"train-{_name(dataset)}"
    jobs = plan_grid(_activations(activation), _seeds(seeds), folder, _several(normalization))
    rates.check(jobs)
    where = choose_device(device)
    with choose_bar(progress and on_start is None, log=_log.warning) as bar:
        told = request.on_items if "on_items" in data else bar.start
        parts = open_parts(replace(request, on_items=told), validation=validation)
    bar = choose_bar(progress and on_start is None, log=_log.warning)
    for text in _notes(parts):
        (on_note or bar.note)(text)
    architecture = arch if isinstance(arch, str) else origin(arch)
    steps = step_count(parts.train, recipe)
    watch = Watch(steps_at(moments, steps // recipe.epochs), _every(validate_every, steps))
    settings: dict[str, Any] = {"architecture": architecture, "watch": watch}
    recipes = {job.path: replace(recipe, lr=rates.of(job)) for job in jobs}
    todo = [
        job for job in jobs if not is_trained(job, train=parts.train, recipe=recipes[job.path], **settings)
    ]
    for job in jobs:
        if job not in todo:
            on_network(job, None)
    images, done = len(todo) * steps * recipe.batch_size, len(jobs) - len(todo)
    try:
        with bar:
            on_images = bar.start("training", images) if on_start is None else on_start(todo, images)
            settings |= {"device": where, "on_step": lambda: on_images(recipe.batch_size)}
            for job in todo:
                bar.rename(job.path.stem)
                spec = train_checkpoint(job, parts, recipe=recipes[job.path], **settings)
                done += 1
                on_network(job, spec)
    except KeyboardInterrupt:
        raise StoppedError(
            f"Interrupted: {done} of {len(jobs)} networks in {folder} are complete; the same call continues."
        ) from None
    return [job.path for job in jobs]


def _check_validation(share: float, every: int | None) -> None:
    if every is not None and every < 1:
        raise InputError(f"Expected validate_every >= 1, got {every}.")
    if every is not None and not share:
        raise InputError("validate_every: expected validation images; take a share of them, such as 0.1.")


def _every(every: int | None, steps: int) -> tuple[int, ...]:
    return () if every is None else tuple(sorted({*range(every, steps + 1, every), steps}))


def _notes(parts: Parts) -> list[str]:
    found = []
    if parts.held_out:
        what = f"clean accuracy is that of {parts.held_out}, which no network is trained on"
        what = what if parts.test is not None else "there is no clean accuracy, each class has a single image"
        found.append(f"{parts.train.name} has no labelled test part: {what}.")
    if parts.doubt:
        found.append(f"{parts.train.name}: {parts.doubt}; the clean accuracy counts them.")
    return found


def _activations(given: str | Factory | Sequence[str | Factory]) -> list[str | Factory]:
    if isinstance(given, str):
        return [*(list_activations() if given == ALL else split_activations(given))]
    return list(given) if isinstance(given, Sequence) else [given]


def _several(given: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)


def _seeds(given: int | Sequence[int]) -> Iterable[int]:
    return given if isinstance(given, Sequence) else range(1, given + 1)


def _text(track: str | Sequence[int]) -> str:
    return track if isinstance(track, str) else ",".join(map(str, track))


def _name(dataset: Data) -> str:
    """Return the name of a data set for a folder."""
    name = dataset.partition(":")[0] if isinstance(dataset, str) else name_of(dataset)
    return re.sub(r"[^\w.-]", "-", name)
