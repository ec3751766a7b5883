"""Real networks, fed wrongly on purpose: the doctor says how; fed rightly: it says nothing."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from corruptions import get_suite
from robustbench_act.checkpoints import Checkpoint, load_checkpoint
from robustbench_act.datasets import Dataset, load_dataset, pair_corrupted, with_class_order
from robustbench_act.doctor import (
    check_accuracy,
    examine,
    examine_data,
    examine_machine,
    examine_plan,
    warnings_before,
)
from robustbench_act.evaluation import Execution, make_plan
from robustbench_act.generation import Generation, generate
from robustbench_act.models import build_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture
def load(checkpoints: Path) -> Callable[..., Checkpoint]:
    return lambda **spec: load_checkpoint(checkpoints / "la_silu_1.safetensors", **spec)


def test_a_sound_checkpoint_has_one_good_finding(load: Callable[..., Checkpoint], digits: Dataset) -> None:
    (found,) = examine(load(), digits, CPU)
    assert found.good
    assert re.fullmatch(r"accuracy \d+\.\d% on 256 clean images of digits, \d+\.\d% in its spec", found.text)


@pytest.mark.parametrize(
    "wrong", [{"mean": (0.0,), "std": (1 / 255,)}, {"mean": (-2.0,), "std": (4.0,)}, {"mean": (0.9,)}]
)
def test_a_wrong_normalisation_is_named(
    wrong: dict[str, Any], load: Callable[..., Checkpoint], digits: Dataset
) -> None:
    first, second, *_ = [one for one in examine(load(**wrong), digits, CPU) if "read:" not in one.text]
    assert not first.good
    assert not second.good
    assert re.match(
        r"with (no normalisation|mean|the usual normalisation of).* its accuracy is \d+\.\d%, not \d",
        second.text,
    )
    assert "right?" in second.text
    assert not check_accuracy(load(**wrong), digits, CPU).good


def test_permuted_classes_are_named(load: Callable[..., Checkpoint], digits: Dataset) -> None:
    permuted = replace(digits, labels=(digits.known_labels + 1) % 10)
    found = examine(load(), permuted, CPU)
    assert not found[0].good
    assert found[-1].text.startswith("with the classes permuted its accuracy is ")
    assert "(0 as 9, 1 as 0, 2 as 1, ...): is the order of the classes right?" in found[-1].text


def test_an_order_in_use_is_named_with_its_flag(load: Callable[..., Checkpoint], digits: Dataset) -> None:
    """The digits called 5 to 14, sorted as strings."""
    names = replace(digits, classes=tuple(map(str, range(5, 15))))
    natural, string = (with_class_order(names, order) for order in ("natural", "string"))
    assert [one.good for one in examine(load(), natural, CPU)] == [True]
    (found,) = [one for one in examine(load(), string, CPU) if "order" in one.text]
    assert not found.good
    assert found.text.startswith("with the classes in natural order its accuracy is ")
    assert found.text.endswith(" (10 as 5, 11 as 6, 12 as 7, ...): set --class-order natural")


def test_any_permutation_is_found(load: Callable[..., Checkpoint], digits: Dataset) -> None:
    random = np.random.default_rng(3).permutation(10)
    permuted = replace(digits, labels=torch.from_numpy(random)[digits.known_labels])
    text = examine(load(), permuted, CPU)[-1].text
    assert text.startswith("with the classes permuted its accuracy is ")
    pairs = [f"{label} as {digit}" for label, digit in enumerate(np.argsort(random)) if label != digit]
    assert f"({', '.join(pairs[:3])}, ...): is the order" in text


def test_classes_that_the_data_lack_are_named_by_their_number(
    load: Callable[..., Checkpoint], digits: Dataset
) -> None:
    """The network has 12 classes: those of the digits moved up by 2."""
    checkpoint = load()
    twelve = build_model("cifar:resnet8?width=4", activation="la_silu", classes=12, channels=1).eval()
    state = checkpoint.model.state_dict()
    for key in ("linear.weight", "linear.bias"):
        state[key] = torch.cat([state[key][:2] - 100, state[key]])
    twelve.load_state_dict(state)
    moved = replace(checkpoint, spec=checkpoint.spec.override(classes=12), load=lambda: twelve)
    (finding,) = [one for one in examine(moved, digits, CPU) if "order" in one.text]
    assert "(0 as 2, 1 as 3, 2 as 4, ...): is the order of the classes right?" in finding.text


def test_reversed_colours_are_named(load: Callable[..., Checkpoint], digits: Dataset) -> None:
    """A network that looks at the red channel alone, shown blue where red should be."""
    checkpoint = load()

    class Red(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = checkpoint.model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x[:, :1])  # type: ignore[no-any-return]

    spec = replace(checkpoint.spec, mean=digits.mean * 3, std=digits.std * 3, input_size=(3, 8, 8))
    colour = replace(checkpoint, load=Red().eval, spec=spec)
    black = torch.zeros_like(digits.images)
    images = torch.cat([black, black, digits.images], dim=1)
    blue = replace(digits, pixels=images, mean=digits.mean * 3, std=digits.std * 3)
    found = examine(colour, blue, CPU)
    assert any("with the order of the colours reversed (BGR) its accuracy" in one.text for one in found)
    red = replace(blue, pixels=images.flip(1))
    assert [one.good for one in examine(colour, red, CPU)] == [True]


def test_without_a_stated_accuracy_chance_is_the_measure(
    load: Callable[..., Checkpoint], digits: Dataset
) -> None:
    checkpoint = load()
    unknown = replace(checkpoint, spec=replace(checkpoint.spec, clean_accuracy=None))
    assert ", 10.0% by chance" in check_accuracy(unknown, digits, CPU).text
    assert check_accuracy(unknown, digits, CPU).good
    other = replace(checkpoint, spec=replace(checkpoint.spec, dataset="mnist"))
    assert "by chance" in check_accuracy(other, digits, CPU).text
    torch.nn.init.zeros_(unknown.model.get_parameter("linear.weight"))
    assert not check_accuracy(unknown, digits, CPU).good


def test_a_broken_checkpoint_is_said(load: Callable[..., Checkpoint], digits: Dataset) -> None:
    broken = replace(load(), problem="weights that are not finite")
    assert [one.text for one in examine(broken, digits, CPU)] == ["weights that are not finite"]
    assert not check_accuracy(broken, digits, CPU).good


def test_a_network_that_cannot_run_is_said(load: Callable[..., Checkpoint], digits: Dataset) -> None:
    checkpoint = replace(load(), load=nn.Linear(3, 10).eval)
    (found,) = examine(checkpoint, digits, CPU)
    assert found.text.startswith("its forward pass fails: mat1 and mat2 shapes cannot be multiplied")
    assert not found.good
    assert check_accuracy(checkpoint, digits, CPU).text.startswith("its forward pass fails: ")


def test_a_network_that_refuses_other_inputs_costs_no_finding(
    load: Callable[..., Checkpoint], digits: Dataset
) -> None:
    checkpoint = load()

    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = checkpoint.model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.abs().max() < 10, "expected a normalised input"
            return self.body(x)  # type: ignore[no-any-return]

    strict = replace(checkpoint, load=Strict().eval)
    permuted = replace(digits, labels=(digits.known_labels + 1) % 10)
    assert examine(strict, permuted, CPU) == examine(load(), permuted, CPU)


def test_a_plan_has_time_and_room(checkpoints: Path, tmp_path: Path) -> None:
    plan = make_plan([checkpoints], dataset="digits", suites=["light", "shift"], severities=[1], limit=40)
    time, memory, room = examine_plan(plan, tmp_path / "not" / "there", Execution(CPU))
    assert re.fullmatch(r"about [\d.]+ (s|min) for 1,760 forward passes with probes", time.text)
    assert re.fullmatch(r"about \d+ MB of memory, probes aside", memory.text)
    assert plan.passes == 4 * 40 * (1 + 10)
    assert room.good
    assert f"MB in {tmp_path}/not/there" in room.text


def test_the_machine_is_described() -> None:
    found = examine_machine()
    assert found[0].text.startswith("actrobust ")
    assert all(one.good for one in found)


def test_data_are_described_and_doubted(digits: Dataset, tmp_path: Path) -> None:
    whole, labels = examine_data(digits)
    assert whole.text == "360 of 360 images of digits, 1 x 8 x 8"
    assert labels.text == "labels of 10 of 10 classes"
    assert whole.good
    assert labels.good
    one_class = digits[digits.known_labels == 3]
    assert not examine_data(one_class)[1].good
    made = generate(Generation(digits, get_suite("light")), tmp_path / "made")
    *_, stored = examine_data(pair_corrupted(digits, made))
    assert stored.text == "2 corruptions x 5 severities in files (npy), each image paired with its clean one"
    broken = replace(digits, unreadable=("a.png", "b.png"))
    assert examine_data(broken)[1].text == "2 files cannot be read, first a.png"
    assert not examine_data(broken)[1].good


def test_what_evaluate_asks_first(load: Callable[..., Checkpoint], tmp_path: Path) -> None:
    def asked(**spec: Any) -> list[str]:
        plan = make_plan([load(**spec)], dataset="digits", suites=["light"], severities=[1], limit=40)
        return [finding.text for finding in warnings_before(plan, tmp_path, CPU)]

    assert asked() == []
    (found,) = asked(mean=(0.9,))
    assert re.match(r"accuracy \d+\.\d% on 40 clean images of digits, \d+\.\d% in its spec", found)
