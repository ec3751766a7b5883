"""What a plan will take, before it is run."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from click.testing import Result

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.evaluation import (
    Execution,
    Plan,
    disk_needed,
    estimate,
    evaluate,
    make_plan,
    memory_needed,
)
from tests.references.grid import many_images


def test_memory_is_that_of_a_chunk_of_weights_and_of_the_largest_layer(checkpoints: Path) -> None:
    """By hand: 40 images of 8 x 8, clean and at two severities; 16,160 weights of 4 bytes."""
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    plan = make_plan([checkpoint], dataset="digits", suites=["light"], severities=[1, 2], limit=40)
    inputs = 40 * 64 * (5 + 3 * 4)  # two corruptions; what a third one needs while it is made
    state = checkpoint.model.state_dict().values()
    weights = sum(tensor.numel() * tensor.element_size() for tensor in state)
    largest = 2 * 4 * 4 * 64  # 4 channels of float32 into a layer of the first stage, and out of it
    assert memory_needed(plan, batch_size=128) == inputs + weights + largest * 128


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
    assert lines[:4] == [f"000000-000{n}-000{n}-clean-clean-to-light-contrast" for n in range(4)]
    assert "units   4: 1 chunk of images x 4 blocks of checkpoints" in lines
    passes = 4 * len(load_dataset("digits")) * (1 + 2 * 2)
    assert f"passes  {passes:,} images through networks with probes" in lines
    told = json.loads(actrobust(*arguments, "--out", "never", "--report", "none", "--json").stdout)
    assert told["unit"] == lines[:4]
    assert told["units"] == 4
    assert told["passes"] == passes
    assert list(tmp_path.glob("cwd/*")) == []


def test_blocks_are_even_and_bounded(checkpoints: Path) -> None:
    one = load_checkpoint(checkpoints / "relu_1.safetensors")
    few, many = load_dataset("digits").subset(40), many_images(1024 + 15 * 256)

    def blocks(count: int, data: Dataset, **changes: Any) -> list[int]:
        plan = Plan([replace(one, **changes)] * count, data, ("light",), (1.0,))
        return [len(block) for block in plan.blocks]

    assert blocks(1, few) == [1]
    assert blocks(30, few) == [1] * 30
    assert blocks(80, few) == [2, 3] * 16  # 32 units
    assert blocks(32, many) == [16, 16]  # 3,072 images each in three versions: up to 65,536 passes
    assert blocks(4, many, size=100_000_000) == [2, 2]


def test_corruptions_share_a_unit_as_long_as_there_is_room(checkpoints: Path) -> None:
    """128 MiB: 10 versions of 1,024 pictures of 64 x 64, 42 of 256, or a quarter as many inputs."""
    one = load_checkpoint(checkpoints / "relu_1.safetensors")
    one = replace(one, spec=replace(one.spec, input_size=(3, 64, 64), mean=(0.5,) * 3, std=(0.5,) * 3))
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8).expand(2000, -1, -1, -1)
    data = replace(load_dataset("digits"), pixels=images, labels=None, ids=torch.arange(2000), classes=())
    plan = Plan([one], data, ("c19", "shift"), (1.0, 2.0, 3.0, 4.0, 5.0))
    sizes = [[len(series) for series in plan.groups(count)] for count in (1024, 256)]
    assert sizes == [[2, *[1] * 26], [9, 8, 4, 2, 2, 2, 1]]
    assert plan.unit_count == 27 + 3 * 7 + 6  # the last chunk has 208 images
    assert [unit.series[0] for unit in plan.units()][:3] == [plan.series[0], plan.series[2], plan.series[3]]
