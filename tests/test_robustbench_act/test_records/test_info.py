"""run.json as typed entries: nothing is lost, older runs have defaults, wrong types are named."""

import json
from typing import Any

import pytest

from robustbench_act.errors import InputError
from robustbench_act.records import CheckpointInfo, RunInfo, SuiteInfo
from tests.build_run import Builder

FEW: dict[str, Any] = {"dataset": {"name": "toy"}, "suites": [], "severities": [1, 5], "checkpoints": []}


def test_a_round_trip_loses_nothing() -> None:
    info = RunInfo.from_json(Builder().run_json(), where="here")
    text = json.dumps(info.to_json())
    assert RunInfo.from_json(json.loads(text), where="here") == info
    assert json.loads(text)["unheard_of"] == {"deep": [1, {"er": None}]}
    assert json.dumps(RunInfo.from_json(json.loads(text), where="here").to_json()) == text


def test_keys_that_older_runs_lack_have_defaults() -> None:
    info = RunInfo.from_json(FEW, where="here")
    assert (info.seed, info.probe, info.status, info.notes) == (None, None, "", ())
    assert info.dataset.classes == ()
    assert info.to_json()["tables"] == {}


def test_null_is_as_good_as_missing() -> None:
    assert CheckpointInfo.from_json({"name": "a", "recipe": None, "read": None}, where="") == CheckpointInfo(
        name="a"
    )
    with pytest.raises(InputError, match=r"here: missing name\."):
        SuiteInfo.from_json({"name": None}, where="here")


def test_what_the_numbers_depend_on_leaves_out_the_rest() -> None:
    info = RunInfo.from_json({**FEW, "seed": 3, "command": "x", "batch_size": 7}, where="here")
    assert info.decisive()["seed"] == 3
    assert not {"command", "batch_size", "created", "notes"} & set(info.decisive())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "3"}, "expected 'seed' to be a whole number, got '3'"),
        ({"libraries": ["torch"]}, "expected 'libraries' to be an object, got"),
        ({"probe": 256}, "expected 'probe' to be an object, got 256"),
        (
            {"dataset": {"name": "toy", "classes": 10}},
            "here: dataset: expected 'classes' to be a list, got 10",
        ),
        ({"checkpoints": [{"name": "a", "mean": 0.5}]}, "checkpoints: expected 'mean' to be a list, got 0.5"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RunInfo.from_json({**FEW, **changes}, where="here")
