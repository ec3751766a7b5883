"""Results on disk: run directories and their tables. Loads without torch."""

from robustbench_act.records.behaviour import Behaviour
from robustbench_act.records.cells import (
    CELL,
    SHIFT,
    HeadlineWords,
    corrupted,
    counted_kinds,
    failures,
    group_label,
    headline,
    headline_groups,
    headline_words,
    labelled,
    ordered_groups,
    scored,
    succeeded,
)
from robustbench_act.records.data import RunData
from robustbench_act.records.directory import RunDirectory, Tables
from robustbench_act.records.info import (
    SCHEMA_VERSION,
    CheckpointInfo,
    DatasetInfo,
    RunInfo,
    SourceInfo,
    SuiteInfo,
)
from robustbench_act.records.parts import DamagedPartError, Part, done_units, pack
from robustbench_act.records.reader import read_run, recorded_checkpoints, with_identity
from robustbench_act.tally.columns import CELL_COLUMNS, IDENTITY, KEYS
from robustbench_act.tally.layer_columns import LAYER_COLUMNS, LAYER_KEYS
from robustbench_act.tally.outcomes import outcomes, pack_outcomes

__all__ = [
    "CELL",
    "CELL_COLUMNS",
    "IDENTITY",
    "KEYS",
    "LAYER_COLUMNS",
    "LAYER_KEYS",
    "SCHEMA_VERSION",
    "SHIFT",
    "Behaviour",
    "CheckpointInfo",
    "DamagedPartError",
    "DatasetInfo",
    "HeadlineWords",
    "Part",
    "RunData",
    "RunDirectory",
    "RunInfo",
    "SourceInfo",
    "SuiteInfo",
    "Tables",
    "corrupted",
    "counted_kinds",
    "done_units",
    "failures",
    "group_label",
    "headline",
    "headline_groups",
    "headline_words",
    "labelled",
    "ordered_groups",
    "outcomes",
    "pack",
    "pack_outcomes",
    "read_run",
    "recorded_checkpoints",
    "scored",
    "succeeded",
    "with_identity",
]
