"""What run.json says of a run: its images, corruptions and checkpoints, and how it was computed."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Self, get_args, get_origin

from robustbench_act.errors import InputError

SCHEMA_VERSION = 1
_DECISIVE = (
    "version", "seed", "severities", "dataset", "suites", "checkpoints", "probe", "device", "precision",
    "memory_format", "compiled", "kernels",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class JsonObject:
    """An object of run.json; a key that an older run lacks has its default, unknown keys are in `extra`."""

    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: Any, *, where: str) -> Self:
        """Return the entry that a JSON object holds; null is as good as a missing key.

        An error starts with `where`: the file, then the place in it. Raises InputError if the value is not an
        object, a key is missing, or a value is of the wrong type.

        >>> SuiteInfo.from_json({"name": "c15", "table": "32", "mine": 1}, where="run.json").to_json()
        {'name': 'c15', 'source': '', 'codec': '', 'hash': '', 'table': '32', 'corruptions': [], 'mine': 1}
        """
        if not isinstance(data, dict):
            raise InputError(f"{where}: expected an object, got {data!r:.60}.")
        declared = {item.name: item for item in fields(cls) if item.name != "extra"}
        given = {key: value for key, value in data.items() if value is not None and key in declared}
        missing = [name for name, item in declared.items() if _required(item) and name not in given]
        if missing:
            raise InputError(f"{where}: missing {', '.join(missing)}.")
        values = {key: _converted(value, declared[key], where) for key, value in given.items()}
        return cls(**values, extra={key: value for key, value in data.items() if key not in declared})

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_json` reads: every field in the order of its declaration."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return {**{name: _plain(value) for name, value in own.items()}, **self.extra}


@dataclass(frozen=True, kw_only=True)
class DatasetInfo(JsonObject):
    """The images.

    Attributes
    ----------
    images, total
        How many were evaluated, and how many the data set has.
    classes
        Their names, in the order of the labels.
    size
        (C, H, W).
    view
        What pictures went through before a network: see `robustbench_act.view.View`.
    unreadable
        Pictures that were left out.
    digest
        SHA-256 of pixels and labels.
    """

    name: str
    images: int = 0
    total: int | None = None
    labelled: bool | None = None
    classes: tuple[str, ...] = ()
    size: tuple[int, ...] = ()
    view: Mapping[str, Any] | None = None
    unreadable: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class SuiteInfo(JsonObject):
    """A suite of corruptions: made on the fly by a table of constants, or read from files by a codec."""

    name: str
    source: str = ""
    codec: str = ""
    hash: str = ""
    table: str = ""
    corruptions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo(JsonObject):
    """A checkpoint: its file, then its `robustbench_act.checkpoints.Spec`, then how the file was read."""

    name: str
    digest: str = ""
    status: str = ""
    error: str | None = None
    architecture: str = ""
    activation: str = ""
    classes: int | None = None
    input_size: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    activation_parameters: Mapping[str, float] = field(default_factory=dict)
    training_seed: int | None = None
    dataset: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    clean_accuracy: int | float | None = None
    resize: int | None = None
    interpolation: str = ""
    read: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunInfo(JsonObject):
    """The content of run.json.

    Attributes
    ----------
    created
        Date and time in UTC, ISO 8601.
    seed
        Of the corruptions.
    probe
        How many images the layers were watched on; None without probes.
    kernels
        Versions of the libraries that round.
    notes
        What went wrong and was mended.
    tables
        SHA-256 of each file of the tables; none in older runs.
    status
        "running" or "complete"; "" in older runs.
    writer
        The process that writes, or wrote last.
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
    tables: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    writer: Mapping[str, Any] = field(default_factory=dict)

    def decisive(self) -> dict[str, Any]:
        """Return what the numbers depend on, as JSON: a run that differs in it is a different run."""
        content = self.to_json()
        return {name: content[name] for name in _DECISIVE}

    @classmethod
    def from_json(cls, data: Any, *, where: str) -> Self:
        """Return the content of run.json, or the part that a baseline has; see `JsonObject.from_json`."""
        found = super().from_json(data, where=where)
        numbers = all(isinstance(value, int | float) for value in found.severities)
        if not numbers or list(found.severities) != sorted(found.severities):
            given = list(found.severities)
            raise InputError(f"{where}: expected 'severities' to be numbers in rising order, got {given}.")
        return found


def _required(item: "Field[Any]") -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _converted(value: Any, item: "Field[Any]", where: str) -> Any:
    """Return a value of JSON as its field has it: a list is a tuple, an object of a known form an entry."""
    place = f"{where}: {item.name}"
    if get_origin(item.type) is tuple:
        (kind, _) = get_args(item.type)
        _check_type(value, (list,), item.name, where)
        return tuple(
            kind.from_json(own, where=place) if issubclass(kind, JsonObject) else own for own in value
        )
    if isinstance(item.type, type) and issubclass(item.type, JsonObject):
        return item.type.from_json(value, where=place)
    kinds = (item.type,) if get_origin(item.type) is Mapping else get_args(item.type) or (item.type,)
    _check_type(value, tuple(get_origin(kind) or kind for kind in kinds), item.name, where)
    return value


_TYPES = {list: "a list", Mapping: "an object", str: "a text", int: "a whole number", float: "a number"}


def _check_type(value: Any, kinds: tuple[Any, ...], name: str, where: str) -> None:
    if not isinstance(value, kinds):
        expected = " or ".join(_TYPES.get(kind, kind.__name__) for kind in kinds if kind is not type(None))
        raise InputError(f"{where}: expected {name!r} to be {expected}, got {value!r:.60}.")


def _plain(value: Any) -> Any:
    """Return a value of a field as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(own) for own in value]
    return value.to_json() if isinstance(value, JsonObject) else value
