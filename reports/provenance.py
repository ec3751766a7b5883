"""Where the numbers of a report come from: ``run.json`` laid out for reading, unknown keys included."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.layout import Table

_KNOWN = ("created", "product", "version", "schema_version", "seed", "severities", "device")
_APART = ("command", "suites", "checkpoints")  # have a place of their own
_CHECKPOINT = ("architecture", "activation", "training_seed", "clean_accuracy", "status", "error")
_SUITE = ("name", "table", "hash", "corruptions")


@dataclass(frozen=True)
class Provenance:
    """The command, settings as (name, value), such pairs for each suite, and a table of the checkpoints."""

    command: str
    settings: Sequence[tuple[str, str]]
    suites: Sequence[Sequence[tuple[str, str]]]
    checkpoints: Table


def provenance(info: Mapping[str, Any]) -> Provenance:
    """Return all of ``run.json`` as text: known keys first, then whatever else is there.

    >>> provenance({"suites": [], "checkpoints": [], "seed": 0, "mine": {"a": [1, 2]}}).settings
    [('seed', '0'), ('mine: a', '1, 2')]
    """
    settings = _entry({key: value for key, value in info.items() if key not in _APART}, _KNOWN)
    return Provenance(
        command=str(info.get("command", "not recorded")),
        settings=settings,
        suites=[_entry(suite, _SUITE) for suite in info["suites"]],
        checkpoints=Table(
            caption="Checkpoints as run.json records them",
            headings=["Checkpoint", "Digest", "Recorded"],
            rows=[_checkpoint_row(checkpoint) for checkpoint in info["checkpoints"]],
        ),
    )


def _checkpoint_row(checkpoint: Mapping[str, Any]) -> list[str]:
    rest = {key: value for key, value in checkpoint.items() if key not in ("name", "digest")}
    recorded = "; ".join(f"{name} {value}" for name, value in _entry(rest, _CHECKPOINT))
    return [str(checkpoint["name"]), _text(checkpoint.get("digest")), recorded]


def _entry(entry: Mapping[str, Any], known: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for key in _ordered(entry, known) for pair in _pairs(key, entry[key])]


def _ordered(mapping: Mapping[str, Any], first: Sequence[str]) -> list[str]:
    return [key for key in first if key in mapping] + [key for key in mapping if key not in first]


def _pairs(key: str, value: Any) -> list[tuple[str, str]]:
    """Return one pair per entry of a mapping (one level deep), else a single one."""
    name = key.replace("_", " ")
    if isinstance(value, dict):
        return [(f"{name}: {inner}", _text(what)) for inner, what in value.items()]
    return [(name, _text(value))]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value) or "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
