"""A study in one TOML file: checkpoints and their descriptions, data, suites and options.

    dataset = "cifar-10:data"          # options have the names of the flags of `actrobust evaluate`
    suite = ["c19", "shift"]

    [spec]                             # for every checkpoint without its own values
    model = "cifar:resnet20"
    mean = [0.4914, 0.4822, 0.4465]
    std = [0.2470, 0.2435, 0.2616]

    [[checkpoint]]
    path = "nets/relu_*.pth"           # a file, a folder or a pattern, relative to the manifest
    activation = "relu"

Flags on the command line take precedence over a checkpoint's entry, the entry over [spec], and [spec] over
the file.
"""

import glob
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corruptions.toml_files import read_toml
from robustbench_act.checkpoints import Entry
from robustbench_act.datasets import list_datasets
from robustbench_act.errors import InputError, unknown_name
from robustbench_act.options import Option, manifest_keys
from robustbench_act.paths import expand, split_source, with_source
from robustbench_act.texts import encodable

OPTIONS = manifest_keys("top")
"""Options of commands, by their keys in a manifest."""

SPEC = manifest_keys("spec")
"""What may be said of checkpoints, in [spec] and in [[checkpoint]]."""

CHECKPOINT = manifest_keys("checkpoint", "spec")
"""Keys of [[checkpoint]]."""

_TABLES = ("spec", "checkpoint")


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest.

    Attributes
    ----------
    options
        Values of TOML by the keys of `OPTIONS`; paths are relative to the working folder.
    spec
        What holds for every checkpoint, by the keys of `SPEC`.
    entries
        The checkpoints.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises InputError for a missing or damaged file, an unknown key or a value of the wrong kind; it says
    where.
    """
    data = read_toml(path, what="a manifest")
    tables = {name: data.pop(name) for name in _TABLES if name in data}
    options = _checked(data, OPTIONS, where=str(path))
    spec = _made(_checked(tables.get("spec", {}), SPEC, where=f"{path}: [spec]"))
    rows = tables.get("checkpoint", [])
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected [[checkpoint]], a table for each, got one [checkpoint].")
    entries = tuple(_entry(row, path, number) for number, row in enumerate(rows, start=1))
    for name, value in options.items():
        if OPTIONS[name].kind.path and isinstance(value, str) and value not in OPTIONS[name].kind.words:
            options[name] = str(path.parent / expand(value))
    if "dataset" in options:
        options["dataset"] = _rooted(options["dataset"], path.parent)
    return Manifest(options, spec, entries)


def write_manifest(folder: Path, checkpoints: Iterable[Path], facts: Mapping[Path, Mapping[str, Any]]) -> str:
    """Return the text of a manifest that names the checkpoints, for editing.

    Paths are relative to `folder`, where it will be. `facts` are what is known of each file from its name,
    which is written out; what the file itself records is left to the file. Raises InputError if a name is not
    UTF-8, as TOML is.
    """
    lines = [
        "# A study for `actrobust evaluate --manifest FILE`; flags on the command line take precedence.",
        "# `actrobust manifest --schema` prints the JSON schema for editors.",
        "",
        '# dataset = "mnist-1k"  # NAME or NAME:ROOT, see `actrobust list` and docs/data.md',
        '# suite = ["c19", "shift"]',
        "# severity = [1, 2, 3, 4, 5]",
        "# limit = 1000",
        "",
        "[spec]  # for every checkpoint without its own values",
        '# model = "cifar:resnet20"',
        "# mean = [0.4914, 0.4822, 0.4465]",
        "# std = [0.2470, 0.2435, 0.2616]",
    ]
    for path in checkpoints:
        name = _relative(path, folder)
        if name != encodable(name):
            raise InputError(f"{path}: a manifest cannot hold a name that is not UTF-8; rename the file.")
        lines += ["", "[[checkpoint]]", f"path = {_toml(name)}"]
        lines += [f"{key} = {_toml(value)}" for key, value in facts.get(path, {}).items()]
    return "\n".join([*lines, ""])


def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema of a manifest.

    >>> manifest_schema()["properties"]["limit"]["type"]
    'integer'
    """

    def table(keys: Mapping[str, Option], required: list[str]) -> dict[str, Any]:
        properties = {name: {**key.kind.schema, "description": key.help} for name, key in keys.items()}
        kind = {"type": "object", "additionalProperties": False, "properties": properties}
        return kind | ({"required": required} if required else {})

    whole = table(OPTIONS, [])
    whole["properties"] |= {
        "spec": table(SPEC, []),
        "checkpoint": {"type": "array", "items": table(CHECKPOINT, ["path"])},
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "actrobust manifest"}
    return head | whole


def _checked(table: Any, keys: Mapping[str, Option], *, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table, got {type(table).__name__}.")
    for name, value in table.items():
        if name not in keys:
            raise InputError(f"{where}: {unknown_name('key', name, [*keys, *_TABLES])}")
        try:
            keys[name].kind.take(value)
        except ValueError as error:
            raise InputError(f"{where}: {name}: {error}") from None
    return dict(table)


def _made(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {name: CHECKPOINT[name].kind.made(value) for name, value in spec.items()}


def _entry(row: Any, path: Path, number: int) -> Entry:
    found = _checked(row, CHECKPOINT, where=f"{path}: checkpoint {number}")
    if "path" not in found:
        raise InputError(f"{path}: checkpoint {number}: expected a path.")
    source, files = split_source(found.pop("path"))
    where = with_source(source, _beside(path.parent, files))
    return Entry(where, found.pop("name", None), _made(found))


def _rooted(dataset: str, folder: Path) -> str:
    """Make the ROOT of NAME:ROOT relative to the manifest; a function's name has no root."""
    name, colon, root = dataset.partition(":")
    return f"{name}:{_beside(folder, root)}" if colon and name in list_datasets() else dataset


def _beside(folder: Path, name: str) -> Path:
    """Return a path, which may be a pattern, relative to a folder, whose name is no pattern."""
    plain, pattern = folder / expand(name), Path(glob.escape(str(folder))) / expand(name)
    return plain if plain.exists() else pattern


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.absolute().relative_to(folder.absolute()).as_posix()
    except ValueError:
        return str(path.absolute())


def _toml(value: Any) -> str:
    """Return a value in TOML; texts, numbers and lists are written as in JSON.

    >>> _toml("a"), _toml([0.5, 1]), _toml({"alpha": 0.1})
    ('"a"', '[0.5, 1]', '{ alpha = 0.1 }')
    """
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
