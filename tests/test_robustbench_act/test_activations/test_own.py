"""Activation classes of a network's own are told from all else by what they do."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import activation_layers, replace_activations
from tests.test_robustbench_act.test_activations.networks import (
    FunctionalGate,
    HSigmoid,
    HSwish,
    SqueezeExcitation,
)


class InPlaceSwish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(torch.sigmoid(x))


class SlopePerChannel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((16, 1, 1), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, x * self.weight)


class HardSwish(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(x)
        return x * gate


class Normaliser(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x)


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((16, 1, 1), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x / 6 + 0.5).clamp(0, 1)


class Small(nn.Module):
    """Within [0, 1] only near zero."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return 0.1 * self.relu(x)  # type: ignore[no-any-return]


class LearnedSlope(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, x * self.value)


class LearnedSwish(LearnedSlope):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.value * x)


class LearnedScale(LearnedSlope):
    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.value * self.relu(x)  # type: ignore[no-any-return]


class LearnedGate(LearnedSlope):
    """Within [0, 1] while its parameter is."""

    def forward(self, x: Tensor) -> Tensor:
        return self.value * torch.sigmoid(x)


class LearnedShare(LearnedSlope):
    """Takes no parameter outside (0, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.logit(self.value) * x.relu()


class FixedSlope(nn.Module):
    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.exp(), x


class Dropped(nn.Sequential):
    """An activation and its dropout."""

    def __init__(self) -> None:
        super().__init__(nn.ReLU(), nn.Dropout())


def layers_of(module: nn.Module) -> list[str]:
    return [path for path, _ in activation_layers(nn.ModuleDict({"act": module}))]


@pytest.mark.parametrize("kind", [InPlaceSwish, SlopePerChannel, HardSwish, HSwish, Small])
def test_what_acts_like_an_activation_is_one(kind: type[nn.Module]) -> None:
    assert layers_of(kind()) == ["act"]


@pytest.mark.parametrize("kind", [Normaliser, Scale, Gate, HSigmoid, Pair])
def test_what_does_not_is_none(kind: type[nn.Module]) -> None:
    assert layers_of(kind()) == []


def test_the_activation_in_a_wrapper_is_the_layer() -> None:
    assert layers_of(Dropped()) == ["act.0"]
    replaced = replace_activations(Dropped(), "silu").children()
    assert [type(module) for module in replaced] == [nn.SiLU, nn.Dropout]


def test_own_classes_are_replaced_whole() -> None:
    replaced = replace_activations(nn.Sequential(HardSwish(), Gate()), "silu").children()
    assert [type(module) for module in replaced] == [nn.SiLU, Gate]


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.25, 1.0, float("nan")])
@pytest.mark.parametrize("kind", [LearnedSlope, LearnedSwish, LearnedScale, LearnedGate])
def test_parameters_do_not_decide(kind: type[LearnedSlope], value: float) -> None:
    """Some of these are linear at present, or do what the module inside does."""
    module = kind(value)
    assert layers_of(module) == ["act"]
    assert module.value.item() == pytest.approx(value, nan_ok=True, rel=0)


def test_its_own_parameters_are_tried_if_others_are_impossible() -> None:
    assert layers_of(LearnedShare(0.25)) == ["act"]


def test_an_attribute_decides_as_it_is_now() -> None:
    module = FixedSlope(1)
    found = []
    for slope in (1, 0.1, 1):
        module.slope = slope
        found.append(layers_of(module))
    assert found == [[], ["act"], []]


def test_a_gate_stays_with_what_it_holds_and_calls() -> None:
    for gate in (HSigmoid(), FunctionalGate(), nn.Hardsigmoid()):
        network = nn.Sequential(SqueezeExcitation(gate), HSwish())
        before = gate(torch.linspace(-5, 5, 9))
        replace_activations(network, "silu")
        assert [(path, type(module)) for path, module in activation_layers(network)] == [
            ("0.act", nn.SiLU),
            ("1", nn.SiLU),
        ]
        assert torch.equal(gate(torch.linspace(-5, 5, 9)), before)
