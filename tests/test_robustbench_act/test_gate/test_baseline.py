"""A baseline file is a faithful copy, or it is refused."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robustbench_act.errors import InputError
from robustbench_act.gate import Rule, Rules, check, make_baseline, read_baseline, write_baseline
from robustbench_act.run import Run
from tests.build_run import simulated_run, with_error


@pytest.fixture
def run() -> Run:
    right = np.random.default_rng(0).random((5, 100)) < 0.7
    return simulated_run({"a|<b>": right, "c": ~right})


def test_round_trip(run: Run, tmp_path: Path) -> None:
    rules = Rules((Rule(group="noise", tolerance=2.5, margin=4), Rule("brier")), 0.01)
    made = make_baseline(run, rules, unit="weights")
    write_baseline(made, tmp_path / "new" / "x.parquet")
    found = read_baseline(tmp_path / "new" / "x.parquet")
    pd.testing.assert_frame_equal(found.cells, made.cells)
    assert found.info == made.info
    assert (found.rules, found.unit) == (rules, "weights")
    again = tmp_path / "again.parquet"
    write_baseline(found, again)
    assert again.read_bytes() == (tmp_path / "new" / "x.parquet").read_bytes()


def test_what_cannot_be_a_baseline(run: Run) -> None:
    with pytest.raises(InputError, match="checkpoint 'c' failed; a baseline must be whole"):
        make_baseline(with_error(run, "c", "broken"))
    empty = replace(run, cells=run.cells.iloc[:0])
    with pytest.raises(InputError, match="has no cell to make a baseline of"):
        make_baseline(empty)
    with pytest.raises(InputError, match="no group 'blur' for a rule; it has corruptions, each, clean"):
        make_baseline(run, Rules((Rule(group="blur"),)))
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        make_baseline(simulated_run({"a": np.ones((5, 1), dtype=bool)}))


def test_all_right_and_all_wrong_are_numbers() -> None:
    right = np.ones((5, 50), dtype=bool)
    baseline = make_baseline(simulated_run({"a": right, "b": ~right}), unit="weights")
    assert check(simulated_run({"a": right, "b": right}), baseline).passed
    reasons = check(simulated_run({"a": ~right, "b": ~right}), baseline).reasons
    assert reasons[0].startswith("a: accuracy on corruptions fell: 100.00 points worse (100.00% to 0.00%)")
    assert {reason.split(":")[0] for reason in reasons} == {"a"}


def test_other_files_are_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(InputError, match="is no readable baseline"):
        read_baseline(path)
    path.write_text("hello")
    with pytest.raises(InputError, match="is no readable baseline"):
        read_baseline(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="is no baseline; actrobust baseline RUN -o FILE makes one"):
        read_baseline(path)
    write_baseline(make_baseline(run), path)
    whole = path.read_bytes()
    for damaged in (whole[:-20], whole[: len(whole) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is no readable baseline"):
            read_baseline(path)


def test_a_changed_byte_changes_nothing_or_is_refused(run: Run, tmp_path: Path) -> None:
    """Every 13th byte, in turn by one bit, by half of its bits and by all of them."""
    path = tmp_path / "x.parquet"
    write_baseline(make_baseline(run), path)
    whole, data = read_baseline(path), path.read_bytes()
    refused = 0
    for place, mask in zip(range(0, len(data), 13), itertools.cycle((0x01, 0x55, 0xFF))):
        path.write_bytes(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
        try:
            found = read_baseline(path)
        except InputError:
            refused += 1
        else:
            pd.testing.assert_frame_equal(found.cells, whole.cells)
            assert (found.info, found.rules, found.unit) == (whole.info, whole.rules, whole.unit)
    assert refused > len(data) / 13 / 2


@pytest.mark.parametrize("version", [1, 2, 4])
def test_another_format_is_refused_with_the_command_that_renews(
    version: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    monkeypatch.setattr("robustbench_act.gate.baseline.FORMAT", version)
    write_baseline(make_baseline(run), path)
    monkeypatch.undo()
    message = rf"version \(9.8.7, format {version}; .* 3\)\. Renew it .*: actrobust baseline RUN -o {path}$"
    with pytest.raises(InputError, match=message):
        read_baseline(path)


def test_the_unit_is_training_if_an_activation_has_several_networks(run: Run) -> None:
    assert make_baseline(run).unit == "training"
    alone = simulated_run({"a": np.ones((5, 20), dtype=bool)})
    assert make_baseline(alone).unit == "weights"
    assert make_baseline(alone, unit="training").unit == "training"
