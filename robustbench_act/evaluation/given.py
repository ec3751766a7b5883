"""Checkpoints as Python gives them: files, checkpoints, modules, lists of these, dictionaries of modules."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from robustbench_act.activations import activation_layers
from robustbench_act.checkpoints import Checkpoint, Entry
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.option_kinds import LABELS

Named: TypeAlias = str | Path | Checkpoint | Entry | nn.Module
"""A checkpoint, or what names one or several."""

Given: TypeAlias = Named | Sequence[Named] | Mapping[str, nn.Module | Sequence[nn.Module]]
"""Checkpoints as `evaluate` takes them; the keys of a dictionary are activations."""


@dataclass(frozen=True)
class InMemory:
    """A module with its name, its activation (None: that of its layers) and its training seed."""

    module: nn.Module
    name: str
    activation: str | None
    training_seed: int

    def checkpoint(self, data: Dataset, spec: Mapping[str, Any]) -> Checkpoint:
        """Return it as a checkpoint; `spec` has the mean, std and labels of all."""
        labels = spec.get("labels", {})
        if not isinstance(labels, Mapping):
            raise InputError(f"Expected labels as a dictionary, got {labels!r:.60}.")
        if unknown := next((label for label in labels if label not in LABELS), None):
            raise unknown_name("label", str(unknown), LABELS)
        facts = {**spec, **labels}
        facts.pop("labels", None)
        facts |= {} if self.activation is None else {"activation": self.activation}
        return Checkpoint.of(
            self.module, name=self.name, data=data, training_seed=self.training_seed, **facts
        )


def listed(given: Given) -> list[str | Path | Checkpoint | Entry | InMemory]:
    """Return what is given one by one; several modules of one key or class are numbered from 1.

    >>> [one.name for one in listed({"relu": [nn.ReLU(), nn.ReLU()], "silu": nn.SiLU()})]
    ['relu_1', 'relu_2', 'silu']
    >>> [(one.name, one.training_seed) for one in listed([nn.ReLU(), nn.SiLU(), nn.SiLU()])]
    [('ReLU', 0), ('SiLU_1', 1), ('SiLU_2', 2)]
    """
    if isinstance(given, Mapping):
        return [one for name, own in given.items() for one in _of_activation(name, own)]
    several = isinstance(given, Iterable) and not isinstance(given, nn.Module | str)
    items: list[Any] = list(given) if several else [given]  # type: ignore[arg-type]
    counts = Counter(type(one).__name__ for one in items if isinstance(one, nn.Module))
    numbers = Counter[str]()
    found: list[str | Path | Checkpoint | Entry | InMemory] = []
    for one in items:
        if isinstance(one, nn.Module):
            kind = type(one).__name__
            numbers[kind] += 1
            found.append(_numbered(one, kind, None, numbers[kind], counts[kind]))
        elif isinstance(one, str | Path | Checkpoint | Entry):
            found.append(one)
        else:
            raise InputError(f"Expected checkpoints: paths, modules or Checkpoint objects, got {one!r:.60}.")
    return found


def _of_activation(name: object, given: object) -> list[InMemory]:
    if not isinstance(name, str):
        raise InputError(f"Expected the names of activations as keys, got {name!r:.60}.")
    modules = [given] if isinstance(given, nn.Module) else given
    if not isinstance(modules, Iterable) or isinstance(modules, str):
        raise InputError(f"{name}: expected a module or a list of modules, got {given!r:.60}.")
    found = list(modules)
    return [_numbered(one, name, name, number, len(found)) for number, one in enumerate(found, start=1)]


def _numbered(module: nn.Module, name: str, activation: str | None, number: int, of: int) -> InMemory:
    if of == 1:
        return InMemory(module, name, activation, 0)
    return InMemory(module, f"{name}_{number}", activation, number)


def check_apart(networks: Iterable[Checkpoint]) -> None:
    """Raise unless networks in memory are different ones, and those that are compared are of one shape.

    Trainings that are averaged have parameters of equal shapes. Networks that have nothing but a class in
    common may differ inside their activations, or in their normalisation; a label says that more is meant.
    """
    by_digest: dict[str, Checkpoint] = {}
    by_cohort: dict[tuple[str, ...], Checkpoint] = {}
    by_class: dict[tuple[str, ...], Checkpoint] = {}
    for one in networks:
        first = by_digest.setdefault(one.digest, one)
        if first is not one:
            raise InputError(
                f"{first.name} and {one.name} are one network, with the same weights; give it once."
            )
        spec = one.spec
        architecture = (spec.architecture_name, one.normalization, spec.group)
        alike = by_cohort.setdefault((*architecture, spec.activation_name), one)
        if _shapes(alike) != _shapes(one):
            raise InputError(
                f"{alike.name} and {one.name} would be averaged as trainings of one network "
                f"({spec.architecture_name}, {spec.activation_name}), but their parameters differ in shape; "
                "tell them apart by Checkpoint.of(module, architecture=...)."
            )
        kind = spec.architecture.rpartition(":")[2].rpartition(".")[2]
        if spec.architecture_name != kind:
            continue
        alike = by_class.setdefault(architecture, one)
        if _shapes(alike, inside=False) != _shapes(one, inside=False):
            raise InputError(
                f"{alike.name} and {one.name} are both of the class {kind}, but differ in more than their "
                'activations; if they are to be compared, pass labels={"architecture": NAME}, else tell them '
                "apart by Checkpoint.of(module, architecture=...)."
            )


def _shapes(checkpoint: Checkpoint, *, inside: bool = True) -> list[tuple[str, tuple[int, ...]]]:
    """Return the names and shapes of a network's parameters, with or without those inside activations."""
    network = checkpoint.model
    acts = () if inside else tuple(f"{path}." for path, _ in activation_layers(network))
    return [(key, tuple(own.shape)) for key, own in network.named_parameters() if not key.startswith(acts)]
