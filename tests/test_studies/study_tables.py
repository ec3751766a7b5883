"""Tables of results as a study writes them, drawn alike for all activations; tests put effects into them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]

PAIRS = ("la_silu", "silu", "la_hardsilu", "hardsilu")
SIX = (*PAIRS, "relu", "nswish")
GROUPS = ("noise", "blur", "weather", "digital", "extra")
LAYERS = ("act1", "act2", "act3")
STRENGTHS = ("gaussian:0.1", "gaussian:1")
SHIFT = "shift_gaussian:3"
VERSIONS = 4  # of each group: two corruptions at two severities
CHECKS = range(50, 451, 50)


def null_tables(activations: Iterable[str] = SIX, *, seeds: int = 6, images: int = 30) -> Tables:
    """Return tables by name in which no activation differs from another but by chance."""
    random = np.random.default_rng(3)
    names = [(name, seed) for name in activations for seed in range(1, seeds + 1)]
    hard = random.uniform(0.3, 0.9, images)
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in ("curves", "tracks", "layers", "clean")}
    parts |= {"outcomes": [], "cells": []}
    for name, seed in names:
        network = f"{name}_{seed}"
        first = 50 * int(random.integers(1, 5))
        parts["curves"].append(curve(network, first, first + 50 * int(random.integers(1, 4))))
        parts["tracks"].append(_tracks(random).assign(network=network))
        parts["layers"].append(_layers(random).assign(network=network))
        right = random.random(images) < hard
        parts["clean"].append(pd.DataFrame({"network": network, "image": range(images), "right": right}))
        for corruption_seed in (0, 1):
            level = np.clip(hard + random.normal(0, 0.03), 0, 1)
            counts = {group: random.binomial(VERSIONS, level) for group in (*GROUPS, "shift")}
            own = pd.DataFrame({"network": network, "image": range(images), **counts})
            parts["outcomes"].append(own.assign(corruption_seed=corruption_seed))
            parts["cells"].append(_cells().assign(network=network, corruption_seed=corruption_seed))
    networks = pd.DataFrame(names, columns=["activation", "training_seed"])
    networks.insert(0, "network", [f"{name}_{seed}" for name, seed in names])
    return {"networks": networks, **{name: pd.concat(own, ignore_index=True) for name, own in parts.items()}}


def write_tables(folder: Path, tables: Tables) -> Path:
    """Write tables into a folder as a study does."""
    for name, table in tables.items():
        if name == "networks":
            table.to_csv(folder / "networks.csv", index=False)
        else:
            table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def curve(network: str, first: int | None, second: int | None) -> pd.DataFrame:
    """Return a curve that is at 95 % from one check on and at 98 % from another; None: never."""
    accuracy = [
        0.98 if second and step >= second else 0.95 if first and step >= first else 0.9 for step in CHECKS
    ]
    return pd.DataFrame({"network": network, "step": list(CHECKS), "loss": 1.0, "accuracy": accuracy})


def of(table: pd.DataFrame, activation: str) -> "pd.Series[bool]":
    """Return which rows belong to an activation."""
    return table["network"].str.rpartition("_")[0] == activation


def scale(table: pd.DataFrame, activation: str, **factors: float) -> None:
    """Multiply columns of the rows of an activation, in place."""
    for column, factor in factors.items():
        table.loc[of(table, activation), column] *= factor


def rows_of(table: pd.DataFrame, activation: str, seed: int, **where: object) -> pd.DataFrame:
    """Return the rows of one network in which some columns have some values."""
    own = table[table["network"] == f"{activation}_{seed}"]
    for column, value in where.items():
        own = own[own[column] == value]
    return own


def _tracks(random: np.random.Generator) -> pd.DataFrame:
    keys = [(step, layer) for step in (0, 25, 50, 100) for layer in LAYERS]
    table = pd.DataFrame(keys, columns=["step", "layer"])
    for column in ("normalized_rho", "normalized_rho_prime", "gradient_variance"):
        table[column] = np.exp(random.normal(0, 0.3, len(table)))
    return table


def _layers(random: np.random.Generator) -> pd.DataFrame:
    keys = [(condition, layer) for condition in ("clean", SHIFT, *STRENGTHS) for layer in LAYERS]
    table = pd.DataFrame(keys, columns=["condition", "layer"])
    for quantity in ("input_fluctuation", "output_fluctuation", "scale_free_amplification"):
        for moment in ("mean", "var"):
            table[f"{quantity}_{moment}"] = np.exp(random.normal(0, 0.02, len(table)))
    table["activation_offset"] = np.exp(random.normal(-1, 0.2, len(table)))
    moved = [column for column in table if str(column).startswith("scale_free")]
    table.loc[table["condition"] == "clean", moved] = np.nan  # as in a study: nothing moves
    return table


def _cells() -> pd.DataFrame:
    cells = [("clean", "clean", 0.0)]
    cells += [
        (f"{group}{place}", group, severity)
        for group in (*GROUPS, "shift")
        for place in (1, 2)
        for severity in (1.0, 3.0)
    ]
    return pd.DataFrame(cells, columns=["corruption", "group", "severity"]).assign(n=30, correct=15)
