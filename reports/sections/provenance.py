"""Where the numbers of a report come from: ``run.json`` laid out for reading, unknown keys included.

Empty entries are left out, and those that do not concern the numbers (writer, checksums of files).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from reports.analysis import Analysis
from reports.layout import Section, Table
from robustbench_act.records import RunInfo
from robustbench_act.texts import encodable

_KNOWN = ("created", "product", "version", "schema_version", "seed", "severities", "device")
_APART = ("command", "suites", "sources", "checkpoints")  # have a place of their own
_LOCAL = ("status", "tables", "writer")
_CHECKPOINT = (
    "architecture",
    "activation",
    "normalization",
    "training_seed",
    "clean_accuracy",
    "status",
    "error",
)
_NOTHING = "–"
_SUITE = ("name", "table", "hash", "corruptions")
_SOURCE = ("created", "version", "device")


@dataclass(frozen=True)
class RecordedSettings:
    """The command, settings as (name, value), such pairs for each suite and each merged run, the checkpoints.

    Pairs that all checkpoints share stand by themselves; the table has the rest.
    """

    command: str
    settings: Sequence[tuple[str, str]]
    suites: Sequence[Sequence[tuple[str, str]]]
    sources: Sequence[Sequence[tuple[str, str]]]
    shared: Sequence[tuple[str, str]]
    checkpoints: Table


def provenance(analysis: Analysis) -> Section:
    """Return the section of ``run.json``."""
    folders = {name: encodable(str(run.path)) for name, run in analysis.members.items()}
    found = recorded_settings(analysis.run.info, {**analysis.unlike, "runs": folders})
    return Section(
        "provenance", "Provenance", "Provenance", {"provenance": found}, tables=[found.checkpoints]
    )


def recorded_settings(info: RunInfo, unlike: Mapping[str, Any] = MappingProxyType({})) -> RecordedSettings:
    """Return ``run.json`` as text: known keys first, then whatever else is there.

    Parameters
    ----------
    info
        Of the run.
    unlike
        Settings that stand in place of those of `info`.

    >>> data = {"dataset": {"name": "toy"}, "suites": [], "checkpoints": [], "severities": [1, 5]}
    >>> info = RunInfo.from_json({**data, "seed": 0, "mine": {"a": [1, 2]}}, where="run.json")
    >>> [pair for pair in recorded_settings(info).settings if "mine" in pair[0] or pair[0] == "seed"]
    [('seed', '0'), ('mine: a', '1, 2')]
    """
    content = {**info.to_json(), **unlike}
    for own, entry in zip(content["checkpoints"], info.checkpoints, strict=True):
        own["behaviour"] = entry.behaviour.notes()
    settings = _entry({key: value for key, value in content.items() if key not in _APART + _LOCAL}, _KNOWN)
    facts = [
        _entry({key: value for key, value in own.items() if key not in ("name", "digest")}, _CHECKPOINT)
        for own in content["checkpoints"]
    ]
    shared = [pair for pair in facts[0] if all(pair in own for own in facts)] if len(facts) > 1 else []
    return RecordedSettings(
        command=info.command or "not recorded",
        settings=settings,
        suites=[_entry(suite, _SUITE) for suite in content["suites"]],
        sources=[_entry(source, _SOURCE) for source in content["sources"]],
        shared=shared,
        checkpoints=Table(
            caption="Checkpoints as run.json records them",
            headings=["Checkpoint", "Digest", "Its own settings"],
            rows=[
                [
                    str(checkpoint["name"]),
                    _text(checkpoint.get("digest")),
                    "; ".join(f"{name} {value}" for name, value in own if (name, value) not in shared),
                ]
                for checkpoint, own in zip(content["checkpoints"], facts, strict=True)
            ],
        ),
    )


def _entry(entry: Mapping[str, Any], known: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of an entry that have a value, known keys first."""
    ordered = {key: entry[key] for key in known if key in entry} | dict(entry)
    pairs = [pair for key, value in ordered.items() for pair in _pairs(key, value)]
    return [(name, value) for name, value in pairs if value != _NOTHING]


def _pairs(key: str, value: Any) -> list[tuple[str, str]]:
    """Return one pair per entry of a mapping (one level deep), else a single one."""
    name = key.replace("_", " ")
    if isinstance(value, dict):
        return [(f"{name}: {inner}", _text(what)) for inner, what in value.items()]
    return [(name, _text(value))]


def _text(value: Any) -> str:
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value) or _NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
