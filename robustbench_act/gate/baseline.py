"""The file that later runs are held to."""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robustbench_act.atomic_files import write_atomically
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import PARQUET, why_unreadable
from robustbench_act.gate.rules import CORRUPTIONS, DEFAULT_RULES, FORMER_ALL, Rule, Rules, parse_rules
from robustbench_act.paths import expand
from robustbench_act.records import SHIFT, RunData, RunInfo, ordered_groups
from robustbench_act.tally.columns import (
    CELL_COLUMNS,
    FORMER_CELL_COLUMNS,
    PICTURE_COLUMNS,
    REQUIRED_CELL_COLUMNS,
)

FORMAT = 2
_FORMER = 1  # its rules had the group "all", input shifts among it
_FACTS, _DIGEST = b"actrobust-baseline", b"sha256"
_COLUMNS = [name for name in CELL_COLUMNS if name not in PICTURE_COLUMNS]
_INFO = ("version", "created", "seed", "severities", "dataset", "suites", "device")
_CHECKPOINT = (
    "name",
    "digest",
    "architecture",
    "activation",
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
        Declared when the baseline was made.
    """

    info: RunInfo
    cells: pd.DataFrame
    rules: Rules


def make_baseline(run: RunData, rules: Rules | None = None) -> Baseline:
    """Return a finished run as a baseline.

    Without rules they are DEFAULT_RULES, on the shifts if the run has nothing else. Raises InputError if the
    run is empty, a checkpoint failed, there are fewer than two images, or a rule's group is not in the run.
    """
    if run.cells.empty:
        raise InputError(f"{run.path}: has no cell to make a baseline of.")
    failed = run.cells.loc[run.cells["error"].notna(), "checkpoint"]
    if len(failed):
        raise InputError(f"{run.path}: checkpoint {failed.iloc[0]!r} failed; a baseline must be whole.")
    if run.info.dataset.images < 2:
        raise InputError(f"{run.path}: expected at least 2 images, got {run.info.dataset.images}.")
    present = ordered_groups(run.cells.loc[run.cells["severity"] > 0, "group"])
    groups = ["clean", *present] if present == [SHIFT] else [CORRUPTIONS, "clean", *present]
    if rules is None:
        rules = Rules((Rule(group=SHIFT),)) if present == [SHIFT] else DEFAULT_RULES
    for rule in rules.rules:
        if rule.group not in groups:
            raise InputError(
                f"{run.path}: has no group {rule.group!r} for a rule; it has {', '.join(groups)}."
            )
    info = RunInfo.from_json(_kept(run.info), where=str(run.path))
    return Baseline(info, run.cells[_COLUMNS], rules)


def _kept(info: RunInfo) -> dict[str, Any]:
    """Return what a baseline's file has of run.json."""
    whole = info.to_json()
    checkpoints = [{key: entry[key] for key in _CHECKPOINT} for entry in whole["checkpoints"]]
    return {**{key: whole[key] for key in _INFO}, "checkpoints": checkpoints}


def write_baseline(baseline: Baseline, path: str | Path) -> None:
    """Write a baseline: a Parquet file, there whole or not at all, the same bytes for the same run."""
    rules = {"level": baseline.rules.level, "rule": [asdict(rule) for rule in baseline.rules.rules]}
    facts = json.dumps({"format": FORMAT, "info": _kept(baseline.info), "rules": rules}).encode()
    table = pa.Table.from_pandas(baseline.cells, preserve_index=False)
    digest = _digest(facts, baseline.cells)
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata({_FACTS: facts, _DIGEST: digest}), buffer, compression="zstd"
    )
    write_atomically(expand(path), buffer.getvalue())


def read_baseline(path: str | Path) -> Baseline:
    """Read what `write_baseline` wrote.

    Raises InputError if the file is missing, damaged (its checksum is wrong), not a baseline, of another
    format, or has a rule whose group changed its meaning.
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
    cells = cells.rename(columns=FORMER_CELL_COLUMNS)
    if not whole or not set(REQUIRED_CELL_COLUMNS) <= set(cells) <= set(_COLUMNS):
        raise InputError(f"{path}: is damaged or of another version; make it again.")
    found = json.loads(facts)
    for rule in found["rules"]["rule"]:
        rule["metric"] = FORMER_CELL_COLUMNS.get(rule["metric"], rule["metric"])
    if found["format"] == _FORMER and any(rule["group"] == FORMER_ALL for rule in found["rules"]["rule"]):
        raise InputError(
            f"{path}: has a rule on all corruptions from when input shifts counted among them; now they "
            f"stand apart. Renew it from an accepted run: actrobust baseline RUN -o {path}"
        )
    if found["format"] not in (_FORMER, FORMAT):
        raise InputError(f"{path}: expected format {FORMAT}, got {found['format']}; make it again.")
    info = RunInfo.from_json(found["info"], where=str(path))
    return Baseline(info, cells.reindex(columns=_COLUMNS), parse_rules(found["rules"]))


def _digest(facts: bytes, cells: pd.DataFrame) -> bytes:
    digest = hashlib.sha256(facts)
    for name in cells:
        digest.update(repr(cells[name].tolist()).encode())
    return digest.hexdigest().encode()
