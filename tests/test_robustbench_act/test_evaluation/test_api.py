"""What is evaluated into which folder: a run is continued, a different plan and wrong input are refused."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
import torch

import robustbench_act
from robustbench_act.checkpoints import Spec, load_checkpoint, save_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import api, evaluate
from robustbench_act.models import build_model
from robustbench_act.run import Run, load_run
from tests.references.grid import assert_alike

SUITES = ("c19", "shift")


def test_loaded_run_equals_the_returned_one(run: Run) -> None:
    again = load_run(run.path)
    assert json.dumps(again.info.to_json(), indent=1) == (run.path / "run.json").read_text()
    pd.testing.assert_frame_equal(again.cells, run.cells, check_dtype=False)
    pd.testing.assert_frame_equal(again.layers, run.layers, check_dtype=False)
    assert again.info.status == "complete"
    assert again.info.dataset.images == 60
    assert {suite.name for suite in again.info.suites} == set(SUITES)


def test_resume_goes_on_and_ends_alike(run: Run, checkpoints: Path, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def stop_after(images: int) -> object:
        left = [images]

        def count(done: int) -> None:
            left[0] -= done
            if left[0] < 0:
                raise Killed

        return lambda plan, out: count

    options = {
        "dataset": "digits",
        "severities": [1, 4],
        "limit": 60,
        "device": "cpu",
        "out": tmp_path / "run",
    }
    with pytest.raises(Killed):
        evaluate([checkpoints], **options, on_start=stop_after(4000))  # type: ignore[arg-type]
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run" / "parts").glob("*.zip")}
    assert 0 < len(done) < 15
    with pytest.raises(InputError, match="not finished"):
        load_run(tmp_path / "run")
    again = evaluate([checkpoints], **options)  # type: ignore[arg-type]
    for name, time in done.items():
        assert (tmp_path / "run" / "parts" / name).stat().st_mtime_ns == time
    assert_alike(again.path, run.path)


def test_another_plan_is_refused_by_name(run: Run, checkpoints: Path) -> None:
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(InputError, match=r"a different plan \(seed \(0 there, 1 here\)\)"):
        evaluate(
            [checkpoints], dataset="digits", severities=[1, 4], limit=60, seed=1, device="cpu", out=run.path
        )
    with pytest.raises(InputError, match="holds a run already"):
        evaluate([checkpoints], dataset="digits", device="cpu", out=run.path, resume=False)
    assert (run.path / "run.json").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a run directory"):
        evaluate([checkpoints], dataset="digits", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suites": ["nois"]}, "Unknown suite 'nois'. Did you mean 'noise'?"),
        (
            {"severities": [7]},
            "Expected severities in [1, 5] (the clean images always come too), got 7.",
        ),
        ({"severities": [0, 3]}, "got 0."),
        ({"severities": []}, "at least one checkpoint, one suite and one severity"),
        ({"dataset": "mnist-1k"}, "expects images of (C, H, W) = (1, 8, 8), got (1, 28, 28)"),
        ({"batch_size": 0}, "batch size of at least 1, got 0"),
        ({"limit": 0}, "at least 1 image, got 0"),
        ({"device": "gpu"}, "Unknown device 'gpu'"),
        ({"device": "cuda:99"}, "this machine has"),
    ],
)
def test_wrong_input_writes_nothing(
    change: dict[str, object], message: str, checkpoints: Path, tmp_path: Path
) -> None:
    options = {"dataset": "digits", "out": tmp_path / "run", **change}
    with pytest.raises(InputError) as error:
        evaluate([checkpoints], **options)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_wrong_number_of_classes(tmp_path: Path) -> None:
    spec = Spec("cifar:resnet8?width=2", "relu", 3, (1, 8, 8), (0.3,), (0.3,))
    save_checkpoint(
        tmp_path / "three.safetensors", build_model(spec.architecture, classes=3, channels=1), spec
    )
    with pytest.raises(InputError, match="has 3 classes, dataset 'digits' has 10"):
        evaluate([tmp_path], dataset="digits", out=tmp_path / "run")


def test_names_are_reachable_from_the_package() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", robustbench_act.__version__)
    for name in set(robustbench_act.__all__) - {"__version__"}:
        assert getattr(robustbench_act, name).__name__ == name
    assert dir(robustbench_act) == sorted(robustbench_act.__all__)
    assert {"evaluate", "train", "Checkpoint", "load_run"} < set(dir(robustbench_act))
    with pytest.raises(AttributeError, match="attribute evalute"):
        _ = robustbench_act.evalute  # type: ignore[attr-defined]


def test_runs_of_one_second_have_folders_of_their_own(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if they start at once, on machines that share a disk; a run that is there is never continued."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2030, 1, 2, 3, 4, 5)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "datetime", Stopped)
    settings: dict[str, Any] = {
        "suites": ["light"],
        "severities": [1],
        "limit": 4,
        "probes": False,
        "device": "cpu",
    }
    runs = [evaluate([checkpoints / "relu_1.safetensors"], dataset="digits", **settings) for _ in range(2)]
    assert [run.path.name for run in runs] == ["20300102-030405", "20300102-030405-2"]
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: api._new_directory(), range(64)))
    assert len(set(folders)) == 64
    assert all(folder.is_dir() and not list(folder.iterdir()) for folder in folders)


def test_numbers_of_numpy_are_numbers(checkpoints: Path, tmp_path: Path) -> None:
    """Also in run.json, and they make no other run; what is no seed is refused before anything is written."""
    settings: dict[str, Any] = {"dataset": "digits", "suites": ["light"], "probes": False, "device": "cpu"}
    run: Any = partial(evaluate, [checkpoints / "relu_1.safetensors"], **settings)
    numbers = {"severities": np.array([1, 3], np.float32), "limit": np.int16(5), "batch_size": np.uint8(4)}
    run(seed=np.int64(3), **numbers, out=tmp_path / "run", processes=np.int64(1))
    before = (tmp_path / "run" / "run.json").read_bytes()
    run(seed=3, severities=[1, 3], limit=5, out=tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    with pytest.raises(InputError, match=r"64-bit integer as seed, got 3\.0"):
        run(seed=3.0, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


NETWORKS = """
import torch
from torch import nn

