"""Learning rates: of each activation, and when they fall."""

import re
from pathlib import Path
from typing import Any

import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook

import robustbench_act
from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError
from robustbench_act.training import (
    Recipe,
)

from .conftest import train


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        ("0.1,silo=0.2", "Did you mean 'silu'?"),
        ("silu=fast", "expected a number, or 0.1,silu=0.05, got 'silu=fast'"),
        ("0.1,0.2", "one learning rate of all others, got two"),
        ("silu=0.1,silu=0.2", "one learning rate of silu, got two"),
        ("0.1,silu=-1", "Expected lr > 0 for silu, got -1.0"),
        ({"silu": "0.1"}, "Expected lr > 0 for silu, got '0.1'"),
        ({"silu": 0.1}, "expected a learning rate of relu, got those of silu"),
        ("0.1,gelu=0.2", "Unknown activation with a learning rate 'gelu'"),
        (float("nan"), "Expected lr > 0, got nan"),
    ],
)
def test_wrong_learning_rates(lr: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        robustbench_act.train("digits", activation="relu,silu", lr=lr, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_learning_rate_drops_at_half_and_at_three_quarters(digits: Dataset, tmp_path: Path) -> None:
    rates: list[float] = []
    handle = register_optimizer_step_pre_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
    try:
        recipe = Recipe(epochs=3, batch_size=4, lr=0.02)
        train(tmp_path / "a.safetensors", digits.subset(16), recipe=recipe)
    finally:
        handle.remove()
    assert rates == pytest.approx([0.02] * 6 + [0.002] * 3 + [0.0002] * 3)
