"""Checks that the tables of a run are complete, so that averages mean the same for every checkpoint."""

from pathlib import Path

import pandas as pd

from robustbench_act.errors import InputError
from robustbench_act.records.cells import CELL, cell_name, succeeded


def check_cells(cells: pd.DataFrame, *, where: Path) -> None:
    """Refuse an empty table, missing or impossible accuracies, and checkpoints with different cells.

    Failed checkpoints are not checked.
    """
    if cells.empty:
        raise InputError(f"{where}: expected Parquet files with rows, found none.")
    try:
        whole = succeeded(cells)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    outside = whole[~whole["accuracy"].between(0, 1)]
    if not outside.empty:
        first = outside.iloc[0]
        raise InputError(
            f"{where}: expected accuracies in 0..1, got {first['accuracy']} for {cell_name(first)}."
        )
    _check_grid(whole, where=where)


def _check_grid(cells: pd.DataFrame, *, where: Path) -> None:
    """Refuse checkpoints that were not measured on the same cells, including the clean one."""
    grid = cells[CELL].drop_duplicates()
    if not grid.empty and not (grid["severity"] > 0).any():
        raise InputError(f"{where}: expected corrupted cells, found only the clean one.")
    for checkpoint, own in cells.groupby("checkpoint"):
        if not (own["severity"] == 0).any():
            raise InputError(f"{where}: the clean cell (severity 0) of checkpoint {checkpoint!r} is missing.")
        merged = grid.merge(own, how="left", on=CELL)
        absent = merged[merged["checkpoint"].isna()]
        if not absent.empty:
            first = cell_name(absent.iloc[0].fillna({"checkpoint": checkpoint}))
            raise InputError(f"{where}: {len(absent)} of {len(grid)} cells are missing, first {first}.")


def check_layers(layers: pd.DataFrame, cells: pd.DataFrame, *, where: Path) -> None:
    """Refuse layers if a checkpoint that did not fail has no clean or no corrupted row."""
    measured = sorted(set(cells["checkpoint"]) - set(cells.loc[cells["error"].notna(), "checkpoint"]))
    for kind, rows in (("clean", layers["severity"] == 0), ("corrupted", layers["severity"] > 0)):
        there = set(layers.loc[rows, "checkpoint"])
        absent = [name for name in measured if name not in there]
        if absent:
            raise InputError(f"{where}: expected {kind} layer rows for {', '.join(absent)}, found none.")
