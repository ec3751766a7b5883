"""The analysis as a whole: what it reads, and that it shows nothing if there is nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robustbench_act.errors import InputError
from studies.analysis import analyse
from studies.analysis.contrasts import PRIMARY
from studies.analysis.tables import NAMES, Results
from tests.test_studies.study_tables import SIX, null_tables, of, scale, write_tables

SETTINGS = {"thresholds": [0.95, 0.98], "clean_margin": 0.002}


def test_without_effects_nothing_is_shown(tmp_path: Path) -> None:
    tables = null_tables((*SIX, "nrelu"))
    found = analyse(write_tables(tmp_path, tables), SETTINGS)
    assert set(found.verdicts["outcome"]) == {"not shown"}
    assert found.verdicts["hypothesis"].tolist() == [name for name in "abcde" for _ in range(2)]
    family = found.findings[found.findings["role"] == PRIMARY]
    assert family["hypothesis"].value_counts().to_dict() == {"a": 4, "b": 2, "c": 2, "d": 4, "e": 4}
    assert (family["adjusted"] >= family["p"]).all()
    outside = found.findings["role"].isin(["robustness", "exploratory"])
    assert found.findings.loc[outside, "adjusted"].isna().all()


def test_a_study_without_nrelu_has_no_such_pair(tmp_path: Path) -> None:
    found = analyse(write_tables(tmp_path, null_tables()), SETTINGS)
    own = found.findings[found.findings["hypothesis"].isin(["d", "e"]) & (found.findings["role"] == PRIMARY)]
    assert set(own["a"]) == {"nswish"}
    assert own["hypothesis"].value_counts().to_dict() == {"d": 2, "e": 2}


def test_levels_are_the_means_of_all_activations(tmp_path: Path) -> None:
    tables = null_tables()
    levels = analyse(write_tables(tmp_path, tables), SETTINGS).levels.set_index(["measure", "activation"])
    counts = tables["outcomes"][tables["outcomes"]["corruption_seed"] == 0]
    own = counts[counts["network"].str.startswith("relu_")]
    groups = ["noise", "blur", "weather", "digital", "extra"]
    assert levels.loc[("c19", "relu"), "mean"] == pytest.approx(own[groups].to_numpy().mean() / 4)
    assert levels.loc[("shift", "relu"), "mean"] == pytest.approx(own["shift"].mean() / 4)
    assert (levels["low"] < levels["mean"]).all()


def test_a_seed_that_one_activation_lacks_is_left_out_for_all(tmp_path: Path) -> None:
    """Nothing of its networks comes in, however far off they are."""
    tables = null_tables()
    (there := tmp_path / "all").mkdir()
    (without := tmp_path / "without").mkdir()
    tables["networks"] = tables["networks"][tables["networks"]["network"] != "relu_2"]
    write_tables(there, tables)
    for name, table in tables.items():
        tables[name] = table[~table["network"].str.endswith("_2")]
    write_tables(without, tables)
    assert Results.read(there).left_out == (2,)
    assert Results.read(there).seeds == (1, 3, 4, 5, 6)
    found, expected = analyse(there, SETTINGS), analyse(without, SETTINGS)
    assert found.left_out == (2,)
    for name in ("findings", "verdicts", "levels"):
        assert getattr(found, name).equals(getattr(expected, name))


def test_an_activation_without_networks_leaves_no_seed(tmp_path: Path) -> None:
    write_tables(tmp_path, null_tables(seeds=2))
    with pytest.raises(InputError, match="expected a seed with networks of all activations; missing: mish"):
        analyse(tmp_path, SETTINGS, ["relu", "mish"])


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("table", [name for name in NAMES if name != "networks"])
def test_a_row_that_is_lost_or_there_twice_is_named(tmp_path: Path, table: str, twice: bool) -> None:
    """A curve that is lost would count as a network that never reached a threshold."""
    tables = null_tables(seeds=2)
    rows = tables[table]
    one = rows[rows["network"] == "relu_2"].iloc[-1:]
    changed = pd.concat([rows, one]) if twice else rows.drop(one.index)
    write_tables(tmp_path, {**tables, table: changed})
    with pytest.raises(InputError, match=rf"^{table}: expected \d+ rows .* of relu_2, \d+ of them different"):
        analyse(tmp_path, SETTINGS)


@pytest.mark.parametrize("table", [name for name in NAMES if name != "networks"])
def test_a_network_without_rows_is_named(tmp_path: Path, table: str) -> None:
    tables = null_tables(seeds=2)
    rows = tables[table]
    write_tables(tmp_path, {**tables, table: rows[rows["network"] != "relu_2"]})
    with pytest.raises(InputError, match=rf"^{table}: .* got 0 of relu_2, 0 of them different\.$"):
        analyse(tmp_path, SETTINGS)


def test_networks_of_other_activations_change_nothing(tmp_path: Path) -> None:
    """Those of a later question have other seeds, and would end the pairing of all."""
    tables = null_tables((*SIX, "mish"), seeds=3)
    networks = tables["networks"]
    tables["networks"] = networks[networks["network"] != "mish_3"]
    (more := tmp_path / "more").mkdir()
    (alone := tmp_path / "alone").mkdir()
    write_tables(more, tables)
    write_tables(alone, {name: table[~of(table, "mish")] for name, table in tables.items()})
    assert analyse(more, SETTINGS, SIX).left_out == ()
    assert analyse(more, SETTINGS, SIX).findings.equals(analyse(alone, SETTINGS, SIX).findings)


def test_each_seed_of_the_corruptions_is_divided_by_its_own_cells(tmp_path: Path) -> None:
    tables = null_tables(seeds=3)
    cells = tables["cells"]
    again = cells[(cells["corruption_seed"] == 1) & (cells["severity"] == 3)].assign(severity=5.0)
    write_tables(tmp_path, {**tables, "cells": pd.concat([cells, again])})
    (tmp_path / "before").mkdir()
    before = Results.read(write_tables(tmp_path / "before", tables))
    results = Results.read(tmp_path)
    assert results.corrupted(["noise"]).means == pytest.approx(before.corrupted(["noise"]).means)
    one, other = (read.corrupted(["noise"], corruption_seed=1).means for read in (results, before))
    assert one == pytest.approx(other * 4 / 6)


@pytest.mark.parametrize("table", ["layers", "tracks"])
def test_a_missing_value_of_one_layer_is_no_mean_of_the_others(tmp_path: Path, table: str) -> None:
    tables = null_tables(seeds=2)
    rows = tables[table].copy()
    numbers = rows.select_dtypes("float").columns
    rows.loc[rows.index[rows["network"] == "silu_1"][0], numbers] = np.nan
    write_tables(tmp_path, {**tables, table: rows})
    with pytest.raises(InputError, match="silu_1: expected a finite"):
        analyse(tmp_path, SETTINGS)


def test_speed_has_to_have_thresholds(tmp_path: Path) -> None:
    write_tables(tmp_path, null_tables(seeds=2))
    with pytest.raises(InputError, match="expected two accuracies, fixed after the pilot, got none"):
        analyse(tmp_path, {**SETTINGS, "thresholds": []})


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_table_is_named(tmp_path: Path, name: str) -> None:
    (path,) = write_tables(tmp_path, null_tables(seeds=2)).glob(f"{name}.*")
    path.unlink()
    with pytest.raises(InputError) as caught:
        analyse(tmp_path, SETTINGS)
    assert str(caught.value) == f"{path}: no such file; run the earlier stages of the study first."


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_value_that_is_not_finite_names_the_network(tmp_path: Path) -> None:
    tables = null_tables()
    layers = tables["layers"]
    layers.loc[layers["network"] == "silu_3", "scale_free_amplification_mean"] = 0.0
    with pytest.raises(InputError, match=r"^silu_3: expected a finite scale_free_amplification, got -inf\.$"):
        analyse(write_tables(tmp_path, tables), SETTINGS)
    scale(layers, "silu", scale_free_amplification_mean=np.nan)
    with pytest.raises(InputError, match=r"^silu_1: expected a finite scale_free_amplification, got nan\.$"):
        analyse(write_tables(tmp_path, tables), SETTINGS)
