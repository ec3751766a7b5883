"""The numbers of a report, as pure functions from result rows to tables.

Every table is made from the checkpoints that were measured without an error; the others are listed by
`robustbench_act.records.failures`. Accuracies are shares (0..1), higher is better. A *cohort* is the
checkpoints of one activation in one architecture, which differ in their training seed.
"""

import numpy as np
import pandas as pd

from robustbench_act.metrics import (
    COHORT,
    LAYER_QUANTITIES,
    checkpoint_scores,
    corrupted,
    headline,
    ordered_groups,
    succeeded,
)
from robustbench_act.statistics import moments_interval

_LAYER = [*COHORT, "index", "layer"]


def corruption_order(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (group, corruption) of the corrupted cells: by group, then in the order of the run."""
    pairs = corrupted(cells)[["group", "corruption"]].drop_duplicates()
    found = list(pairs.itertuples(index=False, name=None))
    groups = ordered_groups(group for group, _ in found)
    return sorted(found, key=lambda pair: groups.index(pair[0]))


def curves(cells: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy by severity, long: one row per cohort, corruption and severity.

    Columns: architecture, activation, group, corruption, severity, accuracy (mean over seeds),
    spread (standard deviation over seeds, NaN for one), seeds, low and high (Student's t-interval of the
    mean over seeds, 95 %, NaN for one seed). Severity 0 is the clean cell, repeated for every corruption.
    """
    whole = succeeded(cells)
    return _by_severity(whole, corrupted(whole))


def _by_severity(whole: pd.DataFrame, bad: pd.DataFrame) -> pd.DataFrame:
    """Return `curves` of corrupted rows and of the clean ones in `whole`."""
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint").drop(columns=["group", "corruption"])
    starts = clean.merge(bad[["group", "corruption"]].drop_duplicates(), how="cross")
    both = pd.concat([starts, bad], ignore_index=True)
    groups = both.groupby([*COHORT, "group", "corruption", "severity"])["accuracy"]
    table = groups.agg(["mean", "std", "size"]).reset_index()
    table = table.rename(columns={"mean": "accuracy", "std": "spread", "size": "seeds"})
    low, high = moments_interval(table["accuracy"], table["spread"], table["seeds"])
    return table.assign(low=low, high=high)


def mean_curves(cells: pd.DataFrame) -> pd.DataFrame:
    """Return `curves` of the mean over the headline's corruptions, which is called "mean".

    Severities that some of them lack are left out.
    """
    whole = succeeded(cells)
    bad = headline(whole)
    there = bad.groupby("severity")["corruption"].nunique()
    bad = bad[bad["severity"].isin(there.index[there == there.max()])]
    keys = [*COHORT, "checkpoint", "severity"]
    rows = bad.groupby(keys)["accuracy"].mean().reset_index().assign(group="mean", corruption="mean")
    return _by_severity(whole, rows)


def layer_profile(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the fluctuation of each activation layer, averaged over the corrupted cells given and seeds.

    Columns: architecture, activation, index, layer, elements, input_fluctuation,
    output_fluctuation (per element: the sums over the layer divided by ``elements``),
    input_spread, output_spread (standard deviation over images, per element: the root of the
    mean variance), fluctuation_ratio = output_fluctuation / input_fluctuation (NaN if the input
    did not change), and, if the run measured them, those of LAYER_QUANTITIES over the cells that moved
    the layer. A NaN in any row shows as NaN: it is not skipped.
    """
    bad = layers[layers["severity"] > 0]
    scaled = bad[[*_LAYER, "elements"]].assign(
        input_fluctuation=bad["input_fluctuation_mean"] / bad["elements"],
        output_fluctuation=bad["output_fluctuation_mean"] / bad["elements"],
        input_spread=bad["input_fluctuation_var"] / bad["elements"] ** 2,
        output_spread=bad["output_fluctuation_var"] / bad["elements"] ** 2,
    )
    table = _strict_mean(scaled, [*_LAYER, "elements"])
    table = table.astype({"index": "int64", "elements": "int64"})
    for name in ("input_spread", "output_spread"):
        table[name] = np.sqrt(table[name])
    changed = table["input_fluctuation"].where(table["input_fluctuation"] > 0)
    table = table.assign(fluctuation_ratio=table["output_fluctuation"] / changed)
    names = {f"{name}_mean": name for name in LAYER_QUANTITIES if f"{name}_mean" in layers}
    moved = bad.loc[~(bad["input_fluctuation_mean"] == 0), [*_LAYER, *names]].rename(columns=names)
    return table.merge(_strict_mean(moved, _LAYER), on=_LAYER, how="left") if names else table


def activation_means(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the activation means of each layer on clean and on corrupted images, averaged over seeds.

    Columns: architecture, activation, index, layer, clean_mean, clean_abs_mean, clean_offset,
    corruptions_mean, corruptions_abs_mean, corruptions_offset. With mu_i the mean output of element i
    over the probe images, ``mean`` is the mean of mu_i and ``abs_mean`` the mean of ``|mu_i|`` over
    the layer's elements; ``offset`` is `LAYER_METRICS`' activation_offset, if the run measured it.
    """
    names = ["activation_mean", "activation_abs_mean", "activation_offset"]
    names = [name for name in names if name in layers]
    parts = []
    for kind, rows in (("clean", layers["severity"] == 0), ("corruptions", layers["severity"] > 0)):
        part = _strict_mean(layers.loc[rows, [*_LAYER, *names]], _LAYER).set_index(_LAYER)
        parts.append(part.rename(columns={name: name.replace("activation", kind) for name in names}))
    return pd.concat(parts, axis=1).sort_index().reset_index().astype({"index": "int64"})


def mean_quantiles(layers: pd.DataFrame) -> pd.DataFrame:
    """Return how the means of a layer's elements are distributed on clean images, averaged over seeds.

    Columns: architecture, activation, index, layer, activation_q05, _q25, _q50, _q75, _q95; no rows if
    the run did not measure them.
    """
    clean = layers[layers["severity"] == 0]
    names = [f"activation_q{share}" for share in ("05", "25", "50", "75", "95")]
    if not set(names) <= set(layers) or clean[names].isna().all(axis=None):
        return pd.DataFrame(columns=[*_LAYER, *names])
    return _strict_mean(clean[[*_LAYER, *names]], _LAYER).astype({"index": "int64"})


def disturbance_and_loss(cells: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """Return how the layers of each checkpoint move, and what it loses: means over corruptions.

    Columns: architecture, activation, checkpoint, those of `LAYER_QUANTITIES` (means over layers, of the
    cells that move the layer), lost (clean - mca). Checkpoints with a value that is missing or not finite
    are left out; no rows if the run did not measure the quantities.
    """
    keys = [*COHORT, "checkpoint"]
    names = {f"{name}_mean": name for name in LAYER_QUANTITIES}
    if not set(names) <= set(layers):
        return pd.DataFrame(columns=[*keys, *names.values(), "lost"])
    still = layers["input_fluctuation_mean"] == 0
    bad = layers.loc[(layers["severity"] > 0) & ~still, [*keys, "table", "corruption", *names]]
    bad = bad.rename(columns=names).replace([np.inf, -np.inf], np.nan)
    by_corruption = _strict_mean(bad, [*keys, "table", "corruption"]).drop(columns=["table", "corruption"])
    moved = _strict_mean(by_corruption, keys).set_index(keys)
    scores = checkpoint_scores(cells)
    lost = scores.assign(lost=scores["clean"] - scores["mca"]).set_index(keys)["lost"]
    return pd.concat([moved, lost], axis=1, join="inner").dropna().reset_index()


SIGNALS = ("rho", "rho_prime", "gradient_variance")


def signals(layers: pd.DataFrame) -> pd.DataFrame:
    """Return rho, rho' and the gradient's variance by layer on clean images, averaged over seeds.

    Columns: architecture, activation, index, layer, and those of SIGNALS that were measured.
    """
    clean = layers[layers["severity"] == 0]
    names = [name for name in SIGNALS if name in layers and clean[name].notna().any()]
    return _strict_mean(clean[[*_LAYER, *names]], _LAYER).astype({"index": "int64"})


def _strict_mean(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the means by `keys`; unlike pandas' own, a missing value makes its mean missing."""
    values = [name for name in rows if name not in keys]
    groups = rows.groupby(keys)[values]
    complete = groups.count().eq(groups.size(), axis=0)
    return groups.mean().where(complete).reset_index()
