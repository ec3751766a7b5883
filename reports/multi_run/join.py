"""Several runs side by side: one `RunData` of all their checkpoints."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from reports.errors import ReportError
from reports.names import of_run
from reports.run import RunData
from robustbench_act.comparability import cell_differences, image_differences, source_differences

_COHORT = ["architecture", "activation"]


def join(runs: Sequence[tuple[Path, RunData]]) -> RunData:
    """Return one run of all the checkpoints.

    Activations that several runs have are told apart, "relu ⟨2⟩ new" from "relu ⟨1⟩ old", and so are
    checkpoints of one name. Settings in which the runs differ are told run by run; all else that is said of
    images and corruptions is the first run's.

    Parameters
    ----------
    runs
        Each with its folder, which names it. The first is what the others are compared with.

    Raises
    ------
    ReportError
        Runs on other images, or with other corruptions, severities or seeds: their numbers are not alike.
    """
    if not runs:
        raise ReportError("expected at least one run")
    folders = Counter(path.resolve() for path, _ in runs)
    if (most := folders.most_common(1)[0])[1] > 1:
        raise ReportError(f"expected different runs, got {most[0]} {most[1]} times")
    (first_path, first), *others = runs
    if not others:
        return first
    for path, other in others:
        _check_alike(first_path, first, path, other)
    names = _names([path.resolve() for path, _ in runs])
    cohorts = Counter(
        pair for _, run in runs for pair in set(run.cells[_COHORT].itertuples(index=False, name=None))
    )
    checkpoints = Counter(name for _, run in runs for name in run.cells["checkpoint"].unique())
    shared = {pair for pair, count in cohorts.items() if count > 1}
    again = {name for name, count in checkpoints.items() if count > 1}
    renamed = [
        _renamed(run, (place, name), shared, again)
        for place, (name, (_, run)) in enumerate(zip(names, runs, strict=True), start=1)
    ]
    info = {
        **first.info,
        **_settings(dict(zip(names, (run.info for run in renamed), strict=True))),
        "command": "\n".join(
            f"# {name}\n{run.info.get('command', 'not recorded')}"
            for name, run in zip(names, renamed, strict=True)
        ),
        "checkpoints": [entry for run in renamed for entry in run.info["checkpoints"]],
        "runs": dict(zip(names, (str(path) for path, _ in runs), strict=True)),
    }
    return replace(
        first,
        info={key: value for key, value in info.items() if key != "tables"},
        cells=pd.concat([run.cells for run in renamed], ignore_index=True),
        runs={
            checkpoint: name
            for name, run in zip(names, renamed, strict=True)
            for checkpoint in run.cells["checkpoint"].unique()
        },
        layers=pd.concat(
            [run.layers for run in renamed if len(run.layers)] or [first.layers], ignore_index=True
        ),
    )


_COMMON = ("command", "checkpoints", "dataset", "suites", "severities", "tables", "writer", "status", "notes")


def _settings(infos: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings in which the runs differ, run by run, and their names as "unlike"."""
    keys = dict.fromkeys(key for info in infos.values() for key in info if key not in _COMMON)
    unlike = {}
    for key in keys:
        values = {name: info.get(key) for name, info in infos.items()}
        if any(value != info.get(key) for value in values.values() for info in infos.values()):
            unlike[key] = values
    return {**unlike, "unlike": [key for key in unlike if key not in ("created", "version")]}


def _check_alike(first_path: Path, first: RunData, path: Path, other: RunData) -> None:
    unlike = image_differences(first.info, other.info)
    unlike += source_differences(first.info, other.info)
    unlike = unlike or cell_differences(first.cells, other.cells)
    if unlike:
        raise ReportError(f"{first_path} and {path} are not alike: {'; '.join(unlike)}")


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what runs are called: their folders, with as many of those above as tell them apart.

    >>> _names([Path("/a/run"), Path("/b/run")]), _names([Path("/old"), Path("/new")])
    (['a/run', 'b/run'], ['old', 'new'])
    """
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def _renamed(run: RunData, which: tuple[int, str], shared: set[Any], again: set[str]) -> RunData:
    """Return a run whose activations and checkpoints are told apart from those of other runs."""
    place, name = which

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        if table.empty:
            return table
        pairs = zip(table["architecture"], table["activation"], strict=True)
        activations = [of_run(pair[1], place, name) if pair in shared else pair[1] for pair in pairs]
        checkpoints = [f"{own} · {name}" if own in again else own for own in table["checkpoint"]]
        return table.assign(activation=activations, checkpoint=checkpoints)

    def entry(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        own = checkpoint["name"]
        return {**checkpoint, "name": f"{own} · {name}" if own in again else own}

    info = {**run.info, "checkpoints": [entry(checkpoint) for checkpoint in run.info["checkpoints"]]}
    return replace(run, info=info, cells=renamed(run.cells), layers=renamed(run.layers))
