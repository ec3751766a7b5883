"""A run directory, read and checked: `load` gives a `RunData`, or one line that says what is missing."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reports.english import joined
from reports.errors import ReportError
from robustbench_act import metrics

SCHEMA_VERSION = 1

_KEYS = ("checkpoint", "architecture", "activation", "training_seed", "dataset")
_CELL = ("suite", "table", "corruption", "group", "severity")
CELL_COLUMNS = (*_KEYS, *_CELL, "n", "correct", "accuracy", "loss", "agreement", "error")
LAYER_COLUMNS = (
    *_KEYS,
    *_CELL,
    "layer",
    "index",
    "elements",
    "input_fluctuation_mean",
    "input_fluctuation_var",
    "output_fluctuation_mean",
    "output_fluctuation_var",
    "activation_mean",
    "activation_abs_mean",
)
_NUMBERS = ("severity", "n", "correct", "accuracy", "loss", "agreement", *LAYER_COLUMNS[-8:])
_INFO_KEYS = ("dataset", "suites", "severities", "checkpoints")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class RunData:
    """All that a report is made from.

    Attributes
    ----------
    info : Mapping
        ``run.json`` as it is.
    cells : DataFrame
        One row per checkpoint, corruption and severity (`CELL_COLUMNS`); accuracy in 0..1.
    layers : DataFrame
        The same keys per activation layer (`LAYER_COLUMNS`); no rows where nothing was probed.
    samples : Mapping
        PNG strips by corruption: one image per row, clean and then the run's severities per column.
    labelled : bool
        Whether the images have labels; where they have none, ``accuracy`` is agreement with the prediction
        on the clean image.
    labels : Series or None
        int (images,), in the order of the outcomes; None where nobody knows them.
    runs : Mapping
        The run of each checkpoint, where several are side by side.
    """

    info: Mapping[str, Any]
    cells: pd.DataFrame
    layers: pd.DataFrame
    samples: Mapping[str, bytes]
    labelled: bool = True
    labels: "pd.Series[int] | None" = None
    runs: Mapping[str, str] = field(default_factory=dict)


def load(run_dir: str | Path) -> RunData:
    """Read and check the run directory `run_dir`.

    Raises
    ------
    ReportError
        Something is missing, unreadable, incomplete or of another schema; the line names it.

    >>> load("no/such/run")
    Traceback (most recent call last):
    reports.errors.ReportError: expected a run directory, but 'no/such/run' does not exist
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise ReportError(f"expected a run directory, but {str(run_dir)!r} {what}")
    info = _read_info(folder / "run.json")
    cells = _read_parts(folder, "cells", CELL_COLUMNS, info)
    if cells.empty:
        raise ReportError(f"expected result rows in {folder / 'cells'}, found none (*.parquet)")
    labelled = metrics.labelled(cells)
    cells = cells if labelled else cells.assign(accuracy=cells["agreement"])
    _check_cells(cells, where=folder / "cells")
    layers = _read_parts(folder, "layers", LAYER_COLUMNS, info)
    _check_layers(layers, cells, probed=info.get("probe") is not None, where=folder / "layers")
    labels = _read_labels(folder, info)
    return RunData(info, cells, layers, _read_samples(folder / "samples"), labelled, labels)


