"""From the parts of a run to its final tables: sums over chunks, then rates and moments."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.tally.cell_quantities import CELL_QUANTITIES
from robustbench_act.tally.columns import CELL_COLUMNS, KEYS
from robustbench_act.tally.layer_columns import (
    HISTOGRAM_BYTES,
    HISTOGRAMS,
    LAYER_KEYS,
    PROBE_SAMPLE_COLUMNS,
    QUANTITIES,
)
from robustbench_act.tally.mergeable_stats import BINS, Moments, moment_columns, quantile_columns
from robustbench_act.tally.outcomes import IMAGES_PER_BYTE
from robustbench_act.tally.quantity_kinds import OverAllImages


def merge_cells(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Merge the cell rows of one corruption's chunks, in the order given.

    Returns a row for each KEYS with n, the declared quantities and error. A cell that failed in one chunk
    failed: its counts are 0, its rates missing.
    """
    chunks = list(parts)
    _check_whole_bytes(chunks)
    grouped = pd.concat(chunks, ignore_index=True).groupby(KEYS, sort=False, dropna=False)
    error = grouped["error"].first()  # the first that is not missing
    failed = error.notna()
    cells = pd.DataFrame({"n": grouped["n"].sum().mask(failed, 0), "failed": failed})
    for quantity in sorted(CELL_QUANTITIES, key=lambda one: isinstance(one, OverAllImages)):
        cells = cells.assign(**quantity.merge(grouped, cells))
    cells["error"] = error.astype(object).where(failed, None)
    return cells.reset_index()[[*KEYS, *CELL_COLUMNS[CELL_COLUMNS.index("n") :]]]


def _check_whole_bytes(chunks: list[pd.DataFrame]) -> None:
    for chunk in chunks[:-1]:
        counts = set(chunk["n"].unique().tolist())
        assert not any(n % IMAGES_PER_BYTE for n in counts), (
            f"Expected chunks of a multiple of {IMAGES_PER_BYTE} images before the last one, got {counts}: "
            "their bytes are joined."
        )


def merge_layers(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Make the final rows of the layer rows of parts: only the first chunk has any, the probe sample.

    Returns a row for each LAYER_KEYS with n and nonfinite (samples), mean and variance (divisor n - 1) over
    samples of each of QUANTITIES, quantiles of HISTOGRAMS, and PROBE_SAMPLE_COLUMNS; no rows if no part
    has any.

    Rows of a cell that failed in a later chunk stay. `merge_cells` calls the cell failed, and neither reports
    nor correlations use layers of failed cells.
    """
    measured = [part for part in parts if len(part)]
    if not measured:
        return pd.DataFrame()
    rows = pd.concat(measured, ignore_index=True)
    columns: dict[str, Any] = {"n": rows["n"].to_numpy(), "nonfinite": rows["nonfinite"].to_numpy()}
    for name in QUANTITIES:
        moments = Moments(*(rows[f"{name}_{part}"].to_numpy(float) for part in Moments._fields))
        columns |= moment_columns(name, moments)
    elements = rows["elements"].to_numpy()
    for name, packed in zip(HISTOGRAMS, HISTOGRAM_BYTES, strict=True):
        histogram = np.frombuffer(b"".join(rows[packed]), dtype=np.int64).reshape(-1, BINS)
        columns |= quantile_columns(name, histogram, elements)
    sample = rows.reindex(columns=list(PROBE_SAMPLE_COLUMNS))
    return pd.concat([rows[LAYER_KEYS], pd.DataFrame(columns), sample], axis=1)


def merge_histograms(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add up the histograms of layer rows of any chunks and corruptions.

    Returns a row for each LAYER_KEYS with a column for each of HISTOGRAMS: int64 arrays (BINS,), the number
    of samples whose fluctuation / elements lies in each bin of `robustbench_act.tally.mergeable_stats.EDGES`.
    """
    total: dict[tuple[Any, ...], NDArray[np.int64]] = {}
    for part in parts:
        for *key, first, second in part[[*LAYER_KEYS, *HISTOGRAM_BYTES]].itertuples(index=False):
            counts = np.frombuffer(first + second, dtype=np.int64).reshape(len(HISTOGRAMS), BINS)
            total[tuple(key)] = total.get(tuple(key), 0) + counts
    rows = [(*key, *counts) for key, counts in total.items()]
    return pd.DataFrame(rows, columns=[*LAYER_KEYS, *HISTOGRAMS])
