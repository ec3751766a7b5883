"""The numbers of a report, as pure functions from result rows to tables.

Every table is made from the checkpoints that were measured without an error; the others are
listed by `failures`. Accuracies are shares (0..1), higher is better. A *group* of checkpoints
is one activation in one architecture; its checkpoints differ in their training seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from reports.grid import Grid
from reports.names import split_run
from robustbench_act.metrics import checkpoint_scores, corrupted, group_columns, ordered_groups, succeeded
from robustbench_act.statistics import Comparison, compare_images, compare_seeds, holm

_GROUP = ["architecture", "activation"]
NO_OUTCOMES = "this run does not say which images were right"


def corruption_order(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (group, corruption) of the corrupted cells: by group, then in the order of the run."""
    pairs = corrupted(cells)[["group", "corruption"]].drop_duplicates()
    found = list(pairs.itertuples(index=False, name=None))
    groups = ordered_groups(group for group, _ in found)
    return sorted(found, key=lambda pair: groups.index(pair[0]))


def failures(cells: pd.DataFrame, checkpoints: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """Return the failed checkpoints, with their keys, ``failed_cells`` and ``error``.

    Parameters
    ----------
    cells : DataFrame
        Result rows; those with an error count.
    checkpoints : sequence of mappings
        ``run.json``'s list: a checkpoint that failed before it had any row is taken from there
        (``failed_cells`` is 0 for it).
    """
    columns = ["checkpoint", "architecture", "activation", "training_seed", "failed_cells", "error"]
    bad = cells[cells["error"].notna()]
    rows = []
    for _, own in bad.groupby("checkpoint", sort=True):
        reasons = "; ".join(dict.fromkeys(own["error"].astype(str)))
        rows.append([*own.iloc[0][columns[:4]], len(own), reasons])
    listed = {row[0] for row in rows}
    for entry in checkpoints:
        if entry.get("status") == "failed" and entry["name"] not in listed:
            rows.append([entry["name"], *(entry.get(key) for key in columns[1:4]), 0, entry.get("error")])
    return pd.DataFrame(rows, columns=columns)


def curves(cells: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy by severity, long: one row per group of checkpoints, corruption and severity.

    Columns: architecture, activation, group, corruption, severity, accuracy (mean over seeds),
    spread (standard deviation over seeds, NaN for one), seeds, low and high (Student's t-interval of the
    mean over seeds, 95 %, NaN for one seed). Severity 0 is the clean cell, repeated for every corruption.
    """
    whole = succeeded(cells)
    bad = corrupted(whole)
    clean = whole[whole["severity"] == 0].drop_duplicates("checkpoint").drop(columns=["group", "corruption"])
    starts = clean.merge(bad[["group", "corruption"]].drop_duplicates(), how="cross")
    both = pd.concat([starts, bad], ignore_index=True)
    groups = both.groupby([*_GROUP, "group", "corruption", "severity"])["accuracy"]
    table = groups.agg(["mean", "std", "size"]).reset_index()
    table = table.rename(columns={"mean": "accuracy", "std": "spread", "size": "seeds"})
    seeds = table["seeds"].where(table["seeds"] > 1)
    half = stats.t.ppf(0.975, seeds - 1) * table["spread"] / np.sqrt(seeds)
    return table.assign(low=table["accuracy"] - half, high=table["accuracy"] + half)


def significance(
    scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None, names: Sequence[str]
) -> pd.DataFrame:
    """Compare every two activations of one architecture: over images, and over training seeds.

    Parameters
    ----------
    scores : DataFrame
        `robustbench_act.metrics.checkpoint_scores` of that architecture.
    outcomes : Mapping
        Of each checkpoint (images,): the share of corrupted cells in which each image is right; None where
        the run does not have them.
    names : sequence of str
        Activations.

    Returns
    -------
    DataFrame
        a, b, then for each of "images" and "seeds": difference (a - b, shares), low, high, p, adjusted
        (Holm over all pairs), pairs, test, note. Over images each activation is the mean of its checkpoints.
        Over seeds the pairs are the training seeds that both have.
    """
    rows = []
    for first, second in combinations(names, 2):
        own, other = (scores[scores["activation"] == name] for name in (first, second))
        rows.append({"a": first, "b": second, **_tests(own, other, outcomes)})
    return _holm(pd.DataFrame(rows))


def between_runs(
    grid: Grid, scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None
) -> pd.DataFrame:
    """Compare each activation of a later run with that of the first run that has it.

    Parameters
    ----------
    grid
        All accuracies.
    scores, outcomes
        As in `significance`; activations of several runs are named by `reports.names.of_run`.

    Returns
    -------
    DataFrame
        architecture, activation, name (of the later one), left_out (checkpoints of training seeds that only
        one has), base and run (names of runs), was and now (corrupted accuracy), the changes clean, corrupted
        and group_... (now - was, shares), lost (the corruption that changed for the worse most) and
        lost_change; then the tests over "images" and "seeds" as in `significance`, Holm over the rows of two
        runs. The largest fall first.
    """
    rows = [
        {
            "architecture": architecture,
            "activation": plain,
            "name": pair.own["activation"].iloc[0],
            "left_out": pair.left_out,
            **_change(grid, pair.own, pair.base),
            **_tests(pair.own, pair.base, outcomes),
        }
        for architecture, plain, pair in _of_two_runs(scores)
    ]
    if not rows:
        return pd.DataFrame()
    runs = [_holm(own) for _, own in pd.DataFrame(rows).groupby(["base", "run"], sort=False)]
    return pd.concat(runs).sort_values("corrupted", kind="stable", ignore_index=True)


def run_changes(scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None) -> pd.DataFrame:
    """Compare two runs as a whole: the mean over the activations that both have, each with equal weight.

    Parameters
    ----------
    scores, outcomes
        As in `between_runs`.

    Returns
    -------
    DataFrame
        base, run, clean and corrupted (mean change, shares), then the test over images: difference, low,
        high, p, pairs, test, note.
    """
    runs: dict[tuple[str, str], list[_Pair]] = {}
    for _, _, pair in _of_two_runs(scores):
        runs.setdefault((_run_of(pair.base), _run_of(pair.own)), []).append(pair)
    rows = []
    for (name, run), pairs in runs.items():
        changes = {
            key: np.mean([pair.own[key].mean() - pair.base[key].mean() for pair in pairs])
            for key in ("clean", "corrupted")
        }
        if outcomes is None:
            test = _no_test(NO_OUTCOMES)
        else:
            x, y = (
                np.mean([_images(scores_of, outcomes) for scores_of in side], axis=0)
                for side in ([pair.own for pair in pairs], [pair.base for pair in pairs])
            )
            test = _test_columns(compare_images(x, y, bootstrap=False))
        rows.append({"base": name, "run": run, **changes, **test})
    return pd.DataFrame(rows)


def _of_two_runs(scores: pd.DataFrame) -> Iterator[tuple[str, str, "_Pair"]]:
    """Yield architecture, activation, and its first run with each later one."""
    known = scores.assign(plain=[split_run(name)[0] for name in scores["activation"]])
    for (architecture, plain), group in known.groupby(["architecture", "plain"], sort=False):
        names = sorted(group["activation"].unique(), key=lambda name: split_run(name)[1])
        base, *later = (group[group["activation"] == name] for name in names)
        for own in later:
            yield str(architecture), str(plain), _partners(base, own)


@dataclass(frozen=True, eq=False)
class _Pair:
    """The scores of an activation in two runs, and how many checkpoints have no partner."""

    base: pd.DataFrame
    own: pd.DataFrame
    left_out: int = 0


def _partners(base: pd.DataFrame, own: pd.DataFrame) -> _Pair:
    """Return the checkpoints of the training seeds that both have; all, where seeds do not tell partners."""
    seeds = [part["training_seed"] for part in (base, own)]
    both = set(seeds[0]) & set(seeds[1])
    if not both or any(known.isna().any() or known.duplicated().any() for known in seeds):
        return _Pair(base, own)
    found, other = (part[part["training_seed"].isin(both)] for part in (base, own))
    return _Pair(found, other, len(base) + len(own) - 2 * len(both))


def _run_of(scores: pd.DataFrame) -> str:
    return split_run(scores["activation"].iloc[0])[2]


def _change(grid: Grid, own: pd.DataFrame, base: pd.DataFrame) -> dict[str, Any]:
    names = ["clean", "corrupted", *group_columns(own)]
    changes = {name: own[name].mean() - base[name].mean() for name in names}
    means = [grid.of(part["checkpoint"]).means[:, :, 0].mean(axis=0) for part in (own, base)]
    by_corruption = means[0] - means[1]
    worst = int(np.nanargmin(by_corruption))
    runs: dict[str, Any] = {"base": _run_of(base), "run": _run_of(own)}
    ends = {"was": base["corrupted"].mean(), "now": own["corrupted"].mean()}
    lost = {"lost": grid.corruptions["corruption"][worst], "lost_change": by_corruption[worst]}
    return {**runs, **ends, **changes, **lost}


def _tests(
    own: pd.DataFrame, other: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None
) -> dict[str, Any]:
    """Return the columns of both tests, over images and over training seeds."""
    found = {"images": _over_images(own, other, outcomes), "seeds": _over_seeds(own, other)}
    return {f"{over}_{name}": value for over, test in found.items() for name, value in test.items()}


def _holm(table: pd.DataFrame) -> pd.DataFrame:
    """Add p-values adjusted over all rows, for both tests."""
    if table.empty:
        return table
    return table.assign(**{f"{over}_adjusted": holm(table[f"{over}_p"]) for over in ("images", "seeds")})


def _over_images(
    own: pd.DataFrame, other: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]] | None
) -> dict[str, Any]:
    if outcomes is None:
        return _no_test(NO_OUTCOMES)
    x, y = (_images(part, outcomes) for part in (own, other))
    return _test_columns(compare_images(x, y, bootstrap=False))


def _images(scores: pd.DataFrame, outcomes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over checkpoints (images,)."""
    return np.asarray(np.mean([outcomes[name] for name in scores["checkpoint"]], axis=0))


def _over_seeds(own: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    seeds = [part["training_seed"] for part in (own, other)]
    if any(known.isna().any() for known in seeds):
        return _no_test("not all training seeds are known")
    if any(known.duplicated().any() for known in seeds):
        return _no_test("a training seed comes twice")
    both = own.merge(other, on="training_seed")
    if both.empty:
        return _no_test("no training seed is in both")
    return _test_columns(compare_seeds(both["corrupted_x"], both["corrupted_y"]))


def _no_test(note: str) -> dict[str, Any]:
    missing = dict.fromkeys(("difference", "low", "high", "p"), np.nan)
    return {**missing, "pairs": 0, "test": "none", "note": note}


def _test_columns(found: Comparison) -> dict[str, Any]:
    low, high = found.interval
    numbers = {"difference": found.difference, "low": low, "high": high, "p": found.p}
    return {**numbers, "pairs": found.pairs, "test": found.test, "note": found.note}


def layer_profile(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the fluctuation of each activation layer, averaged over corrupted cells and seeds.

    Columns: architecture, activation, index, layer, elements, input_fluctuation,
    output_fluctuation (per element: the sums over the layer divided by ``elements``),
    input_spread, output_spread (standard deviation over images, per element: the root of the
    mean variance), amplification = output_fluctuation / input_fluctuation (NaN where the input
    did not change). A NaN in any row shows as NaN: it is not skipped.
    """
    bad = layers[layers["severity"] > 0]
    scaled = bad[[*_GROUP, "index", "layer", "elements"]].assign(
        input_fluctuation=bad["input_fluctuation_mean"] / bad["elements"],
        output_fluctuation=bad["output_fluctuation_mean"] / bad["elements"],
        input_spread=bad["input_fluctuation_var"] / bad["elements"] ** 2,
        output_spread=bad["output_fluctuation_var"] / bad["elements"] ** 2,
    )
    table = _strict_mean(scaled, [*_GROUP, "index", "layer", "elements"])
    table = table.astype({"index": "int64", "elements": "int64"})
    for name in ("input_spread", "output_spread"):
        table[name] = np.sqrt(table[name])
    changed = table["input_fluctuation"].where(table["input_fluctuation"] > 0)
    return table.assign(amplification=table["output_fluctuation"] / changed)


def activation_means(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the activation means of each layer on clean and on corrupted images, averaged over seeds.

    Columns: architecture, activation, index, layer, clean_mean, clean_abs_mean, corrupted_mean,
    corrupted_abs_mean. With mu_i the mean output of element i over the probe images, ``mean`` is
    the mean of mu_i and ``abs_mean`` the mean of ``|mu_i|`` over the layer's elements.
    """
    keys = [*_GROUP, "index", "layer"]
    names = ["activation_mean", "activation_abs_mean"]
    parts = []
    for kind, rows in (("clean", layers["severity"] == 0), ("corrupted", layers["severity"] > 0)):
        part = _strict_mean(layers.loc[rows, [*keys, *names]], keys).set_index(keys)
        parts.append(part.rename(columns={name: name.replace("activation", kind) for name in names}))
    return pd.concat(parts, axis=1).sort_index().reset_index().astype({"index": "int64"})


def mean_quantiles(layers: pd.DataFrame) -> pd.DataFrame:
    """Return how the means of a layer's elements are distributed on clean images, averaged over seeds.

    Columns: architecture, activation, index, layer, activation_q05, _q25, _q50, _q75, _q95; no rows where
    the run does not have them.
    """
    clean = layers[layers["severity"] == 0]
    names = [f"activation_q{share}" for share in ("05", "25", "50", "75", "95")]
    keys = [*_GROUP, "index", "layer"]
    if not set(names) <= set(layers) or clean[names].isna().all(axis=None):
        return pd.DataFrame(columns=[*keys, *names])
    return _strict_mean(clean[[*keys, *names]], keys).astype({"index": "int64"})


def fluctuation_cost(cells: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """Return how much the layers of each checkpoint move, and what it loses: means over corruptions.

    Columns: architecture, activation, checkpoint, fluctuation (relative output fluctuation, mean over
    layers), lost (clean accuracy - accuracy). Checkpoints of which a value is missing or not finite are
    left out; no rows where the run does not have the former.
    """
    keys = [*_GROUP, "checkpoint"]
    if "output_relative_mean" not in layers:
        return pd.DataFrame(columns=[*keys, "fluctuation", "lost"])
    bad = layers.loc[layers["severity"] > 0, [*keys, "table", "corruption", "output_relative_mean"]]
    bad = bad.assign(output_relative_mean=bad["output_relative_mean"].replace([np.inf, -np.inf], np.nan))
    by_corruption = _strict_mean(bad, [*keys, "table", "corruption"]).drop(columns=["table", "corruption"])
    moved = _strict_mean(by_corruption, keys).set_index(keys)["output_relative_mean"].rename("fluctuation")
    scores = checkpoint_scores(cells)
    lost = scores.assign(lost=scores["clean"] - scores["corrupted"]).set_index(keys)["lost"]
    return pd.concat([moved, lost], axis=1, join="inner").dropna().reset_index()


SIGNALS = ("rho", "rho_prime", "gradient_variance")


def signals(layers: pd.DataFrame) -> pd.DataFrame:
    """Return rho, rho' and the gradient's variance by layer on clean images, averaged over seeds.

    Columns: architecture, activation, index, layer, and those of SIGNALS that were measured.
    """
    clean = layers[layers["severity"] == 0]
    names = [name for name in SIGNALS if name in layers and clean[name].notna().any()]
    keys = [*_GROUP, "index", "layer"]
    return _strict_mean(clean[[*keys, *names]], keys).astype({"index": "int64"})


def _strict_mean(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the means by `keys`; unlike pandas' own, a missing value makes its mean missing."""
    values = [name for name in rows if name not in keys]
    groups = rows.groupby(keys)[values]
    complete = groups.count().eq(groups.size(), axis=0)
    return groups.mean().where(complete).reset_index()
