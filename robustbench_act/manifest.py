"""A study in one TOML file: checkpoints with what is known about them, data, suites and options.

    dataset = "cifar-10:data"          # options have the names of the flags of `actrobust evaluate`
    suite = ["c19", "shift"]

    [spec]                             # of every checkpoint that does not say otherwise
    model = "cifar:resnet20"
    mean = [0.4914, 0.4822, 0.4465]
    std = [0.2470, 0.2435, 0.2616]

    [[checkpoint]]
    path = "nets/relu_*.pth"           # a file, a folder or a pattern, from the folder of the manifest
    activation = "relu"

Flags on the command line come before a checkpoint's own entry, that before [spec], that before the file.
"""

import glob
import json
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robustbench_act.datasets import list_datasets
from robustbench_act.errors import InputError, unknown_name

_LARGEST = 2**20  # bytes of a manifest


@dataclass(frozen=True)
class _Key:
    """What may stand under a name: a JSON schema, its check, and what it is for."""

    schema: Mapping[str, Any]
    fits: Callable[[Any], bool]
    expected: str
    help: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(help_: str) -> _Key:
    return _Key({"type": "string"}, lambda value: isinstance(value, str), "a text", help_)


def _flag(help_: str) -> _Key:
    return _Key({"type": "boolean"}, lambda value: isinstance(value, bool), "true or false", help_)


def _whole(help_: str, *, least: int = 1) -> _Key:
    def fits(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return _Key({"type": "integer", "minimum": least}, fits, f"a whole number from {least} up", help_)


def _numbers(help_: str) -> _Key:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(map(_is_number, value))

    schema = {"type": "array", "items": {"type": "number"}, "minItems": 1}
    return _Key(schema, fits, "a list of numbers", help_)


def _texts(help_: str) -> _Key:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)

    schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    return _Key(schema, fits, "a list of texts", help_)


def _parameters(help_: str) -> _Key:
    def fits(value: Any) -> bool:
        return isinstance(value, dict) and all(map(_is_number, value.values()))

    schema = {"type": "object", "additionalProperties": {"type": "number"}}
    return _Key(schema, fits, "a table of numbers", help_)


SPEC: Mapping[str, _Key] = {
    "model": _text("Architecture: cifar:resnet20, torchvision:NAME, timm:NAME, package.module:factory."),
    "activation": _text("Activation that is put into the network."),
    "activation_parameters": _parameters("Its parameters, as alpha = 0.1."),
    "training_seed": _whole("What tells training runs of one recipe apart.", least=0),
    "classes": _whole("Number of classes.", least=2),
    "input_size": _Key(
        {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3},
        lambda value: (
            isinstance(value, list) and len(value) == 3 and all(type(size) is int for size in value)
        ),
        "three whole numbers",
        "(C, H, W) of the images.",
    ),
    "mean": _numbers("Mean per channel on the [0, 1] scale."),
    "std": _numbers("Standard deviation per channel on the [0, 1] scale."),
    "dataset": _text("Name of the training data, for the record."),
    "clean_accuracy": _Key(
        {"type": "number", "minimum": 0, "maximum": 1},
        lambda value: _is_number(value) and 0 <= value <= 1,
        "a number from 0 to 1",
        "Accuracy on clean test images, for `actrobust doctor` to compare with.",
    ),
    "weights": _text("Key of the file that holds the weights, as state_dict_ema."),
}
"""What may be said of a checkpoint, in [spec] and in [[checkpoint]]."""

CHECKPOINT: Mapping[str, _Key] = {
    "path": _text("A file, a folder or a pattern, from the folder of the manifest."),
    "name": _text("What tables call it; for a single file."),
    **SPEC,
}

OPTIONS: Mapping[str, _Key] = {
    "dataset": _text("NAME, NAME:ROOT (from the folder of the manifest) or package.module:function."),
    "corrupted": _text("Folder of corrupted versions of the images."),
    "suite": _texts("Suites of corruptions."),
    "severity": _numbers("Severities in [1, 5]."),
    "limit": _whole("Evaluate on a balanced subset of so many images."),
    "resize": _whole("Pixels of the shorter side of pictures."),
    "crop": _whole("Pixels of the sides of the square that is cut from their centre."),
    "interpolation": _text("nearest, bilinear, bicubic or lanczos."),
    "resize_corrupted": _flag("Resize and crop corrupted pictures from files too."),
    "skip_unreadable": _flag("Leave out pictures that cannot be read."),
    "workers": _whole("Threads that decode pictures."),
    "batch_size": _whole("Images that go through a network at once."),
    "seed": _whole("Seed of the corruptions.", least=0),
    "device": _text("auto, cpu, cuda or cuda:i."),
    "precision": _text("fp32, tf32, bf16 or fp16."),
    "compile": _flag("Compile the networks; without probes."),
    "executor": _text("local or ray."),
    "processes": _whole("Processes that share the work."),
    "threads": _whole("CPU cores of each."),
    "ray_address": _text("Of a Ray cluster."),
    "probes": _flag("Watch the activation layers."),
    "report": _text("html or none."),
    "out": _text("Run directory."),
}
"""Options of `actrobust evaluate`, by their flags' names."""

