"""One look tells networks that can be evaluated in any batch from those that cannot."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from robustbench_act.behaviour import look_at
from robustbench_act.errors import InputError
from robustbench_act.records import Behaviour
from tests.test_robustbench_act.test_behaviour import networks
from tests.test_robustbench_act.test_behaviour.networks import CLASSES, Net

DEPENDENT = [
    networks.BatchNormWithoutStatistics,
    networks.BatchAttention,
    networks.CentredBatch,
    networks.ByBatchSize,
    networks.CentredLargeBatch,
    networks.ByPlace,
    networks.MaskedClass,
]
RANDOM = [networks.DropoutLeftOn, networks.RareDropPath, networks.NumpyNoise]
CHANGING = [networks.OwnGenerator, networks.Counting, networks.Adapting]


def looked(network: nn.Module, **options: Any) -> Behaviour:
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return look_at(network.eval(), images[:3], images[3], classes=CLASSES, **options)


def test_nothing_is_said_of_a_usual_network() -> None:
    assert looked(Net()) == Behaviour(looked_at=True)
    assert looked(Net()).notes() == []


@pytest.mark.parametrize("kind", DEPENDENT)
def test_images_that_see_each_other(kind: type[Net]) -> None:
    found = looked(kind())
    assert found.batch_dependent
    assert not found.random
    assert "depends on which images share a batch" in found.notes()[0]


@pytest.mark.parametrize("kind", RANDOM)
def test_random_numbers(kind: type[Net]) -> None:
    with pytest.raises(InputError, match="draws random numbers in evaluation mode"):
        looked(kind())
    found = looked(kind(), allow_random=True)
    assert found.random
    assert not found.batch_dependent


@pytest.mark.parametrize("kind", CHANGING)
def test_what_seeds_do_not_fix_is_refused(kind: type[Net]) -> None:
    for allowed in (False, True):
        with pytest.raises(InputError, match="seeds do not help"):
            looked(kind(), allow_random=allowed)


@pytest.mark.parametrize(("kind", "what"), [("Drifting", "mean"), ("DriftingWeights", r"last\.weight")])
def test_slow_changes_are_refused(kind: str, what: str) -> None:
    with pytest.raises(
        InputError, match=f"changes from pass to pass in evaluation mode: {what} of the network"
    ):
        looked(getattr(networks, kind)())


def test_changes_that_do_not_matter() -> None:
    assert looked(networks.Keeping()) == Behaviour(looked_at=True)


@pytest.mark.parametrize(("kind", "batch_size"), [(networks.EvenNumbers, 33), (networks.FixedBatch, 32)])
def test_batches_of_other_sizes_are_tried(kind: type[Net], batch_size: int) -> None:
    assert looked(kind(), batch_size=batch_size) == Behaviour(looked_at=True)
    small = nn.Sequential(kind(), nn.Softsign(), nn.Threshold(0, 0.1))
    assert looked(small, batch_size=batch_size).outputs == "sigmoids"


def test_pairs_that_see_each_other() -> None:
    assert looked(networks.EvenCentred()).batch_dependent


def test_no_batch_at_all() -> None:
    assert "is invalid for input of size" in looked(networks.FixedBatch(), batch_size=30).fails


@pytest.mark.parametrize("kind", [Net, *DEPENDENT])
def test_in_half_precision(kind: type[Net]) -> None:
    network = kind().bfloat16()
    assert looked(network).fails
    with torch.autocast("cpu", torch.bfloat16):
        found = looked(network, precision="bf16")
    assert found.batch_dependent == (kind in DEPENDENT)
    assert "fails in fp32, so it was looked at in bf16" in found.notes()[0]


def test_logits_between_0_and_1_are_no_sigmoids() -> None:
    assert looked(networks.SmallLogits()).outputs == "logits"
    assert looked(nn.Sequential(networks.SmallLogits(), nn.Sigmoid())).outputs == "sigmoids"
    assert looked(nn.Sequential(Net(), nn.ReLU())).outputs == "logits"
    assert looked(nn.Sequential(Net(), nn.Hardsigmoid(), nn.Threshold(0.5, 0))).outputs == "perhaps sigmoids"


def test_generators_are_as_before() -> None:
    before = torch.get_rng_state()
    looked(networks.DropoutLeftOn(), allow_random=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_may_write_to_its_input() -> None:
    assert looked(networks.InPlace()) == Behaviour(looked_at=True)


def test_a_network_that_fails_is_not_judged() -> None:
    assert looked(nn.Linear(3, 2)).fails.startswith("mat1 and mat2 shapes cannot be multiplied")
    assert "got (3, 1, 8, 8)" in looked(nn.ReLU()).fails


def test_channels_last_is_tried_and_given_up() -> None:
    images = torch.rand(4, 3, 72, 72)

    def behaviour(network: nn.Module) -> Behaviour:
        return look_at(network.eval(), images[:3], images[3], classes=CLASSES, memory_format="channels_last")

    assert behaviour(networks.Flattens()).memory_format == "contiguous"
    assert behaviour(nn.Sequential(nn.Flatten(), nn.Linear(3 * 72 * 72, CLASSES))).memory_format == ""


@pytest.mark.parametrize("name", ["resnet18", "swin_v2_t", "mobilenet_v3_small"])
def test_rounding_of_torchvision_is_no_company(name: str) -> None:
    torch.manual_seed(0)
    size = {"image_size": 64} if name == "vit_b_16" else {}
    network, images = get_model(name, num_classes=CLASSES, **size).eval(), torch.randn(4, 3, 64, 64)
    found = look_at(network, images[:3], images[3], classes=CLASSES, memory_format="channels_last")
    assert not found.batch_dependent
    assert not found.unwatched
    assert set(found.left_out.values()) <= {"no image reaches it"}  # tables of position biases


@pytest.mark.parametrize(("precision", "dependent"), [("fp32", True), ("bf16", False)])
def test_rounding_in_half_precision_is_no_company(precision: str, dependent: bool) -> None:
    assert looked(networks.TwoRoundoffs(), precision=precision).batch_dependent == dependent


class Odd(Net):
    """Its activation is measured as far as it can be."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.features(x)
        extra = {
            "one number for each image": lambda: torch.relu(hidden.sum(1)),
            "one image at a time": lambda: torch.stack([torch.relu(one[None]) for one in hidden]),
            "no image": lambda: torch.relu(self.last.weight),
            "whole numbers": lambda: torch.relu((10 * hidden).long()),
        }[self.kind]()
        return self.last(hidden) + 0 * extra.sum()  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["one number for each image", "no image", "whole numbers"])
def test_a_layer_that_cannot_be_measured_is_named(kind: str) -> None:
    found = looked(Odd(kind))
    assert list(found.left_out) == ["relu()"]
    assert not found.unwatched


def test_calls_of_one_image_each_are_left_out() -> None:
    found = looked(Odd("one image at a time"))
    assert set(found.left_out) == {"relu()", "relu()#2", "relu()#3"}


def test_without_probes_layers_are_not_looked_at() -> None:
    assert looked(Odd("whole numbers"), probes=False) == Behaviour(looked_at=True)
