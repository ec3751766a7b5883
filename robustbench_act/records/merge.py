"""From the parts of a run to its final tables: sums over chunks, then rates and moments."""

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

KEYS = ["checkpoint", "suite", "table", "corruption", "group", "severity"]
LAYER_KEYS = [*KEYS, "layer", "index", "elements"]
IDENTITY = ["checkpoint", "architecture", "activation", "training_seed", "dataset"]
CELL_COLUMNS = [*IDENTITY, *KEYS[1:], "n", "correct", "accuracy", "loss", "agreement", "pixels", "error"]
LAYER_COLUMNS = [
    *IDENTITY,
    *LAYER_KEYS[1:],
    "n",
    "input_fluctuation_mean",
    "input_fluctuation_var",
    "output_fluctuation_mean",
    "output_fluctuation_var",
    "activation_mean",
    "activation_abs_mean",
]


def merge_cells(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add up the cell rows of one corruption's chunks, in the order given.

    Returns a row for each KEYS with n, correct, accuracy (share), loss (mean, nats), agreement (share of the
    predictions equal to those on the clean images), pixels (SHA-256 of the corrupted images) and error. A
    cell that failed in one chunk failed: its counts are 0 and its rates missing.
    """
    frame = pd.concat(list(parts), ignore_index=True)
    grouped = frame.groupby(KEYS, sort=False, dropna=False)
    total = grouped[["n", "correct", "loss_sum", "agree"]].sum()
    total["pixels"] = grouped["pixels"].agg(_join_digests)
    error = grouped["error"].first()  # the first that is not missing
    failed = error.notna()
    total["error"] = error.astype(object).where(failed, None)
    total.loc[failed, ["n", "correct"]] = 0
    count = total["n"].where(total["n"] > 0).astype(float)
    total["accuracy"] = total["correct"] / count
    total["loss"] = total["loss_sum"] / count
    total["agreement"] = total["agree"] / count
    return total.reset_index().drop(columns=["loss_sum", "agree"])


def merge_layers(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Merge the layer rows of one corruption's chunks, in the order given, one chunk at a time in memory.

    Returns a row for each LAYER_KEYS with the mean and variance (divisor n - 1) over samples of the input and
    output fluctuation, and the activation means of the probe sample; no rows where no part has any.
    """
    total = pd.DataFrame()
    for part in parts:
        if len(part):
            rows = part.set_index(LAYER_KEYS)
            total = _merge_moments(total, rows) if len(total) else rows
    if total.empty:
        return total
    n = total["n"].astype(float)
    for side in ("input", "output"):
        total[f"{side}_fluctuation_mean"] = total[f"{side}_mean"]
        total[f"{side}_fluctuation_var"] = total[f"{side}_m2"] / (n - 1).where(n > 1)
    return total.reset_index()


def _merge_moments(total: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Chan, Golub & LeVeque's (1983) pairwise update; activation means are those of the first chunk."""
    part = part.reindex(total.index)
    n, added = total["n"].to_numpy(float), part["n"].fillna(0).to_numpy(float)
    merged = total.copy()
    merged["n"] = (n + added).astype(np.int64)
    for side in ("input", "output"):
        delta = part[f"{side}_mean"].fillna(0).to_numpy() - total[f"{side}_mean"].to_numpy()
        merged[f"{side}_mean"] = total[f"{side}_mean"] + delta * added / (n + added)
        m2 = part[f"{side}_m2"].fillna(0).to_numpy() + delta**2 * n * added / (n + added)
        merged[f"{side}_m2"] = total[f"{side}_m2"] + m2
    return merged


def _join_digests(digests: "pd.Series[str]") -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()
