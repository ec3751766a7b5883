"""Training: deterministic, resumable, honest about its recipe."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import Result
from torch import Tensor, nn

import robustbench_act
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.errors import DivergedError, InputError
from robustbench_act.preprocessing import normalise
from robustbench_act.training import (
    Job,
    Parts,
    Recipe,
    is_trained,
    plan_grid,
    probe_in_training,
    step_count,
    train_checkpoint,
)

from .conftest import ARCHITECTURE, QUICK, train


@pytest.mark.parametrize("activation", ["relu", "rrelu"])
def test_same_job_same_weights_whatever_came_before(activation: str, digits: Dataset, tmp_path: Path) -> None:
    """RReLU draws random numbers in training."""
    train(tmp_path / "a.safetensors", digits, activation=activation)
    torch.rand(17)
    train(tmp_path / "other.safetensors", digits, activation="prelu")
    train(tmp_path / "b.safetensors", digits, activation=activation)
    train(tmp_path / "c.safetensors", digits, activation=activation, seed=2)
    digests = [load_checkpoint(tmp_path / f"{name}.safetensors").digest for name in "abc"]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_global_random_state_is_left_alone(digits: Dataset, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(tmp_path / "a.safetensors", digits, recipe=replace(QUICK, augment="crop-flip"))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_learns_and_the_spec_says_how(tmp_path: Path) -> None:
    data = load_dataset("digits", train=True)
    recipe = Recipe(epochs=4, batch_size=64)
    spec = train(tmp_path / "a.safetensors", data, recipe=recipe)
    assert spec.clean_accuracy is not None
    assert spec.clean_accuracy > 0.6  # guessing gives 0.1
    assert spec == load_checkpoint(tmp_path / "a.safetensors").spec
    assert spec.architecture == "cifar:resnet8?width=2"
    assert spec.recipe["steps"] == 4 * (1437 // 64)
    assert spec.recipe["images"] == 1437
    assert spec.recipe["lr"] == 0.1


def test_steps_are_counted(digits: Dataset, tmp_path: Path) -> None:
    seen: list[int] = []
    recipe = Recipe(epochs=2, batch_size=64)
    job = Job("relu", 1, tmp_path / "a.safetensors")
    train_checkpoint(
        job,
        Parts(digits),
        architecture=ARCHITECTURE,
        recipe=recipe,
        device=torch.device("cpu"),
        on_step=lambda: seen.append(1),
    )
    assert len(seen) == step_count(digits, recipe) == 6


def test_fewer_images_than_a_batch(digits: Dataset, tmp_path: Path) -> None:
    assert step_count(digits.subset(20), QUICK) == 1
    train(tmp_path / "a.safetensors", digits.subset(20))


def test_what_is_there_is_skipped_unless_it_differs(digits: Dataset, tmp_path: Path) -> None:
    (job,) = plan_grid(["silu"], [1], tmp_path)
    known: dict[str, Any] = {"architecture": ARCHITECTURE, "train": digits, "recipe": QUICK}
    assert not is_trained(job, **known)
    train(job.path, digits)
    assert is_trained(job, **known)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"recipe": Recipe(epochs=2, batch_size=64)}, "trained with epochs "),
        ({"architecture": "resnet8?width=4"}, "trained with architecture "),
        ({"train": digits.subset(100)}, "trained with data "),
    ]
    for change, named in changes:
        with pytest.raises(InputError, match=named):
            is_trained(job, **{**known, **change})


def test_divergence_is_an_error_after_an_epoch_and_leaves_no_file(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="after 10 of 30 steps the loss is nan"):
        train(tmp_path / "a.safetensors", digits, recipe=Recipe(epochs=3, batch_size=20, lr=1e20))
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_built_already_is_no_architecture() -> None:
    with pytest.raises(InputError, match=r"expected a name, a class or a function .*, got a ReLU"):
        robustbench_act.train("digits", arch=nn.ReLU())


def test_grid_is_checked_before_anything_is_trained(tmp_path: Path) -> None:
    assert len(plan_grid(["relu", "silu", "relu"], range(1, 4), tmp_path)) == 6
    with pytest.raises(InputError, match=r"Unknown activation 'rellu'\. Did you mean 'relu'"):
        plan_grid(["relu", "rellu"], [1], tmp_path)


def test_numbers_of_numpy_train_the_same(tmp_path: Path, digits: Dataset) -> None:
    jobs = plan_grid(["silu"], np.arange(1, 3), tmp_path)
    assert jobs == plan_grid(["silu"], [1, 2], tmp_path)
    recipe = Recipe(epochs=np.int64(1), batch_size=np.int64(64), lr=np.float32(0.5))  # type: ignore[arg-type]
    usual = Recipe(epochs=1, batch_size=64, lr=0.5)
    made = [train(tmp_path / "x", digits, seed=job.seed, recipe=recipe) for job in jobs[:1]]
    assert made == [train(tmp_path / "y", digits, seed=1, recipe=usual)]
    with pytest.raises(InputError, match=r"64-bit integer as seed, got 1\.5"):
        plan_grid(["silu"], [1.5], tmp_path)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": "crops"}, "Unknown augmentation 'crops'. Did you mean 'crop'?"),
        ({"epochs": 0}, "epochs >= 1"),
        ({"batch_size": 1}, "batch size >= 2"),
        ({"lr": 0.0}, "lr > 0"),
        ({"noise": 25.0}, "Expected noise from 0 to 1, got 25.0"),
    ],
)
def test_wrong_recipes(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**options)  # type: ignore[arg-type]


class Unusual(nn.Module):
    """A layer at two places, a lazy layer, and methods that return nothing."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.act, self.head = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.LazyLinear(classes)
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.again = self.middle

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(self.act(self.middle(self.act(self.first(x)))))
        return torch.as_tensor(self.head(x.flatten(1)))

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(3)

    def set_extra_state(self, state: Tensor) -> None: ...


