"""Results on disk: run directories and their tables. Loads without torch."""

from robustbench_act.records.directory import RunDirectory
from robustbench_act.records.parts import DamagedPartError, Part, pack
from robustbench_act.records.run import SCHEMA_VERSION, Run, load_run
from robustbench_act.tally.columns import CELL_COLUMNS, IDENTITY, KEYS
from robustbench_act.tally.layer_columns import LAYER_COLUMNS, LAYER_KEYS
from robustbench_act.tally.outcomes import outcomes, pack_outcomes

__all__ = [
    "CELL_COLUMNS",
    "IDENTITY",
    "KEYS",
    "LAYER_COLUMNS",
    "LAYER_KEYS",
    "SCHEMA_VERSION",
    "DamagedPartError",
    "Part",
    "Run",
    "RunDirectory",
    "load_run",
    "outcomes",
    "pack",
    "pack_outcomes",
]
