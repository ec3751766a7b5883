"""How layers and lost accuracy go together."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from robustbench_act.errors import InputError
from robustbench_act.records import RunData, headline_groups, scored
from robustbench_act.statistics import with_ties

_RESAMPLES = 2000


def layer_correlations(run: RunData, *, within_cells: bool = False, seed: int = 0) -> pd.DataFrame:
    """Return how a layer's relative output fluctuation goes with the accuracy lost, over cells x checkpoints.

    Spearman's rank correlation, for each layer of each architecture, between `output_relative_mean` and clean
    accuracy - accuracy, over the cells of `records.headline` of all checkpoints. Positive: where the layer
    moves more, more accuracy is lost. Raises InputError if the run was made without probes.

    Parameters
    ----------
    within_cells
        Rank the checkpoints inside each cell (a corruption at a severity): what is left when all are at the
        same noise, so that stronger noise, which moves layers and costs accuracy both, does not count.

    Returns
    -------
    DataFrame
        architecture, layer, index, n (cells x checkpoints), correlation, low, high: the 95% percentile
        interval of 2,000 bootstrap samples of the corruptions, each taken with all its severities and
        checkpoints, since these move together (within cells: of the activations, each with all its cells).
        The ranks are those of the whole table. NaN where one of the two does not vary; low and high also
        where there are fewer than two to draw. A cell that is in two suites counts once.
    """
    if run.layers.empty:
        raise InputError(f"{run.path}: was run without probes.")
    return correlate_layers(run.cells, run.layers, within_cells=within_cells, seed=seed)


def correlate_layers(
    cells: pd.DataFrame, layers: pd.DataFrame, *, within_cells: bool = False, seed: int = 0
) -> pd.DataFrame:
    """Return what `layer_correlations` returns, from the tables of a run."""
    keys = ["checkpoint", "table", "corruption", "severity"]
    cells = scored(cells)[[*keys, "accuracy"]]
    clean = cells.loc[cells["severity"] == 0].set_index("checkpoint")["accuracy"]
    lost = cells["checkpoint"].map(clean) - cells["accuracy"]
    drop = cells.assign(drop=with_ties(lost, size=1.0)).drop_duplicates(keys)
    counted = layers["group"].isin(headline_groups(layers["group"]))
    bad = layers[counted & (layers["severity"] > 0)].drop_duplicates([*keys, "layer", "index"])
    joined = bad.merge(drop[[*keys, "drop"]], on=keys).dropna(subset=["output_relative_mean", "drop"])
    rows = []
    for (architecture, index, layer), rows_of in joined.groupby(["architecture", "index", "layer"]):
        pair = [rows_of[name] for name in ("output_relative_mean", "drop")]
        if within_cells:
            cells_of = rows_of.groupby(["table", "corruption", "severity"]).ngroup()
            ranks = [_ranks_within(values, cells_of) for values in pair]
            blocks = rows_of["activation"].to_numpy()
        else:
            ranks = [rankdata(values.to_numpy()) for values in pair]
            blocks = (rows_of["table"] + "/" + rows_of["corruption"]).to_numpy()
        found = _block_correlation(ranks[0], ranks[1], blocks, np.random.default_rng(seed))
        rows.append((architecture, layer, index, len(rows_of), *found))
    columns = ["architecture", "layer", "index", "n", "correlation", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"index": "int64"})


def _ranks_within(values: "pd.Series[float]", cells: "pd.Series[int]") -> NDArray[np.float64]:
    """Return ranks inside each cell, around its mean rank."""
    ranks = values.groupby(cells).rank()
    return (ranks - ranks.groupby(cells).transform("mean")).to_numpy()


def _block_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], blocks: NDArray[np.str_], random: np.random.Generator
) -> tuple[float, float, float]:
    """Return Pearson's correlation and its interval from bootstrap samples of whole blocks."""
    x, y = x - x.mean(), y - y.mean()
    names, place = np.unique(blocks, return_inverse=True)
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    sums = np.stack([np.bincount(place, weights=term, minlength=len(names)) for term in terms])
    whole = _correlation(sums.sum(1))
    if len(names) < 2 or np.isnan(whole):
        return float(whole), np.nan, np.nan
    times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_RESAMPLES)
    low, high = np.nanquantile(_correlation(sums @ times.T.astype(float)), (0.025, 0.975))
    return float(whole), float(low), float(high)


def _correlation(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation from sums of 1, x, y, x^2, y^2 and xy; NaN where one does not vary."""
    n, x, y, xx, yy, xy = sums
    product = (xx - x * x / n) * (yy - y * y / n)
    variance = np.where(product > 1e-9 * xx * yy, product, np.nan)
    correlation: NDArray[np.float64] = (xy - x * y / n) / np.sqrt(variance)
    return correlation
