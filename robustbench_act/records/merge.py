"""From the parts of a run to its final tables: sums over chunks, then rates and moments."""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.records.outcomes import unpack_outcomes
from robustbench_act.tally.calibration import calibration_error
from robustbench_act.tally.layer_columns import (
    HISTOGRAMS,
    MEAN_COLUMNS,
    QUANTILE_NAMES,
    QUANTITIES,
    SIGNAL_COLUMNS,
    SLOPE_COLUMNS,
)
from robustbench_act.tally.mergeable_stats import BINS, Moments, moment_columns, quantile_columns

KEYS = ["checkpoint", "suite", "table", "corruption", "group", "severity"]
LAYER_KEYS = [*KEYS, "layer", "index", "elements"]
IDENTITY = ["checkpoint", "architecture", "activation", "training_seed", "dataset"]
SUMMED = ("top5", "loss", "brier", "agreement", "flips")
"""Metrics of a cell that are means over its images: parts have their sums."""

CELL_COLUMNS = [
    *IDENTITY,
    *KEYS[1:],
    "n",
    "correct",
    "accuracy",
    *SUMMED,
    "ece",
    "ece_mass",
    "outcomes",
    "predicted",
    "pixels",
    "error",
]
PROBE_SAMPLE_COLUMNS = (*MEAN_COLUMNS, *SLOPE_COLUMNS, *SIGNAL_COLUMNS)
"""Measured on the probe sample, the first chunk; slopes and signals in the clean rows only."""

_STORED_HISTOGRAMS = [f"{name}_histogram" for name in HISTOGRAMS]  # in parts: the bytes of the counts

LAYER_COLUMNS = [
    *IDENTITY,
    *LAYER_KEYS[1:],
    "n",
    "nonfinite",
    *(f"{name}_{moment}" for name in QUANTITIES for moment in ("mean", "var")),
    *(f"{name}_{quantile}" for name in HISTOGRAMS for quantile in QUANTILE_NAMES),
    *PROBE_SAMPLE_COLUMNS,
]


