"""Results on disk: run directories and their tables. Loads without torch."""

from robustbench_act.records.directory import SCHEMA_VERSION, Run, RunDirectory, load_run
from robustbench_act.records.merge import CELL_COLUMNS, IDENTITY, KEYS, LAYER_COLUMNS, LAYER_KEYS, SUMMED
from robustbench_act.records.outcomes import outcomes, pack_outcomes

__all__ = [
    "CELL_COLUMNS",
    "IDENTITY",
    "KEYS",
    "LAYER_COLUMNS",
    "LAYER_KEYS",
    "SCHEMA_VERSION",
    "SUMMED",
    "Run",
    "RunDirectory",
    "load_run",
    "outcomes",
    "pack_outcomes",
]
