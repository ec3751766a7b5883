"""The file that later runs are held to."""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robustbench_act.atomic_files import write_atomically
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import PARQUET, why_unreadable
from robustbench_act.gate.proposals import settled
from robustbench_act.gate.rules import Rules, Unit, parse_rules
from robustbench_act.gate.units import usual_unit
from robustbench_act.paths import expand
from robustbench_act.records import RunData, RunInfo, with_identity
from robustbench_act.tally.columns import CELL_COLUMNS, LATER_IDENTITY, PICTURE_COLUMNS

FORMAT = 3
_FACTS, _DIGEST = b"actrobust-baseline", b"sha256"
_COLUMNS = [name for name in CELL_COLUMNS if name not in PICTURE_COLUMNS]
_INFO = ("version", "created", "seed", "severities", "dataset", "suites", "device")
_CHECKPOINT = (
    "name",
    "digest",
    "architecture",
    "activation",
    "normalization",
    "labels",
    "classes",
    "input_size",
    "mean",
    "std",
    "adapted",
)


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a run was, image by image, and the rules that later ones are held to.

    Attributes
    ----------
    info
        Of the run's: what the numbers depend on.
    cells
        The run's, without the digests of the pixels.
    rules
        Declared when the baseline was made: each with its margin, if there is one.
    unit
        What later runs are paired by.
    """

    info: RunInfo
    cells: pd.DataFrame
    rules: Rules
    unit: Unit


def make_baseline(
    run: RunData, rules: Rules | None = None, *, unit: Unit | None = None, margin: float | None = None
) -> Baseline:
    """Return a finished run as a baseline.

    Without a unit it is that of `usual_unit`, without rules and margins those of `proposals.settled`.

    Raises InputError if the run is empty, a checkpoint failed, there are fewer than two images, or a rule
    does not fit the run.
    """
    if run.cells.empty:
        raise InputError(f"{run.path}: has no cell to make a baseline of.")
    failed = run.cells.loc[run.cells["error"].notna(), "checkpoint"]
    if len(failed):
        raise InputError(f"{run.path}: checkpoint {failed.iloc[0]!r} failed; a baseline must be whole.")
    if run.info.dataset.images < 2:
        raise InputError(f"{run.path}: expected at least 2 images, got {run.info.dataset.images}.")
    unit = unit or usual_unit(run.info)
    rules = settled(run, unit, rules, margin)
    info = RunInfo.from_json(_kept(run.info), where=str(run.path))
    return Baseline(info, run.cells.reindex(columns=_COLUMNS), rules, unit)


def age(created: str, now: datetime) -> int | None:
    """Return how many days ago a run was made; None if it does not say when.

    >>> age("2025-01-02T03:04:05+00:00", datetime(2025, 2, 1, tzinfo=UTC))
    29
    """
    try:
        made = datetime.fromisoformat(created)
    except ValueError:
        return None
    return (now - made.replace(tzinfo=made.tzinfo or UTC)).days


def _kept(info: RunInfo) -> dict[str, Any]:
    """Return what a baseline's file has of run.json."""
    whole = info.to_json()
    checkpoints = [{key: entry[key] for key in _CHECKPOINT} for entry in whole["checkpoints"]]
    return {**{key: whole[key] for key in _INFO}, "checkpoints": checkpoints}


def write_baseline(baseline: Baseline, path: str | Path) -> None:
    """Write a baseline: a Parquet file, there whole or not at all, the same bytes for the same run."""
    rules = {"level": baseline.rules.level, "rule": [asdict(rule) for rule in baseline.rules.rules]}
    whole = {"format": FORMAT, "unit": baseline.unit, "info": _kept(baseline.info), "rules": rules}
    facts = json.dumps(whole).encode()
    table = pa.Table.from_pandas(baseline.cells, preserve_index=False)
    digest = _digest(facts, baseline.cells)
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata({_FACTS: facts, _DIGEST: digest}), buffer, compression="zstd"
    )
    write_atomically(expand(path), buffer.getvalue())


def read_baseline(path: str | Path) -> Baseline:
    """Read what `write_baseline` wrote.

    Raises InputError if the file is missing, damaged (its checksum is wrong), not a baseline, or of another
    format.
    """
    path = expand(path)
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()))
        cells = table.to_pandas()
        facts = (table.schema.metadata or {}).get(_FACTS)
        whole = facts is not None and table.schema.metadata.get(_DIGEST) == _digest(facts, cells)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: is no readable baseline ({why_unreadable(path, error, PARQUET)})."
        ) from error
    if facts is None:
        raise InputError(f"{path}: is no baseline; actrobust baseline RUN -o FILE makes one.")
    if not whole:
        raise InputError(f"{path}: is damaged; make it again.")
    found = json.loads(facts)
    expected = [name for name in _COLUMNS if name in cells or name not in LATER_IDENTITY]
    if found["format"] != FORMAT or list(cells) != expected:
        raise InputError(
            f"{path}: is of another version ({found['info']['version']}, format {found['format']}; expected "
            f"format {FORMAT}). Renew it from an accepted run: actrobust baseline RUN -o {path}"
        )
    info = RunInfo.from_json(found["info"], where=str(path))
    return Baseline(info, with_identity(cells, info), parse_rules(found["rules"]), found["unit"])


def _digest(facts: bytes, cells: pd.DataFrame) -> bytes:
    digest = hashlib.sha256(facts)
    for name in cells:
        digest.update(repr(cells[name].tolist()).encode())
    return digest.hexdigest().encode()
