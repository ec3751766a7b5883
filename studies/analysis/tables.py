"""The tables of a study's results, as the analysis takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from robustbench_act.errors import InputError
from robustbench_act.statistics import Joint

_ROWS: Mapping[str, list[str]] = {
    "curves": ["step"],
    "tracks": ["step", "layer"],
    "outcomes": ["corruption_seed", "image"],
    "clean": ["image"],
    "cells": ["corruption_seed", "corruption", "severity"],
    "layers": ["condition", "layer"],
}
"""What tells apart the rows of one network."""

NAMES = ("networks", *_ROWS)
GROUPS = ("noise", "blur", "weather", "digital", "extra")
"""The groups of c19."""


@dataclass(frozen=True)
class Results:
    """The tables of results; networks whose seed is not there for all activations are left out.

    Attributes
    ----------
    networks
        network, activation, training_seed, lr, clean_accuracy, validation_accuracy.
    curves
        network, step, loss, accuracy: on validation images.
    tracks
        network, step, layer, normalized_rho, normalized_rho_prime, gradient_variance.
    outcomes
        corruption_seed, network, image, and for each group how many versions of the image are right.
    clean
        network, image, right.
    cells
        corruption_seed, network, corruption, group, severity, n, correct.
    layers
        network, condition, layer, and the columns of `robustbench_act.evaluation.probe_layers`.
    left_out
        Training seeds that are not there for all activations.
    """

    networks: pd.DataFrame
    curves: pd.DataFrame
    tracks: pd.DataFrame
    outcomes: pd.DataFrame
    clean: pd.DataFrame
    cells: pd.DataFrame
    layers: pd.DataFrame
    left_out: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path, activations: Sequence[str] = ()) -> Self:
        """Return the tables in a folder, of a study of these activations (else those that there are).

        Raises InputError if a table is missing, if no seed is there for all activations, or if networks do
        not have the same rows in a table, each once.
        """
        tables = {name: _read(folder, name) for name in NAMES}
        networks = tables["networks"]
        wanted = {*(activations or networks["activation"])}
        there = networks.groupby("training_seed")["activation"].agg(lambda own: wanted <= {*own})
        left_out = there.index[~there]
        if not there.any():
            lost = ", ".join(sorted(wanted - {*networks["activation"]})) or "different ones in each seed"
            raise InputError(f"{folder}: expected a seed with networks of all activations; missing: {lost}.")
        networks = networks[networks["activation"].isin(wanted) & ~networks["training_seed"].isin(left_out)]
        kept = {name: table[table["network"].isin(networks["network"])] for name, table in tables.items()}
        for name in _ROWS:
            _check_rows(name, kept[name], networks["network"])
        return cls(**kept, left_out=tuple(left_out.tolist()))

    @property
    def activations(self) -> tuple[str, ...]:
        """In the order of their names."""
        return tuple(sorted(self.networks["activation"].unique()))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds that all activations have."""
        return tuple(sorted(self.networks["training_seed"].unique().tolist()))

    def by_seed(self, values: "pd.Series[float]") -> pd.DataFrame:
        """Return (seeds, activations) of one value for each network; an InputError if one is not finite."""
        found = values.reindex(self.networks["network"])
        if wrong := found.index[~np.isfinite(found)].tolist():
            raise InputError(f"{wrong[0]}: expected a finite {values.name}, got {found[wrong[0]]}.")
        table = self.networks.assign(value=found.to_numpy())
        return wide(table, "training_seed", "activation", "value")

    def corrupted(self, groups: Sequence[str], *, corruption_seed: int = 0) -> Joint:
        """Return the joint analysis of the share of versions in some groups that are classified right."""
        own = self.outcomes[self.outcomes["corruption_seed"] == corruption_seed]
        cells = self.cells[self.cells["corruption_seed"] == corruption_seed]
        cells = cells[(cells["severity"] > 0) & cells["group"].isin(groups)]
        versions = len(cells.drop_duplicates(["corruption", "severity"]))
        return self._joint(own.assign(score=own[list(groups)].sum(axis=1) / versions))

    @cached_property
    def on_clean(self) -> Joint:
        """The joint analysis of clean images."""
        return self._joint(self.clean.assign(score=self.clean["right"].astype(float)))

    def _joint(self, table: pd.DataFrame) -> Joint:
        scores = wide(table, "network", "image", "score")
        own = self.networks.sort_values("training_seed")
        values: dict[str, NDArray[np.float64]] = {}
        seeds = {}
        for name in self.activations:
            rows = own[own["activation"] == name]
            values[name] = scores.loc[rows["network"]].to_numpy()
            seeds[name] = rows["training_seed"].tolist()
        return Joint.of(values, seeds)


def _check_rows(name: str, table: pd.DataFrame, networks: "pd.Series[str]") -> None:
    """Raise InputError unless all networks have the same rows, each once."""
    keys = _ROWS[name]
    expected = len(table.drop_duplicates(keys))
    own = table.groupby("network")
    distinct = table.drop_duplicates(["network", *keys]).groupby("network").size()
    for network in networks:
        rows = len(own.indices.get(network, ()))
        if not rows == distinct.get(network, 0) == expected:
            raise InputError(
                f"{name}: expected {expected} rows of each network, one for each {' and '.join(keys)}; got "
                f"{rows} of {network}, {distinct.get(network, 0)} of them different."
            )


def mean_of(values: "pd.Series[float]", by: Any) -> "pd.Series[float]":
    """Return the means of groups; NaN for a group that has a NaN, which `Results.by_seed` then refuses."""
    groups = values.groupby(by)
    return groups.mean().where(values.notna().groupby(by).all())


def wide(table: pd.DataFrame, rows: str, columns: str, values: str) -> pd.DataFrame:
    """Return the values with `rows` as the index and `columns` as columns; NaN for a pair without a value."""
    return table.pivot(index=rows, columns=columns, values=values).sort_index()  # noqa: PD010 -- no means


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = folder / f"{name}.{'csv' if name == 'networks' else 'parquet'}"
    if not path.exists():
        raise InputError(f"{path}: no such file; run the earlier stages of the study first.")
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
