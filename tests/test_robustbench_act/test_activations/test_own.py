"""Activation classes of a network's own are told from all else by what they do."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import activation_layers, replace_activations


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


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.exp(), x


class Dropped(nn.Sequential):
    """An activation and its dropout."""

    def __init__(self) -> None:
        super().__init__(nn.ReLU(), nn.Dropout())


def layers_of(module: nn.Module) -> list[str]:
    return [path for path, _ in activation_layers(nn.ModuleDict({"act": module}))]


@pytest.mark.parametrize("kind", [InPlaceSwish, SlopePerChannel, HardSwish])
def test_what_acts_like_an_activation_is_one(kind: type[nn.Module]) -> None:
    assert layers_of(kind()) == ["act"]


@pytest.mark.parametrize("kind", [Normaliser, Scale, Gate, Pair])
def test_what_does_not_is_none(kind: type[nn.Module]) -> None:
    assert layers_of(kind()) == []


def test_the_activation_in_a_wrapper_is_the_layer() -> None:
    assert layers_of(Dropped()) == ["act.0"]
    replaced = replace_activations(Dropped(), "silu").children()
    assert [type(module) for module in replaced] == [nn.SiLU, nn.Dropout]


def test_own_classes_are_replaced_whole() -> None:
    replaced = replace_activations(nn.Sequential(HardSwish(), Gate()), "silu").children()
    assert [type(module) for module in replaced] == [nn.SiLU, Gate]
