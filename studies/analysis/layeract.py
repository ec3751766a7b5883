"""Hypotheses on LayerAct: noise that is passed on (a), mean activation (b), robustness (c)."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from studies.analysis.contrasts import (
    EXPLORATORY,
    LEVEL,
    ROBUSTNESS,
    SECONDARY,
    Finding,
    Pair,
    as_family,
    equivalence,
    joint_test,
    paired_t,
)
from studies.analysis.tables import GROUPS, Results, mean_of

PAIRS = (Pair("la_silu", "silu"), Pair("la_hardsilu", "hardsilu"))
_OTHERS = {"la_silu", "la_hardsilu", "nrelu", "nswish"}
_TINY = 1e-6
_MARGIN = math.log(1.05)
AMPLIFICATION = "log scale-free amplification"
VARIATION = "log coefficient of variation of the amplification"


def element_wise_pairs(results: Results) -> list[Pair]:
    """Return both LayerAct functions with each element-wise function of the study."""
    plain = [name for name in results.activations if name not in _OTHERS]
    return [Pair(pair.a, name) for pair in PAIRS for name in plain]


def noise(results: Results) -> list[Finding]:
    """H-a: LayerAct functions pass on less noise."""
    measures = {
        AMPLIFICATION: _per_network(results, "scale_free_amplification"),
        VARIATION: _variation(results, "scale_free_amplification"),
    }
    tests = len(PAIRS) * len(measures)
    found = as_family(
        [
            paired_t("a", name, results.by_seed(values), pair, tests=tests)
            for name, values in measures.items()
            for pair in PAIRS
        ]
    )
    for name, values in measures.items():
        table = results.by_seed(values)
        found += [
            paired_t("a", name, table, pair) for pair in element_wise_pairs(results) if pair not in PAIRS
        ]
    for strength in _strengths(results):
        for name, values in (
            (AMPLIFICATION, _per_network(results, "scale_free_amplification", strength)),
            (VARIATION, _variation(results, "scale_free_amplification", strength)),
        ):
            table = results.by_seed(values)
            found += [paired_t("a", f"{name}, {strength}", table, pair) for pair in PAIRS]
    raw = {
        "log output fluctuation": _per_network(results, "output_fluctuation"),
        "log coefficient of variation of the output fluctuation": _variation(results, "output_fluctuation"),
    }
    for name, values in raw.items():
        found += [paired_t("a", name, results.by_seed(values), pair) for pair in PAIRS]
    return found + list(_premise(results))


def amplification(results: Results) -> "pd.Series[float]":
    """Return the log scale-free amplification of each network, mean over layers and strengths."""
    return _per_network(results, "scale_free_amplification")


def means(results: Results) -> list[Finding]:
    """H-b: LayerAct functions have a mean activation near zero."""
    rows = results.layers[results.layers["condition"] == "clean"]
    offset = mean_of(0.5 * np.log(rows["activation_offset"].clip(lower=_TINY)), rows["network"])
    values = results.by_seed(offset.rename("activation offset"))
    measure = "half the log of mean(mu^2 / sigma^2)"
    return as_family([paired_t("b", measure, values, pair, tests=len(PAIRS)) for pair in PAIRS])


def robustness(results: Results, *, clean_margin: float | None) -> list[Finding]:
    """H-c and H-c2: LayerAct makes networks more robust; with what is secondary, and other analyses."""
    c19 = results.corrupted(GROUPS)
    found = as_family([joint_test("c", "c19", c19, pair, tests=len(PAIRS)) for pair in PAIRS])
    others = element_wise_pairs(results)
    pairs = as_family([joint_test("c2", "c19", c19, pair, tests=len(others)) for pair in others])
    if not all(is_shown(one, sign=1) for one in found):
        note = "no claim: H-c is not shown for both"
        pairs = [replace(one, role=SECONDARY, adjusted=math.nan, note=note) for one in pairs]
    found += pairs
    secondary = {
        "c19 without weather": [group for group in GROUPS if group != "weather"],
        "noise": ["noise"],
        "shifts": ["shift"],
    }
    for name, groups in secondary.items():
        joint = results.corrupted(groups)
        found += [joint_test("c", name, joint, pair) for pair in PAIRS]
    for pair in PAIRS:
        one = joint_test("c", "clean", results.on_clean, pair)
        if clean_margin is not None:
            kept = (
                "lower by less than"
                if one.low > -100 * clean_margin
                else "not shown to be lower by less than"
            )
            one = replace(one, note=f"{kept} {100 * clean_margin:g} points")
        found.append(one)
    return found + list(_other_analyses(results))


def mediation(results: Results) -> list[Finding]:
    """Whether networks that pass on less noise lose less accuracy: Spearman's correlations, no cause."""
    lost = pd.DataFrame(
        {
            name: clean - bad
            for name, clean, bad in zip(
                results.activations, results.on_clean.scores, results.corrupted(GROUPS).scores, strict=True
            )
        },
        index=list(results.seeds),
    )
    gain = results.by_seed(amplification(results))[lost.columns]
    between = gain.mean().corr(lost.mean(), method="spearman")
    inner = [(table - table.mean()).to_numpy().ravel() for table in (gain, lost)]
    within = pd.Series(inner[0]).corr(pd.Series(inner[1]), method="spearman")
    measure = "correlation of the amplification with clean - c19"
    rows = {"between activations": between, "between networks of an activation": within}
    return [
        Finding("mediation", EXPLORATORY, f"{measure}, {name}", "", "", float(value), unit="Spearman",
                seeds=len(results.seeds))
        for name, value in rows.items()
    ]  # fmt: skip


