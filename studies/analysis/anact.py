"""Hypotheses on ANAct: variances alike in all layers (d), faster learning (e)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from robustbench_act.errors import InputError
from studies.analysis import layeract
from studies.analysis.contrasts import Finding, Pair, as_family, first_to_reach, paired_t
from studies.analysis.tables import Results, mean_of, wide

GRADIENTS = "standard deviation over layers of the log gradient variance"
_PAIRS = (Pair("nrelu", "relu"), Pair("nswish", "silu"))


def pairs(results: Results) -> list[Pair]:
    """Return the pairs of ANAct that the study has."""
    return [pair for pair in _PAIRS if set(pair) <= set(results.activations)]


def variances(results: Results) -> list[Finding]:
    """H-d: ANAct functions keep variances alike."""
    rows = results.tracks
    apart = np.log(rows["normalized_rho"]).abs() + np.log(rows["normalized_rho_prime"]).abs()
    moments = [rows["network"], rows["step"]]
    logs = np.log(rows["gradient_variance"])
    spread = logs.groupby(moments).std().where(logs.notna().groupby(moments).all())
    measures = {
        "|log rho| + |log rho'|": mean_of(mean_of(apart, moments), "network"),
        GRADIENTS: mean_of(spread, "network"),
    }
    tests = len(pairs(results)) * len(measures)
    return as_family(
        [
            paired_t("d", name, results.by_seed(values.rename(name)), pair, tests=tests, unit="nats")
            for name, values in measures.items()
            for pair in pairs(results)
        ]
    )


def speed(results: Results, thresholds: Sequence[float]) -> list[Finding]:
    """H-e: ANAct functions make networks learn faster. An InputError without thresholds."""
    if not thresholds:
        raise InputError("analysis.thresholds: expected two accuracies, fixed after the pilot, got none.")
    own = pairs(results)
    every = float(results.curves["step"].min())
    tables = {f"log steps to {share:.0%}": steps_to(results, share) for share in thresholds}
    tests = len(own) * len(tables)
    found = as_family(
        [
            first_to_reach("e", name, steps, pair, every=every, tests=tests)
            for name, steps in tables.items()
            for pair in own
        ]
    )
    for name, steps in tables.items():
        found += [first_to_reach("e", name, steps, pair, every=every) for pair in layeract.PAIRS]
    return found


def steps_to(results: Results, share: float) -> pd.DataFrame:
    """Return (seeds, activations): the first check at which the accuracy was at least `share`, else NaN."""
    reached = results.curves[results.curves["accuracy"] >= share].groupby("network")["step"].min()
    table = results.networks.assign(step=reached.reindex(results.networks["network"]).to_numpy(dtype=float))
    return wide(table, "training_seed", "activation", "step")
