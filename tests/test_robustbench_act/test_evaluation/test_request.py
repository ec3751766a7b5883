"""One path from names to a plan: the command line and Python ask for the same plan in the same words."""

from pathlib import Path

import pytest

from robustbench_act.checkpoints import Entry, load_checkpoint
from robustbench_act.cli import load_command
from robustbench_act.cli.requests import plan_request, quick_unless
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import DataRequest, PlanRequest, make_plan


def from_command_line(*arguments: str) -> PlanRequest:
    options = load_command("evaluate").make_context("evaluate", list(arguments)).params
    checkpoints = options.pop("checkpoints")
    return quick_unless(options["full"], plan_request(checkpoints, options))


def test_both_ways_make_the_same_plan(checkpoints: Path) -> None:
    flags = ("--dataset", "digits", "--suite", "light", "--severity", "1,3", "--limit", "30", "--seed", "2")
    asked = from_command_line(str(checkpoints), *flags, "--no-probes")
    options = {"suites": ["light"], "severities": (1, 3), "limit": 30, "seed": 2, "probes": False}
    assert asked.plan().describe() == make_plan([checkpoints], dataset="digits", **options).describe()


def test_the_embedded_networks_get_a_quick_selection_unless_told_otherwise() -> None:
    for arguments, limit, severities in (
        ((), 60, (1, 3, 5)),
        (("--full",), None, None),
        (("--limit", "7"), 7, (1, 3, 5)),
        (("--severity", "2"), 60, (2,)),
        (("nets",), None, None),
    ):
        asked = from_command_line(*arguments)
        assert (asked.limit, asked.severities) == (limit, severities)


def test_loaded_checkpoints_files_and_entries_mix(checkpoints: Path) -> None:
    loaded = load_checkpoint(checkpoints / "relu_1.safetensors")
    entry = Entry(checkpoints / "relu_2.safetensors", "mine", {"training_seed": 7})
    request = PlanRequest(
        checkpoints=[entry, loaded, checkpoints / "la_silu_1.safetensors"], dataset="digits"
    )
    _, found = request.load()
    assert [(one.name, one.spec.training_seed) for one in found] == [
        ("relu_1", 1),
        ("mine", 7),
        ("la_silu_1", 1),
    ]


def test_two_checkpoints_of_one_name_are_refused(checkpoints: Path) -> None:
    loaded = load_checkpoint(checkpoints / "relu_1.safetensors")
    with pytest.raises(InputError, match="Two checkpoints are called 'relu_1'"):
        make_plan([loaded, loaded], dataset="digits")


def test_a_data_set_that_is_there_is_taken_as_it_is(checkpoints: Path) -> None:
    data = load_dataset("digits")
    assert DataRequest(dataset=data).open() is data
    assert DataRequest(dataset=data, resize=16).open().shape == (1, 16, 16)
    assert PlanRequest(checkpoints=[checkpoints], dataset=data).load()[0] is data


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (DataRequest(dataset="digits", interpolation="bicubic"), "--interpolation needs --resize"),
        (
            DataRequest(dataset="digits", resize_corrupted=True),
            "--resize-corrupted needs",
        ),
        (DataRequest(dataset="digit"), "Did you mean 'digits'"),
    ],
)
def test_half_of_a_request_is_refused(request_: DataRequest, message: str) -> None:
    with pytest.raises(InputError, match=message):
        request_.open()
