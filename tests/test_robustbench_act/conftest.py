"""Real checkpoints, small enough to train in a test session."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from robustbench_act.cli import main
from robustbench_act.datasets import load_dataset
from robustbench_act.training import Parts, Recipe, plan_grid, train_checkpoint
from tests.references.grid import UNITS, finished, run_grid

ARCHITECTURE = "cifar:resnet8?width=4"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four networks trained on digits: ReLU and LA-SiLU, two seeds each."""
    out = tmp_path_factory.mktemp("digits") / "checkpoints"
    for job in plan_grid(["relu", "la_silu"], [1, 2], out):
        train_checkpoint(
            job,
            Parts(load_dataset("digits", train=True), load_dataset("digits")),
            architecture=ARCHITECTURE,
            recipe=Recipe(epochs=3, batch_size=64),
            device=torch.device("cpu"),
        )
    return out


@pytest.fixture(scope="session")
def undisturbed(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the small grid that nothing has stopped; tests read it or change a copy."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert finished(run_grid, checkpoints, out) == 0
    assert len(list(out.glob("parts/*.zip"))) == UNITS
    return out


@pytest.fixture
def actrobust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs the command in an empty working folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Return a function that writes a module into the working folder and returns its name."""

    def write(name: str, text: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write
