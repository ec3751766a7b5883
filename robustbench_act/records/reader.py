"""The one reader of run directories; one line names what is missing, damaged or malformed.

RUN/run.json            what was run: plan, versions, status
RUN/parts/*.zip         the rows of each finished unit of work (the journal, see `records.parts`)
RUN/cells/*.parquet     accuracy, loss and agreement: a row for each checkpoint and cell
RUN/images.parquet      id and label of each image, in the order of the outcomes
RUN/layers/*.parquet    fluctuation and activation means: a row for each checkpoint, cell and layer
RUN/samples/*.png       real images, clean and corrupted
RUN/report.html         made from the above
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robustbench_act.activations.facts import remember
from robustbench_act.errors import InputError, first_line
from robustbench_act.file_kinds import PARQUET, why_unreadable
from robustbench_act.paths import expand, listed
from robustbench_act.records.checks import check_cells, check_layers
from robustbench_act.records.data import RunData
from robustbench_act.records.info import SCHEMA_VERSION, CheckpointInfo, RunInfo
from robustbench_act.records.parts import read_parquet
from robustbench_act.tally.columns import (
    CELL_COLUMNS,
    FORMER_CELL_COLUMNS,
    IDENTITY,
    LATER_IDENTITY,
    REQUIRED_CELL_COLUMNS,
    TEXT_COLUMNS,
)
from robustbench_act.tally.layer_columns import LAYER_COLUMNS, REQUIRED_LAYER_COLUMNS
from robustbench_act.texts import encodable


def read_run(path: str | Path) -> RunData:
    """Read and check a finished run directory.

    Raises InputError if `path` is not a run directory, is not finished, or has missing or damaged files.

    >>> read_run("no/such/run")
    Traceback (most recent call last):
    corruptions.errors.InputError: no/such/run: does not exist.
    """
    path = expand(path)
    content = _encodable(read_json(path))
    info = RunInfo.from_json(content, where=str(path / "run.json"))
    remember((one.activation, one.activation_facts) for one in info.checkpoints)
    if info.status not in ("complete", ""):
        raise InputError(f"{path}: the run is not finished; run the same command again to continue it.")
    cells = _read_tables(path, "cells", info, REQUIRED_CELL_COLUMNS, CELL_COLUMNS)
    cells = cells.rename(columns=FORMER_CELL_COLUMNS)
    check_cells(cells, where=path / "cells")
    layers = _read_tables(path, "layers", info, REQUIRED_LAYER_COLUMNS, LAYER_COLUMNS)
    if info.probe is not None and not info.tables:  # without checksums a lost file shows only here
        check_layers(layers, cells, where=path / "layers")
    return RunData(path, info, cells, layers, _read_images(path, info))


def recorded_checkpoints(path: Path) -> tuple[CheckpointInfo, ...]:
    """Return the checkpoints of the run that is in a folder, finished or not; empty if there is no run."""
    if not (path / "run.json").is_file():
        return ()
    return RunInfo.from_json(read_json(path), where=str(path / "run.json")).checkpoints


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of run.json; an InputError if it is not ours."""
    file = path / "run.json"
    if not file.is_file():
        reason = "is not a run directory (run.json is missing)" if path.exists() else "does not exist"
        raise InputError(f"{path}: {reason}.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file}: is not readable JSON ({first_line(error)}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object, got a {type(content).__name__}.")
    if content.get("schema_version") != SCHEMA_VERSION:
        found = content.get("schema_version")
        raise InputError(f"{file}: expected schema_version {SCHEMA_VERSION}, got {found!r}.")
    return content


def _encodable(value: Any) -> Any:
    """Return a JSON value whose texts can be written into pages and tables."""
    if isinstance(value, dict):
        return {encodable(key): _encodable(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_encodable(own) for own in value]
    return encodable(value) if isinstance(value, str) else value


def _read_tables(
    run: Path, kind: str, info: RunInfo, required: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """Return all rows of one table's files, in the order of their names; no rows if there is no file."""
    known = {run / name for name in info.tables if name.startswith(f"{kind}/")}
    files = sorted(known | set(listed(run / kind, "*.parquet")))
    if not files:
        return pd.DataFrame(columns=list(columns))
    table = with_identity(_read_files(run, files, info, required), info)
    numbers = [name for name in columns if name in table and name not in TEXT_COLUMNS]
    empty = [name for name in numbers if table[name].dtype == object]
    return table.astype(dict.fromkeys(empty, "float64"))  # a column of nulls has lost its type


def with_identity(table: pd.DataFrame, info: RunInfo) -> pd.DataFrame:
    """Return the table of an older run with the columns LATER_IDENTITY, from run.json."""
    for name in LATER_IDENTITY:
        if name not in table:
            known = {entry.name: getattr(entry, name) for entry in info.checkpoints}
            values = [known.get(checkpoint, "") for checkpoint in table["checkpoint"]]
            table.insert(IDENTITY.index(name), name, values)
    return table


def _read_images(run: Path, info: RunInfo) -> pd.DataFrame:
    file = run / "images.parquet"
    if not file.exists() and file.name not in info.tables:
        return pd.DataFrame(columns=["id", "label"])
    return _read_files(run, [file], info, ["id", "label"])


def _read_files(run: Path, files: Sequence[Path], info: RunInfo, required: Sequence[str]) -> pd.DataFrame:
    """Return the rows of Parquet files; each must have the checksum that run.json records."""
    found = []
    for file in files:
        try:
            data = file.read_bytes()
            names = pq.read_schema(pa.BufferReader(data)).names
        except Exception as error:  # a damaged file makes its reader raise almost anything
            raise _damaged(file, why_unreadable(file, error, PARQUET)) from error
        expected = info.tables.get(file.relative_to(run).as_posix())
        if expected is not None and hashlib.sha256(data).hexdigest() != expected:
            raise _damaged(file, "its checksum differs from the one in run.json")
        missing = [name for name in required if name not in names]
        if missing:
            raise InputError(f"{file}: missing columns {', '.join(missing)}.")
        found.append(data)
    try:
        return read_parquet(*found).reset_index(drop=True)
    except Exception as error:
        raise _damaged(files[0], first_line(error)) from error


def _damaged(file: Path, reason: str) -> InputError:
    return InputError(
        f"{file}: not a complete Parquet file of this run ({reason}); repeat the command that made "
        "the run to replace it."
    )
