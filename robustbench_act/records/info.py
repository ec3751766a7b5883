"""The content of run.json: images, corruptions and checkpoints of a run, and how it was computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from robustbench_act.errors import InputError
from robustbench_act.records.behaviour import Behaviour
from robustbench_act.records.json_object import JsonObject

SCHEMA_VERSION = 1
_DECISIVE = (
    "version", "seed", "severities", "dataset", "suites", "checkpoints", "probe", "device", "precision",
    "memory_format", "compiled", "kernels",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DatasetInfo(JsonObject):
    """The images of a run.

    Attributes
    ----------
    images, total
        Number of images evaluated, and number in the data set.
    classes
        Names of the classes, in the order of the labels.
    class_order
        See `robustbench_act.datasets.Dataset`.
    valid_classes
        To how many classes images and answers were restricted, as "200 of 1,000"; "" if to none.
    columns
        The outputs of networks that are those of `classes`, if they were restricted.
    size
        (C, H, W).
    view
        How pictures were resized and cropped: see `robustbench_act.view.View`.
    unreadable
        Pictures that were left out.
    labels_from
        1 if the labels in the files count from 1.
    digest
        SHA-256 of pixels and labels.
    """

    name: str
    images: int = 0
    total: int | None = None
    labelled: bool | None = None
    classes: tuple[str, ...] = ()
    class_order: str = ""
    valid_classes: str = ""
    columns: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    view: Mapping[str, Any] | None = None
    unreadable: tuple[str, ...] = ()
    labels_from: int | None = None
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class SuiteInfo(JsonObject):
    """A suite of corruptions: made on the fly with a table of constants, or read from files of a codec.

    `code` has the SHA-256 of the source of each corruption of the user's own.
    """

    name: str
    source: str = ""
    codec: str = ""
    hash: str = ""
    table: str = ""
    corruptions: tuple[str, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo(JsonObject):
    """A checkpoint: its file, its `robustbench_act.checkpoints.Spec`, how it was read, how it behaves.

    Attributes
    ----------
    architecture, activation, normalization
        As tables name them; the normalisation is the one that the network has, "" in older runs.
    normalization_code
        SHA-256 of the source of a normalisation of the user's own.
    model
        What built the network; "" in older runs: there it is the architecture.
    """

    name: str
    digest: str = ""
    status: str = ""
    error: str | None = None
    architecture: str = ""
    activation: str = ""
    normalization: str = ""
    normalization_code: str = ""
    classes: int | None = None
    input_size: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    activation_parameters: Mapping[str, Any] = field(default_factory=dict)
    activation_facts: Mapping[str, str] = field(default_factory=dict)
    training_seed: int | None = None
    dataset: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    clean_accuracy: int | float | None = None
    validation_accuracy: int | float | None = None
    resize: int | list[int] | None = None
    interpolation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    model: str = ""
    read: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    behaviour: Behaviour = field(default_factory=Behaviour)

    @property
    def network_group(self) -> str:
        """The group that its label names; "" if it has none."""
        return self.labels.get("group", "")


@dataclass(frozen=True, kw_only=True)
class SourceInfo(JsonObject):
    """A run that was merged into this one, without its path: what tells it from others."""

    checkpoints: tuple[str, ...] = ()
    created: str = ""
    version: str = ""
    device: str = ""
    kernels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunInfo(JsonObject):
    """The content of run.json.

    Attributes
    ----------
    created
        Date and time in UTC, ISO 8601.
    seed
        Seed of the corruptions.
    probe
        Number of images on which the layers were measured; None without probes.
    kernels
        Versions of the libraries that compute: others may round differently.
    notes
        What went wrong and was repaired.
    sources
        The runs that this one was merged from, with the checkpoints of each; empty if it was not merged.
    tables
        SHA-256 of each file of the tables; empty in older runs.
    status
        "running" or "complete"; "" in older runs.
    writer
        The process that is writing the run, or wrote it last.
    """

    schema_version: int = SCHEMA_VERSION
    product: str = ""
    created: str = ""
    command: str = ""
    version: str = ""
    seed: int | None = None
    severities: tuple[float, ...]
    dataset: DatasetInfo
    suites: tuple[SuiteInfo, ...]
    checkpoints: tuple[CheckpointInfo, ...]
    probe: Mapping[str, int] | None = None
    device: str = ""
    precision: str = ""
    memory_format: str = ""
    compiled: bool | None = None
    kernels: Mapping[str, str] = field(default_factory=dict)
    batch_size: int | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sources: tuple[SourceInfo, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    writer: Mapping[str, Any] = field(default_factory=dict)

    def decisive(self) -> dict[str, Any]:
        """Return the settings that the numbers depend on, as JSON: if one differs, it is a different run."""
        content = self.to_json()
        for entry, checkpoint in zip(content["checkpoints"], self.checkpoints, strict=True):
            entry["behaviour"] = checkpoint.behaviour.decisive()  # a user's code may change it
        del content["dataset"]["class_order"]  # the digest covers the labels
        return {name: content[name] for name in _DECISIVE}

    @classmethod
    def from_json(cls, data: Any, *, where: str) -> Self:
        """Return the content of run.json, or the part that a baseline holds; see `JsonObject.from_json`."""
        found = super().from_json(data, where=where)
        numbers = all(isinstance(value, int | float) for value in found.severities)
        if not numbers or list(found.severities) != sorted(found.severities):
            given = list(found.severities)
            raise InputError(f"{where}: expected 'severities' to be numbers in rising order, got {given}.")
        return found
