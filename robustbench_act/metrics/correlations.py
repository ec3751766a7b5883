"""What goes with lost accuracy in each layer: correlations between activations and within them."""

import math
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.errors import InputError
from robustbench_act.metrics.cohorts import named
from robustbench_act.records import RunData, headline_groups, scored
from robustbench_act.statistics import holm, with_ties

LAYER_QUANTITIES = ("input_disturbance", "scale_free_amplification")
"""How far a layer's input moves, and what the activation makes of that: their product is how far its output
moves."""

LEAST_ACTIVATIONS = 8
"""Fewer are not tested: the layers share them, and so few have few orders."""

_EXACT = 8  # activations: 40,320 orders
_DRAWN = 9_999

Array = NDArray[np.float64]


def layer_correlations(run: RunData, *, seed: int = 0) -> pd.DataFrame:
    """Return what goes with lost accuracy in each layer of each architecture of a run.

    Inside each cell of `records.headline` (a corruption at a severity) all checkpoints are ranked: by
    clean accuracy - accuracy, and by each of LAYER_QUANTITIES (means over images) of a layer. So all are at
    the same noise: stronger noise, which moves layers and costs accuracy both, does not count. Each rank,
    around the mean rank of its cell, is the mean of its activation over all cells plus the rest, so the
    correlation has two parts. Positive: what moves more loses more. None of them says what makes accuracy
    fall.

    Raises InputError if the run was made without probes, or before LAYER_QUANTITIES were measured.

    Returns
    -------
    DataFrame
        architecture, layer, index, quantity, n (cells x checkpoints), activations, then

        - correlation : Spearman's, of all ranks inside their cells;
        - between : of the means of the activations;
        - within : of the rest: checkpoints of one activation, which differ in their training seed, and what
          an activation does in single cells;
        - p : of `between`, two-sided, by permuting the activations, each with all its cells and checkpoints:
          all orders of 8 activations, 9,999 seeded draws of more; NaN below 8;
        - adjusted : p by Holm over layers and quantities of the architecture.

        NaN where one of the two does not vary. A cell that is in two suites counts once.
    """
    if run.layers.empty:
        raise InputError(f"{run.path}: was run without probes.")
    missing = [name for name in LAYER_QUANTITIES if f"{name}_mean" not in run.layers]
    if missing:
        raise InputError(
            f"{run.path}: its layers have no {missing[0]}_mean, which older versions did not measure; "
            "evaluate again to have it."
        )
    return correlate_layers(run.cells, run.layers, seed=seed)


def correlate_layers(cells: pd.DataFrame, layers: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return what `layer_correlations` returns, from the tables of a run."""
    keys = ["checkpoint", "table", "corruption", "severity"]
    cells = scored(cells)[[*keys, "accuracy"]]
    clean = cells.loc[cells["severity"] == 0].set_index("checkpoint")["accuracy"]
    lost = cells["checkpoint"].map(clean) - cells["accuracy"]
    drop = cells.assign(drop=with_ties(lost, size=1.0)).drop_duplicates(keys)
    counted = layers["group"].isin(headline_groups(layers["group"]))
    bad = named(layers)[counted & (layers["severity"] > 0)].drop_duplicates([*keys, "layer", "index"])
    joined = bad.merge(drop[[*keys, "drop"]], on=keys)
    rows = []
    for (architecture, index, layer), own in joined.groupby(["architecture", "index", "layer"]):
        for quantity in LAYER_QUANTITIES:
            values = own[f"{quantity}_mean"].astype(float).replace([np.inf, -np.inf], np.nan)
            whole = own.assign(moved=values).dropna(subset=["moved", "drop"])
            found = _parts(whole, np.random.default_rng(seed))
            rows.append((architecture, layer, index, quantity, len(whole), *found))
    columns = ["architecture", "layer", "index", "quantity", "n", "activations"]
    table = pd.DataFrame(rows, columns=[*columns, "correlation", "between", "within", "p"])
    table["adjusted"] = table.groupby("architecture")["p"].transform(lambda p: holm(p.to_numpy()))
    return table.astype({"index": "int64"})


def _parts(rows: pd.DataFrame, random: np.random.Generator) -> tuple[int, float, float, float, float]:
    """Return the number of activations, the correlation, its two parts and the p-value of the first."""
    cell = rows.groupby(["table", "corruption", "severity"]).ngroup()
    pair = [_ranks_within(rows[name], cell) for name in ("moved", "drop")]
    whole = pd.DataFrame({"x": pair[0], "y": pair[1], "activation": rows["activation"].to_numpy()})
    by_activation = whole.groupby("activation")[["x", "y"]]
    means = by_activation.mean()
    rest = whole[["x", "y"]] - by_activation.transform("mean")
    x, y = means["x"].to_numpy(), means["y"].to_numpy()
    between = correlation(x, y)
    p = math.nan if math.isnan(between) else permutation_p(x, y, random)
    return (
        len(means),
        correlation(pair[0], pair[1]),
        between,
        correlation(rest["x"].to_numpy(), rest["y"].to_numpy()),
        p,
    )


def _ranks_within(values: "pd.Series[float]", cells: "pd.Series[int]") -> Array:
    """Return ranks inside each cell, around its mean rank."""
    ranks = values.groupby(cells).rank()
    return (ranks - ranks.groupby(cells).transform("mean")).to_numpy()


def correlation(x: Array, y: Array) -> float:
    """Return Pearson's correlation; NaN if one of the two does not vary.

    >>> correlation(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0])), correlation(np.ones(3), np.ones(3))
    (1.0, nan)
    """
    if len(x) < 2:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size > 1e-9 else math.nan


def permutation_p(x: Array, y: Array, random: np.random.Generator) -> float:
    """Return the share of orders of y whose |correlation| with x is at least that of y as it is.

    Every order of 8; of more, 9,999 drawn ones and the one that is. NaN below LEAST_ACTIVATIONS.
    """
    if len(x) < LEAST_ACTIVATIONS:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    if len(x) <= _EXACT:
        orders = y[np.array(list(permutations(range(len(x)))))]
    else:
        drawn = random.permuted(np.tile(y, (_DRAWN, 1)), axis=1)
        orders = np.concatenate([y[None], drawn])
    least = abs(float(x @ y)) * (1 - 1e-9)
    return float((np.abs(orders @ x) >= least).mean())