def plain(*, classes, channels):
    body = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU())
    return nn.Sequential(body, nn.Flatten(), nn.Linear(144, classes))

def in_place(**settings):
    network = plain(**settings)
    network.compile(backend="eager")
    return network

def a_part(**settings):
    network = plain(**settings)
    network[0] = torch.compile(network[0], backend="eager")
    return network
"""


def test_compiled_networks_are_evaluated_with_their_layers(
    module: Callable[[str, str], str], tmp_path: Path
) -> None:
    """All numbers are those of the network as it was written."""
    name = module("compiled_networks_for_a_test", NETWORKS)
    kinds = ("plain", "in_place", "a_part")
    data = load_dataset("digits").subset(20)
    facts: dict[str, Any] = {"data": data, "mean": data.mean, "std": data.std}
    made = []
    for kind in kinds:
        torch.manual_seed(0)
        torch.save(build_model(f"{name}:{kind}", channels=1).state_dict(), tmp_path / f"{kind}.pt")
        made.append(load_checkpoint(tmp_path / f"{kind}.pt", f"{name}:{kind}", **facts))
    run = evaluate(made, dataset=data, suites=["light"], severities=[3], device="cpu", out=tmp_path / "run")
    assert run.cells["error"].isna().all()
    for table in (run.cells, run.layers):
        own = [rows.drop(columns=["checkpoint", "architecture"]) for _, rows in table.groupby("checkpoint")]
        assert len(own) == 3
        for rows in own[1:]:
            pd.testing.assert_frame_equal(
                rows.reset_index(drop=True), own[0].reset_index(drop=True), check_exact=True
            )
