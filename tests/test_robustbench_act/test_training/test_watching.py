"""What is measured on the way: it changes nothing, and its tables are those that were asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.errors import InputError
from robustbench_act.training import (
    Job,
    Parts,
    Recipe,
    Watch,
    is_trained,
    parse_moments,
    plan_grid,
    probe_in_training,
    train_checkpoint,
)

from .conftest import ARCHITECTURE, QUICK, train


def test_watching_changes_nothing_and_leaves_tables(digits: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(epochs=2, batch_size=64)
    train(tmp_path / "a.safetensors", digits, recipe=recipe, activation="nswish")
    job = Job("nswish", 1, tmp_path / "b.safetensors")
    test = load_dataset("digits")
    watch = Watch(track=(0, 3, 6), check=(2, 4, 6))
    spec = train_checkpoint(
        job,
        Parts(digits, test, validation=test.subset(100)),
        architecture=ARCHITECTURE,
        recipe=recipe,
        device=torch.device("cpu"),
        watch=watch,
    )
    digests = [load_checkpoint(tmp_path / f"{name}.safetensors").digest for name in "ab"]
    assert digests[0] == digests[1]
    table = pd.read_parquet(job.track)
    assert table["step"].tolist() == [0] * 7 + [3] * 7 + [6] * 7
    assert table["epoch"].tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert table["layer"].tolist()[:7] == table["layer"].tolist()[7:14]
    assert (table["gradient_variance"] > 0).all()
    assert table["activation_q95"].notna().all()
    # The last row of the table is what the finished checkpoint shows.
    last = probe_in_training(load_checkpoint(job.path).model, digits.subset(256), torch.device("cpu"))
    for column in ("activation_abs_mean", "rho", "normalized_rho_prime", "gradient_variance"):
        np.testing.assert_allclose(last[column], table[column][14:], rtol=1e-6)
    curve = pd.read_parquet(job.curve)
    assert curve["step"].tolist() == [2, 4, 6]
    assert curve["lr"].tolist() == pytest.approx([0.1, 0.01, 0.001])  # it falls after 1/2 and 3/4 of 6 steps
    assert curve["accuracy"].iloc[-1] == spec.validation_accuracy
    assert curve["loss"].between(0.1, 10).all()


def test_tables_of_other_steps_are_not_taken_for_those_wanted(digits: Dataset, tmp_path: Path) -> None:
    (job,) = plan_grid(["relu"], [1], tmp_path)
    known: dict[str, Any] = {"architecture": ARCHITECTURE, "recipe": QUICK}
    parts, first = Parts(digits, validation=digits.subset(20)), Watch(track=(0,), check=(3,))
    train_checkpoint(job, parts, **known, device=torch.device("cpu"), watch=first)
    assert is_trained(job, train=digits, **known, watch=first)
    for other in (Watch(track=(0, 3)), Watch(check=(1, 2, 3))):
        with pytest.raises(InputError, match="was measured after other steps"):
            is_trained(job, train=digits, **known, watch=other)
    job.track.unlink()
    assert is_trained(job, train=digits, **known)
    assert not is_trained(job, train=digits, **known, watch=first)


def test_layers_with_patches_in_the_batch_are_tracked(digits: Dataset) -> None:
    fold = nn.Flatten(), nn.Unflatten(1, (4, 16)), nn.Flatten(0, 1)
    unfold = nn.Unflatten(0, (-1, 4)), nn.Flatten()
    network = nn.Sequential(*fold, nn.Linear(16, 5), nn.ReLU(), *unfold, nn.Linear(20, 10))
    (row,) = probe_in_training(network, digits.subset(20), torch.device("cpu")).to_dict("records")
    assert (row["layer"], row["n"], row["elements"]) == ("4", 20, 20)
    assert row["gradient_variance"] > 0


@pytest.mark.parametrize("text", ["3", "x", "", "-1", "0,,1", "1.5", "101%", "%", "-5%"])
def test_epochs_that_do_not_exist_cannot_be_tracked(text: str) -> None:
    with pytest.raises(InputError, match="Expected epochs from 0 to 2"):
        parse_moments(text, 2)