def _read_info(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ReportError(f"{path} is missing: expected a run directory of 'actrobust evaluate'")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(info, dict):
        raise ReportError(f"{path} must hold a JSON object, not {type(info).__name__}")
    if info.get("schema_version") != SCHEMA_VERSION:
        found = info.get("schema_version")
        raise ReportError(f"{path}: expected schema_version {SCHEMA_VERSION}, got {found!r}")
    missing = [key for key in _INFO_KEYS if key not in info]
    if missing:
        raise ReportError(f"{path}: missing {', '.join(missing)}")
    _check_info(info, path)
    return info


def _check_info(info: Mapping[str, Any], path: Path) -> None:
    if info.get("status") == "running":
        again = info.get("command", "the same command")
        raise ReportError(f"{path}: the run is not finished (status 'running'); to go on: {again}")
    if not isinstance(info["dataset"], dict) or "name" not in info["dataset"]:
        raise ReportError(f"{path}: 'dataset' must be an object with a 'name', not {info['dataset']!r}")
    for key in ("suites", "checkpoints"):
        entries = info[key] if isinstance(info[key], list) else [None]
        if not all(isinstance(entry, dict) and "name" in entry for entry in entries):
            raise ReportError(f"{path}: {key!r} must be a list of objects, each with a 'name'")
    severities = info["severities"]
    if not isinstance(severities, list):
        raise ReportError(f"{path}: 'severities' must be a list, not {type(severities).__name__}")
    if not all(isinstance(value, int | float) for value in severities) or severities != sorted(severities):
        raise ReportError(f"{path}: 'severities' must be numbers in rising order, got {severities}")


def _read_parts(run: Path, kind: str, columns: Sequence[str], info: Mapping[str, Any]) -> pd.DataFrame:
    """Return all rows of one table's Parquet files, in the order of the file names."""
    paths = sorted((run / kind).glob("*.parquet"))
    parts = [_read_part(path, columns, _checksum(path, run, info)) for path in paths]
    filled = [part for part in parts if not part.empty]
    if not filled:
        return pd.DataFrame({column: [] for column in columns})
    return pd.concat([_typed(part) for part in filled], ignore_index=True)


def _checksum(path: Path, run: Path, info: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 that a table had when the run was finished; None in runs of old."""
    known = info.get("tables")
    return known.get(path.relative_to(run).as_posix()) if isinstance(known, dict) else None


def _read_labels(run: Path, info: Mapping[str, Any]) -> "pd.Series[int] | None":
    """Return the label of each image, where the run has them."""
    path = run / "images.parquet"
    if not path.exists():
        return None
    labels = _read_part(path, ["id", "label"], _checksum(path, run, info))["label"]
    return None if labels.isna().any() else labels.astype("int64")


def _read_part(path: Path, columns: Sequence[str], checksum: str | None) -> pd.DataFrame:
    try:
        data = path.read_bytes()
        if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
            raise ReportError(f"{path} is damaged: its checksum in run.json is another")
        part = pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors (ArrowInvalid) or OSErrors
        reason = str(error).splitlines()[0]
        raise ReportError(f"{path} is not a readable Parquet file: {reason}") from error
    missing = [column for column in columns if column not in part]
    if missing:
        raise ReportError(f"{path}: missing columns {', '.join(missing)}")
    return part


def _typed(part: pd.DataFrame) -> pd.DataFrame:
    """Fix the types that a part full of nulls lost, so that parts can be joined."""
    names = [str(name) for name in part]
    return part.astype({name: "float64" if name in _NUMBERS else "object" for name in names})


def _check_cells(cells: pd.DataFrame, *, where: Path) -> None:
    """Refuse tables whose averages would not mean the same for every checkpoint."""
    whole = cells[~cells["checkpoint"].isin(cells.loc[cells["error"].notna(), "checkpoint"])]
    empty = whole[whole["accuracy"].isna()]
    if not empty.empty:
        first = empty.iloc[0]
        raise ReportError(f"{where}: {_name(first)} has neither an accuracy nor an error")
    outside = whole[~whole["accuracy"].between(0, 1)]
    if not outside.empty:
        first = outside.iloc[0]
        raise ReportError(f"{where}: expected accuracies in 0..1, got {first['accuracy']} for {_name(first)}")
    _check_grid(whole, where=where)


def _check_grid(cells: pd.DataFrame, *, where: Path) -> None:
    """Every checkpoint must have been measured on the same cells, the clean one among them."""
    grid = cells[["table", "corruption", "severity"]].drop_duplicates()
    if not grid.empty and not (grid["severity"] > 0).any():
        raise ReportError(f"{where}: expected corrupted cells, found only the clean one")
    for checkpoint, own in cells.groupby("checkpoint"):
        if not (own["severity"] == 0).any():
            raise ReportError(f"{where}: the clean cell (severity 0) of checkpoint {checkpoint!r} is missing")
        merged = grid.merge(own, how="left", on=["table", "corruption", "severity"])
        absent = merged[merged["checkpoint"].isna()]
        if not absent.empty:
            first = _name(absent.iloc[0].fillna({"checkpoint": checkpoint}))
            raise ReportError(f"{where}: {len(absent)} of {len(grid)} cells are missing, first {first}")


def _check_layers(layers: pd.DataFrame, cells: pd.DataFrame, *, probed: bool, where: Path) -> None:
    """Every measured checkpoint has clean and corrupted layer rows, or nothing was probed at all."""
    if layers.empty and not probed:
        return
    measured = sorted(set(cells["checkpoint"]) - set(cells.loc[cells["error"].notna(), "checkpoint"]))
    for kind, rows in (("clean", layers["severity"] == 0), ("corrupted", layers["severity"] > 0)):
        there = set(layers.loc[rows, "checkpoint"])
        absent = [name for name in measured if name not in there]
        if absent:
            raise ReportError(f"{where}: no {kind} layer rows for {joined(absent)}")


def _name(row: "pd.Series[Any]") -> str:
    return f"{row['corruption']} at severity {row['severity']:g} of checkpoint {row['checkpoint']!r}"


def _read_samples(folder: Path) -> dict[str, bytes]:
    samples = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.png"))}
    for name, data in samples.items():
        if not data.startswith(_PNG) or b"IEND" not in data[-12:]:
            raise ReportError(f"{folder / name}.png is not a complete PNG file")
    return samples