def merge_cells(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add up the cell rows of one corruption's chunks, in the order given.

    Returns a row for each KEYS with n, correct, accuracy, SUMMED, ece and ece_mass (see `metrics.METRICS`),
    outcomes (see `records.outcomes`), predicted (the classes of the sample images, as "7 2 1 0"),
    pixels (SHA-256 of the corrupted images) and error. A cell that failed in one chunk failed: its counts are
    0, its rates missing.
    """
    frame = pd.concat(list(parts), ignore_index=True)
    grouped = frame.groupby(KEYS, sort=False, dropna=False)
    sums = [f"{name}_sum" for name in SUMMED]
    total = grouped[["n", "correct", *sums]].sum(min_count=1)  # missing, not 0, where there are no labels
    for name in ("outcomes", "confidence"):  # whole bytes: chunks are multiples of 8 images
        total[name] = grouped[name].agg(b"".join)
    total["predicted"] = grouped["predicted"].first()
    total["pixels"] = grouped["pixels"].agg(_join_digests)
    error = grouped["error"].first()  # the first that is not missing
    failed = error.notna()
    total["error"] = error.astype(object).where(failed, None)
    total.loc[failed, ["n", "correct"]] = 0
    total.loc[failed, ["outcomes", "confidence"]] = b""
    total.loc[failed, "predicted"] = ""
    count = total["n"].where(total["n"] > 0).astype(float)
    total["accuracy"] = total["correct"] / count
    for name in SUMMED:
        total[name] = total[f"{name}_sum"] / count
    for name, equal_mass in (("ece", False), ("ece_mass", True)):
        total[name] = [_calibration_error(row, equal_mass=equal_mass) for row in total.itertuples()]
    return total.reset_index().drop(columns=[*sums, "confidence"])


def _calibration_error(cell: Any, *, equal_mass: bool) -> float:
    confidence = np.frombuffer(cell.confidence, dtype=np.float32)
    if np.isnan(cell.correct):
        return math.nan
    correct = unpack_outcomes(cell.outcomes, len(confidence))
    return calibration_error(confidence, correct, equal_mass=equal_mass)


def merge_layers(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Merge the layer rows of one corruption's chunks, in the order given, one chunk at a time in memory.

    Returns a row for each LAYER_KEYS with n and nonfinite (samples), mean and variance (divisor n - 1) over
    samples of each of QUANTITIES, quantiles of HISTOGRAMS, and PROBE_SAMPLE_COLUMNS; no rows where no part
    has any.
    """
    total: _Layers | None = None
    for part in parts:
        if len(part):
            rows = _Layers(part.set_index(LAYER_KEYS))
            total = rows if total is None else total.merged(rows)
    return pd.DataFrame() if total is None else total.table()


def merge_histograms(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add up the histograms of layer rows of any chunks and corruptions.

    Returns a row for each LAYER_KEYS with a column for each of HISTOGRAMS: int64 arrays (BINS,), the samples
    of which fluctuation / elements lies in each bin of `robustbench_act.tally.mergeable_stats.EDGES`.
    """
    total: dict[tuple[Any, ...], NDArray[np.int64]] = {}
    for part in parts:
        for *key, first, second in part[[*LAYER_KEYS, *_STORED_HISTOGRAMS]].itertuples(index=False):
            counts = np.frombuffer(first + second, dtype=np.int64).reshape(len(HISTOGRAMS), BINS)
            total[tuple(key)] = total.get(tuple(key), 0) + counts
    rows = [(*key, *counts) for key, counts in total.items()]
    return pd.DataFrame(rows, columns=[*LAYER_KEYS, *HISTOGRAMS])


class _Layers:
    """The layer rows of some chunks: their keys, what can be merged, and what the first chunk alone has."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows.drop(columns=_STORED_HISTOGRAMS)
        self.counts = rows[["n", "nonfinite"]].to_numpy(np.int64)
        self.moments = [
            Moments(*(rows[f"{name}_{part}"].to_numpy(float) for part in Moments._fields))
            for name in QUANTITIES
        ]
        self.histograms = [
            np.frombuffer(b"".join(rows[name]), dtype=np.int64).reshape(-1, BINS)
            for name in _STORED_HISTOGRAMS
        ]

    def merged(self, other: "_Layers") -> "_Layers":
        """Return both together; rows that `other` lacks (a checkpoint failed there) stay as they are."""
        place = other.rows.index.get_indexer(self.rows.index)
        found, place = place >= 0, place.clip(min=0)

        def take(values: NDArray[Any]) -> NDArray[Any]:
            taken: NDArray[Any] = values[place]
            return np.where(found.reshape(-1, *[1] * (taken.ndim - 1)), taken, 0)

        self.counts = self.counts + take(other.counts)
        pairs = zip(self.moments, other.moments, strict=True)
        self.moments = [own.merged(Moments(*map(take, more))) for own, more in pairs]
        counts = zip(self.histograms, other.histograms, strict=True)
        self.histograms = [own + take(more) for own, more in counts]
        return self

    def table(self) -> pd.DataFrame:
        """Return the rows of the final table."""
        columns = {"n": self.counts[:, 0], "nonfinite": self.counts[:, 1]}
        for name, moments in zip(QUANTITIES, self.moments, strict=True):
            columns |= moment_columns(name, moments)
        elements = self.rows.index.get_level_values("elements").to_numpy()
        for name, histogram in zip(HISTOGRAMS, self.histograms, strict=True):
            columns |= quantile_columns(name, histogram, elements)
        sample = self.rows.reindex(columns=list(PROBE_SAMPLE_COLUMNS))
        return pd.concat([pd.DataFrame(columns, index=self.rows.index), sample], axis=1).reset_index()


def _join_digests(digests: "pd.Series[str]") -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()
