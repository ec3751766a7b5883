"""The columns of parts and tables of cells, as the declarations have them."""

from robustbench_act.tally.cell_quantities import CELL_QUANTITIES
from robustbench_act.tally.quantity_kinds import COLUMN_ORDER, Digest, OfFirstChunk, Row

KEYS = ["checkpoint", "suite", "table", "corruption", "group", "severity"]
IDENTITY = [
    *("checkpoint", "architecture", "activation", "normalization", "network_group"),
    *("training_seed", "dataset"),
]

QUANTITIES_BY_KIND = sorted(CELL_QUANTITIES, key=lambda quantity: COLUMN_ORDER.index(type(quantity)))
"""The declared quantities in the order of the columns."""

CELL_COLUMNS = [
    *IDENTITY,
    *KEYS[1:],
    "n",
    *(column for quantity in QUANTITIES_BY_KIND for column in quantity.columns),
    "error",
]

FORMER_CELL_COLUMNS = {"flips": "severity_flips"}
"""What columns with the same content were called in older runs and baselines."""

LATER_IDENTITY = ("normalization", "network_group")
"""What older runs lack; the reader takes it from run.json."""

REQUIRED_IDENTITY = [name for name in IDENTITY if name not in LATER_IDENTITY]
REQUIRED_CELL_COLUMNS = [
    *REQUIRED_IDENTITY,
    *KEYS[1:],
    "n",
    "correct",
    "accuracy",
    "loss",
    "agreement",
    "error",
]
"""What older runs have too."""

TEXT_COLUMNS = {
    *IDENTITY,
    *(key for key in KEYS if key != "severity"),
    *("layer", "outcomes", "predicted", "pixels", "error"),
}
"""Columns, also of layers, that hold no measured number."""

PICTURE_COLUMNS = [
    column
    for quantity in CELL_QUANTITIES
    if isinstance(quantity, OfFirstChunk | Digest)
    for column in quantity.columns
]
"""About single pictures, not about how right a network is."""

FAILED_CELL: Row = {"n": 0}
"""The columns of a failed cell in a part, next to its keys and its error."""
for _quantity in QUANTITIES_BY_KIND:
    FAILED_CELL |= _quantity.failed
