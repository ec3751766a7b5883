"""Writes a run directory: one process at a time, and each file is complete or absent."""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd
from filelock import FileLock, Timeout

from robustbench_act.atomic_files import write_atomically
from robustbench_act.errors import InputError
from robustbench_act.paths import is_hidden
from robustbench_act.records.data import RunData
from robustbench_act.records.info import RunInfo
from robustbench_act.records.parts import PROVISIONAL, DamagedPartError, Part, check, to_parquet, unpack
from robustbench_act.records.reader import read_json, read_run
from robustbench_act.tally.columns import CELL_COLUMNS, IDENTITY
from robustbench_act.tally.layer_columns import LAYER_COLUMNS
from robustbench_act.tally.merging import merge_cells, merge_layers

_FOLDERS = ("parts", "cells", "layers", "samples")
_LOCK = ".lock"

Keys = Iterable[Iterable[str]]
"""Keys of a run's units: for each block of checkpoints, in the order of the chunks."""


class Tables(NamedTuple):
    """The final tables of some checkpoints, as Parquet."""

    cells: bytes
    layers: bytes

    @classmethod
    def of(cls, rows: Part) -> Self:
        """Return the files of these rows."""
        return cls(*map(to_parquet, rows))


class RunDirectory:
    """A run directory that this process alone may write to; made by `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: RunInfo | None = None  # of the run that `open` found
        self._begun = False  # whether it is marked as running

    @classmethod
    @contextmanager
    def open(cls, path: Path, info: RunInfo, *, resume: bool) -> Iterator["RunDirectory"]:
        """Start a run in `path`, or continue the one there; meanwhile no other process can write to it.

        The operating system releases the lock when the process ends, however that happens. Raises InputError
        if the folder holds something else, a run with a different plan (the difference is named), or a run
        that another process is writing.

        Parameters
        ----------
        info
            For run.json. A run that differs in `RunInfo.decisive` is a different one.
        """
        _check_holds_run(path, resume=resume)
        path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path / _LOCK, blocking=False):
                directory = cls(path)
                if (path / "run.json").is_file():
                    directory.found = RunInfo.from_json(read_json(path), where=str(path / "run.json"))
                    if directory.found.sources:
                        raise InputError(
                            f"{path}: holds a merged run, which cannot be continued; evaluate with a "
                            "different --out, then merge again."
                        )
                    _refuse_other_plan(path, directory.found.decisive(), info.decisive())
                directory._clean()
                if directory.found is None or directory.found.status != "complete":
                    directory.begin(info)
                yield directory
        except Timeout:
            raise InputError(
                f"{path}: {_writer(path)} is writing this run; choose a different --out."
            ) from None

    def begin(self, info: RunInfo) -> None:
        """Mark the run as running, once: before its first part is written or a damaged one replaced."""
        if not self._begun:
            self.write_info(replace(info, status="running"))
            self._begun = True

    def finished(self) -> RunData | None:
        """Return the run that `open` found if it is complete and nothing had to be done; None otherwise."""
        if self._begun:
            return None
        try:
            return read_run(self.path)
        except InputError:  # a table is damaged, and is merged again
            return None

    def write_info(self, info: RunInfo) -> None:
        """Replace run.json."""
        writer = {"process": os.getpid(), "host": socket.gethostname()}
        content = replace(info, writer=writer).to_json()
        self.write(Path("run.json"), json.dumps(content, indent=1).encode())

    def write(self, name: Path, data: bytes) -> None:
        """Write one file of the run."""
        write_atomically(self.path / name, data)

    def has(self, key: str) -> bool:
        """Tell whether a unit's part is there and undamaged; delete a damaged one."""
        path = self._part(key)
        try:
            check(path.read_bytes(), path)
        except FileNotFoundError:
            return False
        except DamagedPartError:
            self.discard(path)
            return False
        return True

    def add_part(self, key: str, data: bytes, *, provisional: bool = False) -> None:
        """Store a unit's part, as `parts.pack` makes it.

        A provisional part counts in the tables, but its unit is done again when the run is continued.
        """
        write_atomically(self._part(key, provisional=provisional), data)
        if not provisional:
            self._part(key, provisional=True).unlink(missing_ok=True)

    def discard(self, path: Path) -> None:
        """Delete a damaged part, so that its unit is done again."""
        path.unlink(missing_ok=True)

    def finish(
        self,
        keys: Keys,
        identity: pd.DataFrame,
        images: pd.DataFrame,
        info: RunInfo,
        each: Callable[..., Iterable[Any]] = map,
    ) -> None:
        """Merge the parts into the final tables and mark the run complete.

        This process alone reads the run's files; who merges a block gets its parts. Each has one block of
        checkpoints in memory at a time. Raises DamagedPartError if a part is missing or damaged: discard it
        and make it again.

        Parameters
        ----------
        keys
            See `Keys`; the blocks in the order of the checkpoints.
        identity
            The columns IDENTITY, a row for each checkpoint, in the order of the tables.
        each
            As `map`; other processes may do it, also on machines that do not reach the run.
        """
        blocks = ([self._read(key) for key in block] for block in keys)
        self.write_tables(each(partial(_merged, identity), blocks), images, info)

    def write_tables(self, tables: Iterable[Tables], images: pd.DataFrame, info: RunInfo) -> None:
        """Write the final tables, those of some checkpoints after the other, and mark the run complete."""
        sums: dict[str, str] = {}

        def write(name: str, data: bytes) -> None:
            self.write(Path(name), data)
            sums[name] = hashlib.sha256(data).hexdigest()

        for number, block in enumerate(tables):
            write(f"cells/part-{number:04d}.parquet", block.cells)
            write(f"layers/part-{number:04d}.parquet", block.layers)
        write("images.parquet", to_parquet(images))
        self.write_info(replace(info, tables=sums, status="complete"))

    def _part(self, key: str, *, provisional: bool = False) -> Path:
        return self.path / "parts" / f"{key}{PROVISIONAL if provisional else ''}.zip"

    def _read(self, key: str) -> "_PartFile":
        path = self._part(key)
        if not path.exists() and self._part(key, provisional=True).exists():
            path = self._part(key, provisional=True)
        try:
            return _PartFile(path, path.read_bytes())
        except FileNotFoundError as error:
            raise DamagedPartError(path, "gone") from error

    def _clean(self) -> None:
        """Remove the half-written files of a killed process."""
        for pattern in (".run.json.*", ".images.parquet.*", *(f"{name}/.*" for name in _FOLDERS)):
            for leftover in self.path.glob(pattern):
                leftover.unlink()


