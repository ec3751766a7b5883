"""What a plan will take, before it is run."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from click.testing import Result

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.evaluation import (
    Execution,
    Plan,
    disk_needed,
    estimate,
    evaluate,
    make_plan,
    memory_needed,
)


def test_memory_is_that_of_a_chunk_of_weights_and_of_the_largest_layer(checkpoints: Path) -> None:
    """By hand: 40 images of 8 x 8, clean and at two severities; 16,160 weights of 4 bytes."""
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    plan = make_plan([checkpoint], dataset="digits", suites=["light"], severities=[1, 2], limit=40)
    inputs = 40 * 64 * ((3 + 3) * 4 + 1)
    state = checkpoint.model.state_dict().values()
    weights = sum(tensor.numel() * tensor.element_size() for tensor in state)
    largest = 2 * 4 * 4 * 64  # 4 channels of float32 into a layer of the first stage, and out of it
    assert memory_needed(plan, batch_size=128) == inputs + weights + largest * 120


def test_disk_is_about_that_of_the_parts(checkpoints: Path, tmp_path: Path) -> None:
    for probes in (True, False):
        options: dict[str, Any] = {"dataset": "digits", "suites": ["noise"], "probes": probes}
        plan = make_plan([checkpoints], **options)
        out = tmp_path / str(probes)
        evaluate([checkpoints], device="cpu", out=out, **options)
        size = sum(path.stat().st_size for path in out.glob("parts/*.zip"))
        assert 0.4 * size < disk_needed(plan) < 2.5 * size


def test_an_estimate_adds_up(checkpoints: Path) -> None:
    """No clock is looked at: twice the processes take half of the same."""
    plan = make_plan([checkpoints], dataset="digits", suites=["light"], limit=40)
    found = estimate(plan, Execution(torch.device("cpu")))
    assert found.processes == 1
    assert min(found.corrupting, found.networks, found.writing) > 0
    assert found.seconds == found.decoding + found.corrupting + found.networks + found.writing
    assert replace(found, processes=2).seconds == found.seconds / 2


def test_the_plan_is_printed(actrobust: Callable[..., Result], checkpoints: Path, tmp_path: Path) -> None:
    arguments = (
        "plan",
        checkpoints,
        "--dataset",
        "digits",
        "--suite",
        "light",
        "--severity",
        "1,2",
        "--units",
    )
    result = actrobust(*arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:4] == [
        "000000-0000-clean-clean",
        "000000-0000-light-brightness",
        "000000-0000-light-contrast",
        "000001-0000-clean-clean",
    ]
    assert "units   6: 3 (clean and these) x 2 chunks of images x 1 block of checkpoints" in lines
    passes = 4 * len(load_dataset("digits")) * (1 + 2 * 3)
    assert f"passes  {passes:,} images through networks with probes" in lines
    told = json.loads(actrobust(*arguments, "--out", "never", "--report", "none", "--json").stdout)
    assert told["unit"] == lines[:6]
    assert told["units"] == 6
    assert told["passes"] == passes
    assert list(tmp_path.glob("cwd/*")) == []


def test_groups_are_even_and_bounded(checkpoints: Path) -> None:
    one = load_checkpoint(checkpoints / "relu_1.safetensors")
    data = load_dataset("digits")
    sizes = {
        count: [len(group) for group in Plan([one] * count, data, ("light",), (1.0,)).blocks]
        for count in (1, 32, 33, 100)
    }
    assert sizes == {1: [1], 32: [32], 33: [16, 17], 100: [25] * 4}
    large = replace(one, size=100_000_000)
    assert [len(group) for group in Plan([large] * 4, data, ("light",), (1.0,)).blocks] == [2, 2]