def is_shown(one: Finding, *, sign: int) -> bool:
    """Tell whether a member of a family differs from 0, in the direction of `sign`."""
    return one.adjusted < LEVEL and one.estimate * sign > 0


def _premise(results: Results) -> Iterator[Finding]:
    rows = results.layers[results.layers["condition"].str.startswith("shift_")]
    moved = mean_of(np.log(rows["input_fluctuation_mean"]), rows["network"])
    values = results.by_seed(moved.rename("input fluctuation"))
    for pair in PAIRS:
        yield equivalence("a-premise", "log input fluctuation", values, pair, _MARGIN)


def _other_analyses(results: Results) -> Iterator[Finding]:
    for left in [group for group in GROUPS if group != "weather"]:  # that one is secondary
        joint = results.corrupted([group for group in GROUPS if group != left])
        for pair in PAIRS:
            yield replace(joint_test("c", f"c19 without {left}", joint, pair), role=ROBUSTNESS)
    c19 = results.corrupted(GROUPS)
    scores = pd.DataFrame(dict(zip(c19.names, c19.scores, strict=True)))
    logits = pd.DataFrame(np.log(scores / (1 - scores)))
    for pair in PAIRS:
        yield replace(paired_t("c", "c19, logit", logits, pair, unit="logit"), role=ROBUSTNESS)
    for seed in sorted(set(results.outcomes["corruption_seed"]) - {0}):
        joint = results.corrupted(GROUPS, corruption_seed=seed)
        for pair in PAIRS:
            one = joint_test("c", f"c19, corruptions with seed {seed}", joint, pair)
            yield replace(one, role=ROBUSTNESS)


def _strengths(results: Results) -> list[str]:
    conditions = results.layers["condition"].unique().tolist()
    return sorted(name for name in conditions if name.startswith("gaussian:"))


def _injected(results: Results, strength: str | None) -> pd.DataFrame:
    wanted = _strengths(results) if strength is None else [strength]
    return results.layers[results.layers["condition"].isin(wanted)]


def _per_network(results: Results, quantity: str, strength: str | None = None) -> "pd.Series[float]":
    """Return the mean over layers (and strengths) of the log of a quantity's mean over images."""
    rows = _injected(results, strength)
    logs: pd.Series[float] = np.log(rows[f"{quantity}_mean"])
    return mean_of(logs, rows["network"]).rename(quantity)


def _variation(results: Results, quantity: str, strength: str | None = None) -> "pd.Series[float]":
    """Return the mean over layers (and strengths) of the log of standard deviation / mean over images."""
    rows = _injected(results, strength)
    logs: pd.Series[float] = 0.5 * np.log(rows[f"{quantity}_var"]) - np.log(rows[f"{quantity}_mean"])
    return mean_of(logs, rows["network"]).rename(f"variation of {quantity}")
