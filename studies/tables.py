"""Tables of results."""

from pathlib import Path

import pandas as pd

from robustbench_act.atomic_files import write_atomically
from robustbench_act.records.parts import to_parquet


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as text."""
    write_atomically(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table, compressed."""
    write_atomically(path, to_parquet(table))
