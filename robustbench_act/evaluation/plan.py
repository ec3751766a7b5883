"""What to evaluate, as one plain object: blocks of checkpoints x (suite, corruption) x chunks of images."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

import pandas as pd
import torch

from corruptions import Cell, Suite, get_suite
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import Dataset, StoredCell, StoredSuite
from robustbench_act.english import joined, some
from robustbench_act.errors import InputError
from robustbench_act.evaluation.units import CLEAN_SERIES, Series, WorkUnit
from robustbench_act.normalizations import normalization_code
from robustbench_act.options import PROBE_IMAGES
from robustbench_act.records import Behaviour, CheckpointInfo, DatasetInfo, RunInfo, SuiteInfo
from robustbench_act.tally.outcomes import IMAGES_PER_BYTE
from robustbench_act.texts import encodable

CHUNK = 256  # images in a unit of work, after the probe sample: it is a chunk of its own
assert CHUNK % IMAGES_PER_BYTE == 0, "the bytes of chunks are joined (tally.quantity_kinds.ImageBytes)"
STORE = 2**27  # bytes of the images of a unit, in all versions, unless one series has more
BLOCK = 32  # checkpoints in a unit of work, at most, and
BLOCK_BYTES = 2**28  # about so much of their weights, and
PASSES = 2**16  # about so many images through networks: a unit that is lost is no great loss
LEAST_UNITS = 32  # so that first results come soon, and processes share the work evenly


@dataclass(frozen=True, eq=False)
class Plan:
    """Checkpoints, images and cells of one run.

    Attributes
    ----------
    checkpoints
        The checkpoints, in the order of the tables.
    dataset
        The images, in their own order.
    suites
        Suites of corruptions on the fly, or what `get_suite` takes; the data set's files come after them.
    severities
        Severities of every corruption, each in [1, 5].
    seed
        Seed of the corruptions' random streams.
    probes
        Whether the activation layers are watched.
    probe_images
        On how many images: a multiple of CHUNK; on all if there are fewer.
    behaviours
        What networks do that others do not, by the names of the checkpoints; see `looks.with_behaviours`.
    """

    checkpoints: Sequence[Checkpoint]
    dataset: Dataset
    suites: tuple[str | Suite, ...]
    severities: tuple[float, ...]
    seed: int = 0
    probes: bool = True
    probe_images: int = PROBE_IMAGES
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.checkpoints or not self.severities or not (self.suites or self.dataset.stored):
            raise InputError("Expected at least one checkpoint, one suite and one severity.")
        for severity in self.severities:
            if not 1 <= severity <= 5:
                raise InputError(
                    f"Expected severities in [1, 5] (the clean images always come too), got {severity:g}."
                )
        if self.probe_images < CHUNK or self.probe_images % CHUNK:
            raise InputError(f"Expected probe images as a multiple of {CHUNK}, got {self.probe_images}.")
        self._check_suites()
        for checkpoint in self.checkpoints:
            _check_classes(checkpoint, self.dataset)
            checkpoint.preprocessing(self.dataset.shape)

    def _check_suites(self) -> None:
        suites = self.chosen_suites()
        names = [suite.name for suite in suites]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"Expected suites of different names, got two called {twice!r}.")
        for cell in (cell for suite in suites for cell in suite.cells):
            if isinstance(cell, StoredCell):
                cell.check_size(self.dataset.shape[1:])

    def behaviour(self, checkpoint: Checkpoint) -> Behaviour:
        """Return what is known of a checkpoint's network: nothing unusual before it was looked at."""
        return self.behaviours.get(checkpoint.name, Behaviour())

    @cached_property
    def ordered(self) -> Dataset:
        """The images in the order of the chunks: the probe sample first, stratified.

        Pixels are keyed by image id, so the order changes no pixel.
        """
        return probe_sample_first(self.dataset, self.probe_images)

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """The clean images first, then each corruption of each suite."""
        _, height, width = self.dataset.shape
        found = [CLEAN_SERIES]
        for suite in self.chosen_suites():
            table = suite.resolve_table(height, width)
            cells: tuple[Cell | StoredCell, ...] = suite.cells
            for name, own in groupby(cells, key=lambda cell: cell.corruption):
                members = tuple(own)
                found.append(Series(suite.name, table, name, members[0].group, members))
        return tuple(found)

    @cached_property
    def chunks(self) -> tuple[range, ...]:
        """The places of the images of each chunk: the probe sample, if there is one, then CHUNK each."""
        total = len(self.dataset)
        first = min(self.probe_images if self.probes else CHUNK, total)
        rest = (range(start, min(start + CHUNK, total)) for start in range(first, total, CHUNK))
        return (range(first), *rest)

    @cached_property
    def blocks(self) -> tuple[range, ...]:
        """Places of the checkpoints that share a unit's images: in order, about equally many each."""
        total = len(self.checkpoints)
        size = sum(checkpoint.size for checkpoint in self.checkpoints)
        largest = max(
            len(images) * (1 + sum(len(one.cells) for one in group))
            for images in self.chunks[:2]
            for group in self.groups(len(images))
        )
        units = sum(len(self.groups(len(images))) for images in self.chunks)
        wanted = max(
            -(-total // BLOCK),
            -(-size // BLOCK_BYTES),
            -(-total * largest // PASSES),
            -(-LEAST_UNITS // units),
        )
        count = min(total, wanted)
        return tuple(range(total * place // count, total * (place + 1) // count) for place in range(count))

    def groups(self, images: int) -> tuple[tuple[Series, ...], ...]:
        """Divide the series among units of so many images, as many to each as STORE has room for."""
        pixels, inputs = math.prod(self.dataset.shape), math.prod(self.largest_input)
        found: list[list[Series]] = []
        room = 0
        for one in self.series:
            needed = images * one.bytes_of(pixels, inputs)
            if not found or (needed > room and found != [[CLEAN_SERIES]]):  # no unit of clean images alone
                found.append([])
                room = STORE - images * pixels
            found[-1].append(one)
            room -= needed
        return tuple(map(tuple, found))

    def units(self) -> Iterator[WorkUnit]:
        """Yield the units in canonical order: chunk by chunk, in each group by group of corruptions."""
        for number, images in enumerate(self.chunks):
            for series in self.groups(len(images)):
                for block in self.blocks:
                    yield WorkUnit(series, number, block)

    @property
    def unit_count(self) -> int:
        """How many units there are."""
        return sum(len(self.groups(len(images))) for images in self.chunks) * len(self.blocks)

    def merge_order(self) -> Iterator[Iterator[WorkUnit]]:
        """Yield the units in the order in which tables are merged: by block, then by chunk."""
        for block in self.blocks:
            yield (
                WorkUnit(series, number, block)
                for number, images in enumerate(self.chunks)
                for series in self.groups(len(images))
            )

    def images_of(self, unit: WorkUnit) -> int:
        """Return how many images of a unit count as done with it, clean and corrupted."""
        running = sum(self.checkpoints[place].problem is None for place in unit.checkpoints)
        return len(self.chunks[unit.chunk]) * unit.rows * running

    def chosen_suites(self) -> list[Suite | StoredSuite]:
        """Return the suites of corruptions on the fly, then the data set's files, at the severities."""
        suites: list[Suite | StoredSuite] = [
            one if isinstance(one, Suite) else get_suite(one) for one in self.suites
        ]
        if self.dataset.stored is not None:
            suites.append(self.dataset.stored)
        return [suite.with_severities(self.severities) for suite in suites]

    @property
    def own_corruptions(self) -> list[str]:
        """Names of the corruptions that are the user's own."""
        chosen = (suite for suite in self.chosen_suites() if isinstance(suite, Suite))
        return list(dict.fromkeys(name for suite in chosen for name in suite.code))

    def identity(self) -> pd.DataFrame:
        """Return the columns `IDENTITY` of tables, a row for each checkpoint, as parts write the names."""
        rows: Iterator[dict[str, Any]] = (
            {
                "checkpoint": encodable(checkpoint.name),
                "architecture": encodable(checkpoint.spec.architecture_name),
                "activation": encodable(checkpoint.spec.activation_name),
                "normalization": checkpoint.normalization,
                "network_group": encodable(checkpoint.spec.group),
                "training_seed": checkpoint.spec.training_seed,
                "dataset": encodable(self.dataset.name),
            }
            for checkpoint in self.checkpoints
        )
        return pd.DataFrame(rows)

    def chunk(self, number: int) -> Dataset:
        """Return the images of a chunk."""
        images = self.chunks[number]
        return self.ordered[images.start : images.stop]

    @property
    def largest_input(self) -> tuple[int, int, int]:
        """(C, H, W) of the largest input of a network."""
        return max((checkpoint.spec.input_size for checkpoint in self.checkpoints), key=math.prod)

    @property
    def passes(self) -> int:
        """Images that the networks answer in all, clean and corrupted."""
        cells = 1 + sum(len(one.cells) for one in self.series)
        running = sum(checkpoint.problem is None for checkpoint in self.checkpoints)
        return cells * len(self.dataset) * running

    def describe(self) -> RunInfo:
        """Return the plan as run.json has it."""
        _, height, width = self.dataset.shape
        return RunInfo(
            seed=self.seed,
            severities=tuple(float(severity) for severity in self.severities),
            dataset=_describe_data(self.dataset),
            suites=tuple(
                SuiteInfo(
                    name=suite.name,
                    source="files" if isinstance(suite, StoredSuite) else "on the fly",
                    codec=suite.codec if isinstance(suite, StoredSuite) else "none",
                    hash=suite.hash,
                    table=suite.resolve_table(height, width),
                    corruptions=tuple(suite.corruptions),
                    code={} if isinstance(suite, StoredSuite) else suite.code,
                )
                for suite in self.chosen_suites()
            ),
            checkpoints=tuple(_describe(one, self.behaviour(one), self.dataset) for one in self.checkpoints),
            probe={"images": len(self.chunks[0])} if self.probes else None,
        )


def plan_key(info: RunInfo) -> str:
    """Return the SHA-256 of what the numbers depend on."""
    return hashlib.sha256(json.dumps(info.decisive(), sort_keys=True).encode()).hexdigest()


def probe_sample_first(dataset: Dataset, images: int = PROBE_IMAGES) -> Dataset:
    """Return the same images, a stratified subset of so many of them in front."""
    sample = dataset.subset(images)
    rest = torch.isin(dataset.ids, sample.ids, invert=True)
    rows = torch.arange(len(dataset))
    return dataset[torch.cat([rows[~rest], rows[rest]])]


def _check_classes(checkpoint: Checkpoint, dataset: Dataset) -> None:
    spec = checkpoint.spec
    count = dataset.class_count
    if count is not None and (spec.classes < count if dataset.open_ended else spec.classes != count):
        part = dataset.labels is not None and spec.classes > count
        hint = (
            "; if these are some of its classes, --class-order FILE names all of them in its order, and "
            "--valid-classes present restricts its answers to those that have images"
        )
        raise InputError(
            f"{checkpoint.path}: has {spec.classes} classes, dataset {dataset.name!r} has {count}"
            f"{hint if part else ''}."
        )


def _describe_data(data: Dataset) -> DatasetInfo:
    view = data.view
    return DatasetInfo(
        name=data.name,
        images=len(data),
        total=data.total,
        labelled=data.labels is not None,
        classes=tuple(data.classes),
        class_order=data.class_order,
        columns=() if data.columns is None else tuple(data.columns.tolist()),
        valid_classes=restriction(data),
        size=tuple(data.shape),
        view=None if view is None else {"what": str(view), **view.to_record()},
        unreadable=tuple(data.unreadable),
        labels_from=data.labels_from,
        digest=data.digest,
    )


def restriction(data: Dataset) -> str:
    """Return to how many classes images and answers are restricted, as "200 of 1,000"; "" if to none."""
    return f"{len(data.classes):,} of {len(data.network_classes):,}" if data.network_classes else ""


def adaptations(checkpoints: Iterable[Checkpoint], data: Dataset) -> list[str]:
    """Return what is done to images and labels so that they fit the networks, a sentence for each.

    Before that come the checkpoints' warnings.
    """
    checkpoints = list(checkpoints)
    found: dict[str, list[str]] = {}
    for checkpoint in checkpoints:
        if steps := checkpoint.adapted(data.shape):
            found.setdefault(joined(steps), []).append(checkpoint.name)
    size = " x ".join(map(str, data.shape))
    notes = [f"{one.name}: {text}." for one in checkpoints for text in one.warnings]
    notes += [
        f"{some(names)}: images of {size} are {steps}, after corruptions." for steps, names in found.items()
    ]
    if part := restriction(data):
        notes.append(f"{data.name}: images and answers are restricted to {part} classes.")
    if data.labels_from is not None:
        notes.append(
            f"{data.name}: labels count from {data.labels_from}, classes of networks from 0: 1 is taken away."
        )
    return notes


def _describe(checkpoint: Checkpoint, behaviour: Behaviour, data: Dataset) -> CheckpointInfo:
    spec = asdict(checkpoint.spec)
    spec |= {
        "activation": checkpoint.spec.activation_name,
        "architecture": checkpoint.spec.architecture_name,
        "model": checkpoint.spec.architecture,
        "normalization": checkpoint.normalization,
        "normalization_code": normalization_code(checkpoint.spec.normalization),
    }
    return CheckpointInfo(
        name=checkpoint.name,
        digest=checkpoint.digest,
        status="failed" if checkpoint.problem else "ok",
        error=checkpoint.problem,
        **spec,
        read=tuple(checkpoint.notes),
        adapted=checkpoint.adapted(data.shape),
        behaviour=behaviour,
    )
