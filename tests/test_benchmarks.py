"""The benchmark of a GPU works on the day that there is one: all of it is rehearsed on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.benchmarks.bench_cuda import Outcome, page, run_step
from tests.benchmarks.cuda_steps import STEPS, tried
from tests.benchmarks.traffic import Traffic, of_corruption, of_pass


@pytest.mark.slow
def test_every_step_is_rehearsed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_cuda", "--rehearse", "--out", str(tmp_path)]
    subprocess.run(command, check=True)
    found = json.loads((tmp_path / "cuda.json").read_text())["steps"]
    assert [step["step"] for step in found] == list(STEPS)
    steps = {step["step"]: step["rows"] for step in found}
    assert all(steps.values())
    assert all(row[kind] == 0 for row in steps["pixels"] for kind in row if kind != "corruption")
    grid = {row["what"]: row["value"] for row in steps["grid"]}
    assert grid["corrupted: cells with the same pixels, %"] == 100
    assert grid["cells that failed"] == grid["corrupted: right answers more or fewer, at most"] == 0
    assert steps["together"][-1]["the same tables"] is True
    assert [row["outcome"].split()[1] for row in steps["tests"]] == ["skipped"] * 2
    text = (tmp_path / "cuda.md").read_text()
    assert all(f"\n## {step}\n\n| " in text for step in STEPS)


@pytest.mark.slow
def test_a_step_that_fails_or_takes_too_long_keeps_its_rows() -> None:
    failed = run_step("nothing", "cpu", 60)
    assert failed.problem == "failed (1): KeyError: 'nothing'"
    stopped = run_step("grid", "cpu", 1)
    assert stopped.problem == "stopped after 1 seconds"
    text = page([Outcome("machine", "", 1.0, [{"what": "a|b", "value": 12345.6}]), failed], "cpu")
    assert "| a\\|b | 12,346 |" in text
    assert "**failed (1): KeyError: 'nothing'**" in text


def test_steps_that_come_too_late_are_not_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_cuda", "--rehearse", "--out", str(tmp_path)]
    done = subprocess.run([*command, "--minutes", "0", "--steps", "grid", "tests"], check=False)
    assert done.returncode == 1
    assert (tmp_path / "cuda.md").read_text().count("not started: the time is up") == 4


def test_a_row_that_fails_says_so() -> None:
    def work() -> dict[str, object]:
        raise ValueError("no\nsuch thing")

    row = tried(work, corruption="fog")
    assert row == {"corruption": "fog", "problem": "ValueError: no such thing"}
    assert Outcome("rates", "", 1.0, [row, {"corruption": "snow"}]).how == "1 of 2 rows failed"


def test_traffic_is_what_operations_read_and_write() -> None:
    values, other = torch.ones(1000), torch.ones(1000)
    with Traffic("cpu") as traffic:
        values.add_(1)  # 4,000 bytes read, 4,000 written
        values.view(10, 100)[2:4].t()
        torch.empty(5)
        values + other
        values[:1].expand(500) + other[:500]  # the one value is read once
    assert traffic.operations == {"add_": 1, "add": 2}
    assert traffic.moved == 8000 + 12_000 + 4 + 2000 + 2000
    assert traffic.uploads == 0


def test_traffic_of_a_gpu_that_is_not_there() -> None:
    one, many = (of_corruption("contrast", side=32, batch=batch) for batch in (1, 64))
    assert one.operations == many.operations
    assert 60 < many.moved / one.moved <= 64
    assert one.uploads == 0
    assert of_corruption("impulse_noise", side=32, batch=2).uploads == 1  # the key of its draw


def test_traffic_of_a_pass() -> None:
    with torch.device("meta"):
        model, inputs = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU()).eval(), torch.empty(6, 8, 8)
    plain = of_pass(model, inputs, versions=3, metrics=())
    assert plain.operations == {"linear": 1, "relu": 1}
    assert plain.moved == 4 * ((6 * 64 + 64 * 8 + 8 + 6 * 8) + 2 * 6 * 8)
    watched = of_pass(model, inputs, versions=3, metrics=("fluctuation",))
    assert watched.operations.total() > 20