class _PartFile(NamedTuple):
    path: Path
    data: bytes


def _merged(identity: pd.DataFrame, files: Sequence[_PartFile]) -> Tables:
    """Return the final tables of one block of checkpoints."""
    parts = [unpack(file.data, file.path) for file in files]
    cells = merge_cells(part.cells for part in parts)
    layers = merge_layers(part.layers for part in parts)
    return Tables.of(Part(_final(cells, identity, CELL_COLUMNS), _final(layers, identity, LAYER_COLUMNS)))


def _check_holds_run(path: Path, *, resume: bool) -> None:
    """Refuse a folder that holds something else, before anything is written into it."""
    if not path.exists() and not path.is_symlink():
        return
    names = {item.name for item in path.iterdir()} if path.is_dir() else {path.name}
    if all(map(is_hidden, names)):  # killed at once
        return
    if "run.json" not in names:
        raise InputError(f"{path}: exists and is not a run directory; choose a different --out.")
    if not resume:
        raise InputError(f"{path}: holds a run already; choose a different --out or leave out --no-resume.")


def _writer(path: Path) -> str:
    try:
        writer = read_json(path)["writer"]
        return f"process {writer['process']} on {writer['host']}"
    except (InputError, KeyError, TypeError):
        return "another process"


def _refuse_other_plan(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    differing = list(_differences(found, wanted, ""))
    if differing:
        raise InputError(
            f"{path}: holds a run with a different plan ({'; '.join(differing)}); choose a different --out."
        )


_SHOWN = 3  # differences named


def _differences(there: Any, here: Any, name: str) -> Iterator[str]:
    """Name the differences between two plain values: the first _SHOWN, then an ellipsis."""
    found = _leaves(there, here, name)
    yield from (text for _, text in zip(range(_SHOWN), found, strict=False))
    if next(found, None) is not None:
        yield "..."


def _leaves(there: Any, here: Any, name: str) -> Iterator[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*here, *there]):
            yield from _leaves(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for place, pair in enumerate(zip(there, here, strict=True)):
            yield from _leaves(*pair, f"{name}[{place}]")
    elif there != here:
        yield f"{name} ({_short(there)} there, {_short(here)} here)"


def _short(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return str(len(value))
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "..."


def _final(table: pd.DataFrame, identity: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Put the columns IDENTITY before the numbers, and the rows in the order of the checkpoints."""
    if not len(table):
        return identity[IDENTITY].head(0).reindex(columns=columns)
    table = table.merge(identity[IDENTITY], on="checkpoint", how="left", validate="many_to_one")
    rank = {name: position for position, name in enumerate(identity["checkpoint"])}
    order = table["checkpoint"].map(rank).argsort(kind="stable")
    return table.iloc[order][columns].reset_index(drop=True)
