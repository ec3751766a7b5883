"""Training: deterministic, resumable, honest about its recipe."""

import re
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
from torch.optim.optimizer import register_optimizer_step_pre_hook

import robustbench_act
from robustbench_act.checkpoints import Spec, load_checkpoint
from robustbench_act.datasets import Dataset, load_dataset
from robustbench_act.errors import InputError
from robustbench_act.preprocessing import normalise
from robustbench_act.training import (
    Job,
    Parts,
    Recipe,
    Watch,
    is_trained,
    parse_moments,
    plan_grid,
    probe_in_training,
    step_count,
    train_checkpoint,
)
from robustbench_act.training.augmentation import add_noise, crop_and_flip

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


def test_noise_is_part_of_the_training(digits: Dataset, tmp_path: Path) -> None:
    for name, noise in (("a", 0.0), ("b", 0.3), ("c", 0.3)):
        train(tmp_path / f"{name}.safetensors", digits, recipe=replace(QUICK, noise=noise))
    digests = [load_checkpoint(tmp_path / f"{name}.safetensors").digest for name in "abc"]
    assert digests[1] == digests[2]
    assert digests[0] != digests[1]


def test_half_of_the_images_get_noise_of_many_strengths() -> None:
    images = torch.full((2000, 1, 16, 16), 128, dtype=torch.uint8)
    noisy = add_noise(images, 0.1, torch.Generator().manual_seed(0))
    deviations = noisy.std(dim=(1, 2, 3))
    clean = deviations == 0
    assert int(clean.sum()) == 1000
    assert torch.equal(noisy[clean], images[clean].float() / 255)
    # Uniform from 0 to 0.1: mean 0.05, standard deviation 0.1 / sqrt(12).
    assert deviations[~clean].mean().item() == pytest.approx(0.05, abs=0.003)
    assert deviations[~clean].std().item() == pytest.approx(0.1 / 12**0.5, abs=0.002)
    white = add_noise(torch.full_like(images, 255), 0.5, torch.Generator().manual_seed(0))
    assert white.max() == 1
    assert white.min() >= 0


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


def test_the_learning_rate_drops_at_half_and_at_three_quarters(digits: Dataset, tmp_path: Path) -> None:
    rates: list[float] = []
    handle = register_optimizer_step_pre_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
    try:
        recipe = Recipe(epochs=3, batch_size=4, lr=0.02)
        train(tmp_path / "a.safetensors", digits.subset(16), recipe=recipe)
    finally:
        handle.remove()
    assert rates == pytest.approx([0.02] * 6 + [0.002] * 3 + [0.0002] * 3)


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


def test_divergence_is_an_error_and_leaves_no_file(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="diverged"):
        train(tmp_path / "a.safetensors", digits, recipe=Recipe(epochs=3, batch_size=20, lr=1e20))
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_built_already_is_no_architecture() -> None:
    with pytest.raises(InputError, match=r"expected a name, a class or a function .*, got a ReLU"):
        robustbench_act.train("digits", arch=nn.ReLU())


def test_grid_is_checked_before_anything_is_trained(tmp_path: Path) -> None:
    assert len(plan_grid(["relu", "silu", "relu"], range(1, 4), tmp_path)) == 6
    with pytest.raises(InputError, match=r"Unknown activation 'rellu'\. Did you mean 'relu'"):
        plan_grid(["relu", "rellu"], [1], tmp_path)


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


def test_crops_are_windows_of_the_padded_image() -> None:
    images = torch.randint(1, 256, (40, 3, 9, 7), dtype=torch.uint8)
    crops = crop_and_flip(images, "crop", torch.Generator().manual_seed(0))
    assert crops.shape == images.shape
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    seen = set()
    for crop, image in zip(crops, padded, strict=True):
        places = [
            (top, left)
            for top in range(9)
            for left in range(9)
            if torch.equal(image[:, top : top + 9, left : left + 7], crop)
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) > 20


def test_half_of_the_images_are_flipped() -> None:
    images = torch.arange(7, dtype=torch.uint8).view(1, 1, 1, 7).repeat(2000, 1, 9, 1) + 1
    crops = crop_and_flip(images, "crop-flip", torch.Generator().manual_seed(0)).int()
    middle = crops[:, 0, 4, 2:5]
    falling = ((middle[:, 1] < middle[:, 0]) & (middle[:, 1] > 0)).float().mean()
    rising = ((middle[:, 1] < middle[:, 2]) & (middle[:, 1] > 0)).float().mean()
    assert 0.4 < falling / (falling + rising) < 0.6


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
