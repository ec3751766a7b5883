"""Checkpoints as people name them: a file, a folder or a pattern, with what they say about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from robustbench_act.checkpoints.checkpoint import Checkpoint
from robustbench_act.checkpoints.files import find_checkpoints, load_checkpoint, unique_names
from robustbench_act.checkpoints.other_libraries import view_elsewhere
from robustbench_act.checkpoints.spec_sources import wanted_view
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError
from robustbench_act.paths import expand, split_source
from robustbench_act.view import View


@dataclass(frozen=True)
class Entry:
    """One or several checkpoints.

    Attributes
    ----------
    path
        A file, a folder or a pattern.
    name
        Name for tables, of a single file; by default the file's.
    spec
        Keywords of `load_checkpoint`: model, weights, mean, std, labels, ...; training_seed may be a list,
        with a number for each file.
    """

    path: str | Path
    name: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)

    def wanted_view(self, classes: int | None) -> View | None:
        """Return how the checkpoint's file wants pictures shown; see `spec_sources.wanted_view`."""
        path = expand(self.path)
        if split_source(path)[0]:
            return view_elsewhere(path)
        return wanted_view(Path(self.path), self.spec.get("model"), self.spec.get("classes", classes))


def find_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Return an entry for each file; of several entries for one file under one name the last one holds."""
    found: dict[tuple[Path, str | None], Entry] = {}
    for entry in entries:
        files = find_checkpoints([entry.path])
        if entry.name is not None and len(files) > 1:
            raise InputError(f"{entry.path}: {len(files)} files cannot all be called {entry.name!r}.")
        seeds = entry.spec.get("training_seed")
        own = seeds if isinstance(seeds, list | tuple) else [seeds] * len(files)
        if len(own) != len(files):
            raise InputError(
                f"{entry.path}: expected a training_seed for each of {len(files)} files, got {len(own)}."
            )
        found |= {
            (path, entry.name): replace(entry, path=path, spec={**entry.spec, "training_seed": seed})
            for path, seed in zip(files, own, strict=True)
        }
    return list(found.values())


def load_entries(entries: Sequence[Entry], data: Dataset | None = None) -> list[Checkpoint]:
    """Load a checkpoint for each entry, each of which names a file; see `find_entries` and `unique_names`."""
    unnamed = [Path(entry.path) for entry in entries if entry.name is None]
    names = dict(zip(unnamed, unique_names(unnamed), strict=True))
    return [
        load_checkpoint(one.path, name=one.name or names[Path(one.path)], data=data, **one.spec)
        for one in entries
    ]
