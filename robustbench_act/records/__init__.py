"""Results on disk: run directories and their tables. Loads without torch."""

from robustbench_act.records.directory import RunDirectory
from robustbench_act.records.merge import CELL_COLUMNS, IDENTITY, KEYS, LAYER_COLUMNS, LAYER_KEYS, SUMMED
from robustbench_act.records.outcomes import outcomes, pack_outcomes
from robustbench_act.records.parts import DamagedPartError, Part, pack
from robustbench_act.records.run import SCHEMA_VERSION, Run, load_run

__all__ = [
    "CELL_COLUMNS",
    "IDENTITY",
    "KEYS",
    "LAYER_COLUMNS",
    "LAYER_KEYS",
    "SCHEMA_VERSION",
    "SUMMED",
    "DamagedPartError",
    "Part",
    "Run",
    "RunDirectory",
    "load_run",
    "outcomes",
    "pack",
    "pack_outcomes",
]