class Untold(nn.Linear):
    def get_extra_state(self) -> dict[str, int]:
        return {}


def unusual(classes: int, channels: int) -> nn.Module:
    return Unusual(classes)


def untold(classes: int, channels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.ReLU(), Untold(64, classes))


def test_networks_of_unusual_make_are_trained_and_read(tmp_path: Path, digits: Dataset) -> None:
    own = f"{__name__}:unusual"
    train(tmp_path / "a.safetensors", digits, activation="relu", architecture=own)
    spec = train(tmp_path / "b.safetensors", digits, activation="relu", architecture=own)
    one, other = (load_checkpoint(tmp_path / f"{name}.safetensors", own) for name in "ab")
    assert one.digest == other.digest
    assert one.model.get_parameter("head.weight").shape == (10, 144)
    test = load_dataset("digits")
    logits = one.model(normalise(test.images, test.mean, test.std))
    right = (logits.argmax(1) == test.known_labels).double().mean()
    assert right.item() == pytest.approx(spec.clean_accuracy)
    model = unusual(10, 1)
    model(torch.zeros(2, 1, 8, 8))
    probe_in_training(model, digits.subset(20), torch.device("cpu"))
    assert model.training


def test_what_cannot_be_stored_is_not_trained(tmp_path: Path, digits: Dataset) -> None:
    with pytest.raises(InputError, match=r"2\._extra_state of Sequential: expected a tensor, got dict"):
        train_checkpoint(
            Job("relu", 1, tmp_path / "x.safetensors"),
            Parts(digits),
            architecture=f"{__name__}:untold",
            recipe=QUICK,
            device=torch.device("cpu"),
            on_step=lambda: pytest.fail("a step was made"),
        )


NETWORKS = """
from torch import nn

class Two(nn.Module):
    def __init__(self, act="relu"):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU() if act == "relu" else nn.SiLU())
        self.last = nn.Linear(8, 10)

    def forward(self, x):
        features = self.body(x)
        return {"features": features, "scores": self.last(features)}

def three(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
def broken(): return nn.Linear(3, 10)
"""


def test_the_twin_trains_what_the_command_trains(
    actrobust: Callable[..., Result], capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bit, without a word; what is there is kept; callbacks count every image once."""
    options = ["--dataset", "digits", "--arch", ARCHITECTURE, "--activation", "relu,silu", "--limit", 100]
    assert actrobust("train", *options, "--epochs", 1, "--out", "command").exit_code == 0
    seen: list[int] = []
    told: list[tuple[str, Any]] = []
    settings: dict[str, Any] = {"arch": ARCHITECTURE, "epochs": 1, "limit": 100, "out": "twin"}

    def start(jobs: Sequence[Job], images: int) -> Callable[[int], None]:
        told.append((f"{len(jobs)} networks", images))
        return seen.append

    paths = robustbench_act.train(
        "digits", activation=["relu", nn.SiLU], **settings, on_start=start,
        on_network=lambda job, spec: told.append((job.path.stem, spec and spec.clean_accuracy)),
    )  # fmt: skip
    assert [path.name for path in paths] == ["relu_1.safetensors", "silu_1.safetensors"]
    for path in paths:
        assert path.read_bytes() == (Path("command") / path.name).read_bytes()
    assert told[0] == ("2 networks", sum(seen)) == ("2 networks", 2 * 128)
    assert [name for name, accuracy in told[1:] if accuracy is not None] == ["relu_1", "silu_1"]
    again = robustbench_act.train(
        "digits", activation="silu", seeds=[1, 5], **settings,
        on_network=lambda job, spec: told.append((job.path.stem, spec and spec.clean_accuracy)),
    )  # fmt: skip
    assert [path.name for path in again] == ["silu_1.safetensors", "silu_5.safetensors"]
    assert told[3] == ("silu_1", None)
    assert capsys.readouterr() == ("", "")


def test_networks_of_any_output_are_trained(module: Callable[[str, str], str], digits: Dataset) -> None:
    """And files of a class with options are loaded again with the same answers."""
    name = module("networks_to_train", NETWORKS)
    (path,) = robustbench_act.train(
        digits, arch=f"{name}:Two?act=silu", activation="native", epochs=1, track="last"
    )
    found = load_checkpoint(path, f"{name}:Two?act=silu")
    assert found.spec.clean_accuracy is not None
    assert type(found.model.get_submodule("body.2")) is nn.SiLU
    assert len(pd.read_parquet(path.with_suffix(".track.parquet"))) == 1
    for factory, message in (
        (
            "three",
            r"\(Sequential\) returns 3 columns, expected 10, one for each class; let it take `classes`",
        ),
        ("broken", r"\(Linear\) cannot be trained: RuntimeError: mat1"),
    ):
        with pytest.raises(InputError, match=f"The network {message}"):
            robustbench_act.train(digits, arch=f"{name}:{factory}", activation="native", out=factory)
