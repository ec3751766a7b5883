"""Real checkpoints, small enough to train in a test session."""

from pathlib import Path

import pytest
import torch

from robustbench_act.datasets import load_dataset
from robustbench_act.training import Recipe, plan_grid, train_checkpoint

ARCHITECTURE = "cifar:resnet8?width=4"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four networks trained on digits: ReLU and LA-SiLU, two seeds each."""
    out = tmp_path_factory.mktemp("digits") / "checkpoints"
    for job in plan_grid(["relu", "la_silu"], [1, 2], out):
        train_checkpoint(
            job,
            architecture=ARCHITECTURE,
            train=load_dataset("digits", train=True),
            test=load_dataset("digits"),
            recipe=Recipe(epochs=3, batch_size=64),
            device=torch.device("cpu"),
        )
    return out
