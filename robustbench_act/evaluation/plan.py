"""What to evaluate, as one plain object: checkpoints x (suite, corruption) x chunks of images."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch

from corruptions import Cell, Suite, get_suite
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import CLEAN, Dataset, StoredCell, StoredSuite
from robustbench_act.errors import InputError

CHUNK = 256  # images in a unit of work; the first chunk is also the probe sample


@dataclass(frozen=True)
class Unit:
    """One corruption at all its severities, on one chunk of images, before every checkpoint."""

    suite: str
    table: str
    corruption: str
    group: str
    cells: tuple[Cell | StoredCell, ...]
    chunk: int

    @property
    def key(self) -> str:
        """Name of the unit's files; sorts in the order of the chunks."""
        return f"{self.suite}-{self.corruption}-{self.chunk:06d}"

    @property
    def severities(self) -> tuple[float, ...]:
        """0 for the clean images, then the severities of the cells."""
        return (0.0, *(float(cell.severity) for cell in self.cells))


@dataclass(frozen=True, eq=False)
class Plan:
    """Checkpoints, images and cells of one run.

    Attributes
    ----------
    checkpoints
        In the order of the tables.
    dataset
        Images in their own order.
    suites
        Names of suites of corruptions on the fly; the data set's stored one comes after them.
    severities
        Severities of every corruption, each in [1, 5].
    seed
        Of the corruptions' random streams.
    probes
        Whether the activation layers are watched.
    """

    checkpoints: Sequence[Checkpoint]
    dataset: Dataset
    suites: tuple[str, ...]
    severities: tuple[float, ...]
    seed: int = 0
    probes: bool = True

    def __post_init__(self) -> None:
        if not self.checkpoints or not self.severities or not (self.suites or self.dataset.stored):
            raise InputError("Expected at least one checkpoint, one suite and one severity.")
        for severity in self.severities:
            if not 1 <= severity <= 5:
                raise InputError(
                    f"Expected severities in [1, 5] (the clean images always come too), got {severity:g}."
                )
        self.chosen_suites()
        for checkpoint in self.checkpoints:
            _check_fit(checkpoint, self.dataset)
        for suite in self.chosen_suites():
            for cell in suite.cells:
                if isinstance(cell, StoredCell):
                    cell.check_size(self.dataset.shape[1:])

    @cached_property
    def ordered(self) -> Dataset:
        """The images in the order of the chunks: the probe sample first, CHUNK images, balanced.

        Pixels are keyed by image id, so the order changes no pixel.
        """
        return probe_sample_first(self.dataset)

    def units(self) -> Iterator[Unit]:
        """Yield the units in canonical order: chunk by chunk, of each the clean images first."""
        _, height, width = self.dataset.shape
        kinds: list[tuple[str, str, str, str, tuple[Cell | StoredCell, ...]]]
        kinds = [(CLEAN, "", CLEAN, CLEAN, ())]
        for suite in self.chosen_suites():
            table = suite.resolve_table(height, width)
            cells: tuple[Cell | StoredCell, ...] = suite.cells
            for name, own in groupby(cells, key=lambda cell: cell.corruption):
                members = tuple(own)
                kinds.append((suite.name, table, name, members[0].group, members))
        for chunk in range(-(-len(self.dataset) // CHUNK)):
            for kind in kinds:
                yield Unit(*kind, chunk)

    def chosen_suites(self) -> list[Suite | StoredSuite]:
        """Return the suites of corruptions on the fly, then the data set's files, at the severities."""
        suites: list[Suite | StoredSuite] = [get_suite(name) for name in self.suites]
        if self.dataset.stored is not None:
            suites.append(self.dataset.stored)
        return [suite.with_severities(self.severities) for suite in suites]

    def chunk(self, number: int) -> Dataset:
        """Return the images of a chunk."""
        return self.ordered[number * CHUNK : (number + 1) * CHUNK]

    @property
    def passes(self) -> int:
        """Images that go through networks in all, clean and corrupted."""
        cells = 1  # the clean one
        for suite in self.chosen_suites():
            cells += len(suite.cells) + len(
                suite.corruptions
            )  # each corruption's pass repeats the clean images
        return cells * len(self.dataset) * sum(checkpoint.problem is None for checkpoint in self.checkpoints)

    def describe(self) -> dict[str, Any]:
        """Return everything the numbers depend on, as plain values for run.json."""
        _, height, width = self.dataset.shape
        return {
            "seed": self.seed,
            "severities": [float(severity) for severity in self.severities],
            "dataset": _describe_data(self.dataset),
            "suites": [
                {
                    "name": suite.name,
                    "source": "files" if isinstance(suite, StoredSuite) else "on the fly",
                    "codec": suite.codec if isinstance(suite, StoredSuite) else "none",
                    "hash": suite.hash,
                    "table": suite.resolve_table(height, width),
                    "corruptions": list(suite.corruptions),
                }
                for suite in self.chosen_suites()
            ],
            "checkpoints": [_describe(checkpoint) for checkpoint in self.checkpoints],
            "probe": {"images": min(CHUNK, len(self.dataset))} if self.probes else None,
        }


def plan_key(description: dict[str, Any]) -> str:
    """Return the SHA-256 of a plan's description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def probe_sample_first(dataset: Dataset) -> Dataset:
    """Return the same images, a balanced subset of CHUNK of them in front."""
    sample = dataset.subset(CHUNK)
    rest = torch.isin(dataset.ids, sample.ids, invert=True)
    rows = torch.arange(len(dataset))
    return dataset[torch.cat([rows[~rest], rows[rest]])]


def _check_fit(checkpoint: Checkpoint, dataset: Dataset) -> None:
    spec = checkpoint.spec
    count = dataset.class_count
    if count is not None and (spec.classes < count if dataset.open_ended else spec.classes != count):
        raise InputError(
            f"{checkpoint.path}: has {spec.classes} classes, dataset {dataset.name!r} has {count}."
        )
    if spec.input_size != dataset.shape:
        raise InputError(
            f"{checkpoint.path}: expects images of (C, H, W) = {spec.input_size}, "
            f"dataset {dataset.name!r} has {dataset.shape}."
        )


def _describe_data(data: Dataset) -> dict[str, Any]:
    view = data.view
    return {
        "name": data.name,
        "images": len(data),
        "total": data.total,
        "labelled": data.labels is not None,
        "classes": list(data.classes),
        "size": list(data.shape),
        "view": None if view is None else {"what": str(view), **asdict(view)},
        "unreadable": list(data.unreadable),
        "digest": data.digest,
    }


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "name": checkpoint.name,
        "digest": checkpoint.digest,
        "status": "failed" if checkpoint.problem else "ok",
        "error": checkpoint.problem,
        **asdict(checkpoint.spec),
        "activation": checkpoint.spec.activation_label,
        "read": list(checkpoint.notes),
    }