_PATHS = ("corrupted", "out")
_TABLES = ("spec", "checkpoint")


@dataclass(frozen=True)
class Entry:
    """Checkpoints of a manifest: a file, a folder or a pattern, and what is said of it."""

    path: str
    name: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes
    ----------
    options
        By the names of `OPTIONS`; paths lead from the working folder.
    spec
        Of every checkpoint, by the names of `SPEC`.
    entries
        The checkpoints.
    """

    options: Mapping[str, Any]
    spec: Mapping[str, Any]
    entries: tuple[Entry, ...]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    InputError
        For a missing or damaged file, an unknown name or a value of another kind: where it stands is said.
    """
    data = _read_toml(path)
    tables = {name: data.pop(name) for name in _TABLES if name in data}
    options = _checked(data, OPTIONS, where=str(path))
    spec = _checked(tables.get("spec", {}), SPEC, where=f"{path}: [spec]")
    rows = tables.get("checkpoint", [])
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected [[checkpoint]], a table for each, got one [checkpoint].")
    entries = tuple(_entry(row, path, number) for number, row in enumerate(rows, start=1))
    for name in _PATHS:
        if name in options:
            options[name] = str(path.parent / options[name])
    if "dataset" in options:
        options["dataset"] = _rooted(options["dataset"], path.parent)
    return Manifest(options, spec, entries)


def write_manifest(folder: Path, checkpoints: Iterable[Path], facts: Mapping[Path, Mapping[str, Any]]) -> str:
    """Return the text of a manifest that names the checkpoints, for editing.

    Parameters
    ----------
    folder
        Where it will lie; paths lead from there.
    checkpoints
        Files.
    facts
        What is known of each from its name: written out; what the file itself says is left to the file.
    """
    lines = [
        "# A study for `actrobust evaluate --manifest FILE`; flags on the command line come first.",
        "# `actrobust manifest --schema` prints the JSON schema for editors.",
        "",
        '# dataset = "mnist-1k"  # NAME or NAME:ROOT, see `actrobust list` and docs/data.md',
        '# suite = ["c19", "shift"]',
        "# severity = [1, 2, 3, 4, 5]",
        "# limit = 1000",
        "",
        "[spec]  # of every checkpoint that does not say otherwise",
        '# model = "cifar:resnet20"',
        "# mean = [0.4914, 0.4822, 0.4465]",
        "# std = [0.2470, 0.2435, 0.2616]",
    ]
    for path in checkpoints:
        lines += ["", "[[checkpoint]]", f"path = {_toml(_relative(path, folder))}"]
        lines += [f"{key} = {_toml(value)}" for key, value in facts.get(path, {}).items()]
    return "\n".join([*lines, ""])


def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema of a manifest.

    >>> manifest_schema()["properties"]["limit"]["type"]
    'integer'
    """

    def table(keys: Mapping[str, _Key], required: list[str]) -> dict[str, Any]:
        properties = {name: {**key.schema, "description": key.help} for name, key in keys.items()}
        kind = {"type": "object", "additionalProperties": False, "properties": properties}
        return kind | ({"required": required} if required else {})

    whole = table(OPTIONS, [])
    whole["properties"] |= {
        "spec": table(SPEC, []),
        "checkpoint": {"type": "array", "items": table(CHECKPOINT, ["path"])},
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "actrobust manifest"}
    return head | whole


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: expected a manifest of at most {_LARGEST:,} bytes.")
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:  # ValueErrors are also those of TOML and of UTF-8
        raise InputError(f"{path}: is no TOML ({error!s:.200}).") from error


def _checked(table: Any, keys: Mapping[str, _Key], *, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table, got {type(table).__name__}.")
    for name, value in table.items():
        if name not in keys:
            raise InputError(f"{where}: {unknown_name('key', name, [*keys, *_TABLES])}")
        if not keys[name].fits(value):
            raise InputError(f"{where}: {name}: expected {keys[name].expected}, got {value!r:.60}.")
    return dict(table)


def _entry(row: Any, path: Path, number: int) -> Entry:
    found = _checked(row, CHECKPOINT, where=f"{path}: checkpoint {number}")
    if "path" not in found:
        raise InputError(f"{path}: checkpoint {number}: expected a path.")
    name = found.pop("path")
    plain, pattern = path.parent / name, Path(glob.escape(str(path.parent))) / name
    return Entry(str(plain if plain.exists() else pattern), found.pop("name", None), found)


def _rooted(dataset: str, folder: Path) -> str:
    """Let NAME:ROOT lead from the manifest's folder; a function's name has no root."""
    name, colon, root = dataset.partition(":")
    return f"{name}:{folder / root}" if colon and name in list_datasets() else dataset


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.absolute().relative_to(folder.absolute()).as_posix()
    except ValueError:
        return str(path.absolute())


def _toml(value: Any) -> str:
    """Return a value as TOML has it, which for texts, numbers and lists is JSON's way.

    >>> _toml("a"), _toml([0.5, 1]), _toml({"alpha": 0.1})
    ('"a"', '[0.5, 1]', '{ alpha = 0.1 }')
    """
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
