"""Small networks trained on digits."""

from pathlib import Path

import pytest
import torch

from robustbench_act.checkpoints import Spec
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.training import Job, Parts, Recipe, train_checkpoint

ARCHITECTURE = "resnet8?width=2"
QUICK = Recipe(epochs=1, batch_size=64)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Return a small training set."""
    return load_dataset("digits", train=True).subset(200)


def train(
    path: Path,
    data: Dataset,
    *,
    seed: int = 1,
    activation: str = "silu",
    recipe: Recipe = QUICK,
    architecture: str = ARCHITECTURE,
) -> Spec:
    """Train one small network."""
    return train_checkpoint(
        Job(activation, seed, path),
        Parts(data, load_dataset("digits")),
        architecture=architecture,
        recipe=recipe,
        device=torch.device("cpu"),
    )
