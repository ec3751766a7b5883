"""Slopes against the whole Jacobian: of activations that see their layer, and of declared derivatives."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import LASiLU, NormalizedActivation, activation_slope
from robustbench_act.activations._jacobian import jacobian_diagonal
from robustbench_act.errors import InputError
from robustbench_act.probes import Probe


class OverLayer(nn.SiLU):
    """SiLU of the input normalised over its layer."""

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(1, x.ndim))
        return F.silu((x - x.mean(axes, keepdim=True)) / x.std(axes, keepdim=True))


class OverGroups(nn.Module):
    """ReLU, scaled by a learnt root mean square of four groups of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.reshape(len(x), 4, -1)
        scaled = grouped / (grouped.square().mean(2, keepdim=True) + 0.1).sqrt()
        return F.relu(self.gain * scaled).view(x.shape)


class OverMaximum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / x.flatten(1).amax(1).view(-1, *[1] * (x.ndim - 1)))


class OnePair(nn.Module):
    """One output sees one other input."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1).tanh()
        return torch.cat([y[:, :-1], y[:, -1:] * x.flatten(1)[:, 3:4]], 1).view(x.shape)


class OverChannels(nn.Module):
    """Normalised over the channels of each place, as in a transformer's tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x / (x.square().mean(1, keepdim=True) + 0.1).sqrt())


class OverPlaces(nn.Module):
    """Normalised over the places of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return F.relu((flat - flat.mean(2, keepdim=True)) / (flat.std(2, keepdim=True) + 0.1)).view(x.shape)


class Neighbours(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.avg_pool2d(x, 3, 1, 1))


class OverBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x - x.mean(0))


class Cube(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**3

    def derivative(self, x: Tensor) -> Tensor:
        return 3 * x.square()


class WrongCube(Cube):
    def derivative(self, x: Tensor) -> Tensor:
        return 2 * x.square()


class FlatCube(Cube):
    def derivative(self, x: Tensor) -> Tensor:
        return (3 * x.square()).mean()


class StraightThrough(nn.Module):
    """Autograd sees the identity, the slope is that of the step's smooth part."""

    def forward(self, x: Tensor) -> Tensor:
        return x + (torch.tanh(x) - x).detach()

    def derivative(self, x: Tensor) -> Tensor:
        return 1 - torch.tanh(x).square()


class Steeper(LASiLU):
    """What it inherits is not its derivative."""

    def forward(self, y: Tensor) -> Tensor:
        return super().forward(2 * y)


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5)) * 1.5 + 0.5


def diagonal(activation: nn.Module, x: Tensor) -> Tensor:
    twin, wide = activation.double(), x.double()
    jacobian = torch.func.jacrev(twin)(wide).reshape(x.numel(), x.numel())
    activation.float()
    return torch.as_tensor(jacobian.diagonal().reshape(x.shape).float())


@pytest.mark.parametrize("shape", [(3, 4, 2, 2), (3, 8, 5, 4), (3, 96)])
@pytest.mark.parametrize("kind", [OverLayer, OverGroups, OverMaximum, OnePair, LASiLU])
def test_slope_of_an_activation_that_sees_its_layer(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    activation, x = kind(), images(*shape)
    torch.testing.assert_close(activation_slope(activation, x), diagonal(activation, x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 70, 3, 2), (2, 40, 9, 8)])
@pytest.mark.parametrize("kind", [OverChannels, OverPlaces])
def test_slope_of_an_activation_that_sees_a_block_of_its_layer(
    kind: type[nn.Module], shape: tuple[int, ...]
) -> None:
    activation, x = kind(), images(*shape).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found = activation_slope(activation, x)
    for i in range(0, x[0].numel(), 97):  # some rows of the whole Jacobian
        leaf = x.double().contiguous().requires_grad_()
        (row,) = torch.autograd.grad(activation(leaf).flatten(1)[:, i].sum(), leaf)
        torch.testing.assert_close(
            found.flatten(1)[:, i].double(), row.flatten(1)[:, i], atol=1e-6, rtol=1e-5
        )


def test_mean_square_slope_is_not_that_of_column_sums() -> None:
    activation, x = OverLayer(), images(4, 100)
    sums = torch.func.vjp(activation, x)[1](torch.ones_like(x))[0]
    true = diagonal(activation, x).square().mean()
    assert activation_slope(activation, x).square().mean().item() == pytest.approx(true.item(), rel=1e-5)
    assert sums.square().mean().item() < 0.9 * true.item()


@torch.no_grad()
def test_probes_measure_the_true_slopes_and_name_those_that_they_cannot() -> None:
    x = images(5, 3, 9, 9)
    network = nn.Sequential(OverLayer(), Neighbours()).eval()
    with Probe(network, axes={}) as probe:
        network(x)
    ((name, reason),) = probe.left_out.items()
    assert name == "slopes of 1"
    assert reason.startswith("an output depends on many inputs")
    first, second = probe.to_frame().to_dict("records")
    slopes = diagonal(OverLayer(), x)
    assert first["rho_prime"] == pytest.approx(slopes.square().mean().item(), rel=1e-5)
    assert first["saturated"] == pytest.approx((slopes.abs() < 0.1).double().mean().item(), rel=1e-6)
    unknown = ("saturated", "dead", "rho_prime", "lambda", "normalized_rho", "normalized_rho_prime")
    assert all(math.isnan(second[column]) for column in unknown)
    assert second["rho"] > 0
    assert second["n"] == 5
    with pytest.raises(InputError, match="Layer 1: an output depends on many inputs"), Probe(network):
        network(x)


def test_large_layers_equal_the_closed_form() -> None:
    act, x = LASiLU(), images(5, 16, 20, 20).double()
    torch.testing.assert_close(
        jacobian_diagonal(act.forward, x, [1, 2, 3]), act.derivative(x), atol=1e-9, rtol=1e-7
    )


def test_what_is_not_known_is_an_error() -> None:
    with pytest.raises(InputError, match=r"an output depends on many inputs, .* a method derivative\(x\)"):
        activation_slope(Neighbours(), images(2, 3, 9, 9))
    with pytest.raises(InputError, match="its output for an image depends on other images"):
        activation_slope(OverBatch(), images(3, 5))


def test_declared_derivatives_are_used_and_checked() -> None:
    x = images(4, 30)
    torch.testing.assert_close(activation_slope(Cube(), x), 3 * x.square(), rtol=0, atol=0)
    torch.testing.assert_close(activation_slope(StraightThrough(), x), 1 - x.tanh().square())
    for kind, message in (
        (
            WrongCube,
            r"WrongCube.derivative\(x\) is neither the slope by autograd nor between .*: correct it",
        ),
        (
            FlatCube,
            r"FlatCube.derivative\(x\): expected a tensor of the shape of x, \(4, 30\), got shape \(\)",
        ),
        (Steeper, r"Steeper.derivative\(x\) is neither"),
    ):
        with pytest.raises(InputError, match=message):
            activation_slope(kind(), x)


def test_slope_of_what_a_normalized_activation_holds() -> None:
    activation, x = NormalizedActivation(OverLayer()).eval(), images(3, 4, 5, 5)
    torch.testing.assert_close(activation_slope(activation, x), diagonal(activation, x), atol=1e-6, rtol=1e-5)
