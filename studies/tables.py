"""Tables of results."""

import io
from pathlib import Path

import pandas as pd

from robustbench_act.atomic_files import write_atomically


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as text."""
    write_atomically(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table, compressed."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    write_atomically(path, buffer.getvalue())
