"""LA-SiLU and LA-HardSiLU: against the published outputs, the definitions and numeric derivatives."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import LAHardSiLU, LASiLU, LayerAct, activation_slope, get_activation
from robustbench_act.errors import InputError
from tests.references import activations as reference

LAYERACT = ("la_silu", "la_hardsilu")
Golden = dict[str, npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def golden(shared: Callable[[str], Path]) -> Golden:
    with np.load(shared("reference/layeract/layeract_ops.npz")) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(("alpha", "suffix"), [(1e-5, ""), (0.1, "_alpha0.1")])
@pytest.mark.parametrize("name", LAYERACT)
@pytest.mark.parametrize("case", range(3))
def test_outputs_equal_the_authors(golden: Golden, case: int, name: str, alpha: float, suffix: str) -> None:
    out = get_activation(name, alpha=alpha)(torch.from_numpy(golden[f"{case}/input"]))
    np.testing.assert_allclose(out.numpy(), golden[f"{case}/{name}{suffix}/output"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("alpha", "suffix"), [(1e-5, ""), (0.1, "_alpha0.1")])
@pytest.mark.parametrize("name", LAYERACT)
@pytest.mark.parametrize("case", range(3))
def test_the_gradient_is_exact_and_the_authors_is_not(
    golden: Golden, case: int, name: str, alpha: float, suffix: str
) -> None:
    y, upstream = golden[f"{case}/input"], golden[f"{case}/grad_output"]
    theirs = golden[f"{case}/{name}{suffix}/grad"]
    x = torch.from_numpy(y).requires_grad_()
    get_activation(name, alpha=alpha)(x).backward(torch.from_numpy(upstream))
    assert x.grad is not None
    wide = y.astype(np.float64), upstream.astype(np.float64)
    exact = reference.layeract_gradient(name, *wide, alpha, authors=False)
    approximate = reference.layeract_gradient(name, *wide, alpha, authors=True)
    np.testing.assert_allclose(x.grad.numpy(), exact, atol=1e-5, rtol=0)
    np.testing.assert_allclose(theirs, approximate, atol=1e-5, rtol=0)
    assert np.abs(exact - approximate).max() > 5e-5  # far more than rounding: the difference is theirs


@pytest.mark.parametrize("alpha", [1e-5, 0.1])
@pytest.mark.parametrize("name", LAYERACT)
@pytest.mark.parametrize("shape", [(5, 3, 17, 11), (4, 2), (3, 40)])
def test_against_the_definition(name: str, alpha: float, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    y, upstream = 3 * generator.normal(size=shape) + 1, generator.normal(size=shape)
    x = torch.from_numpy(y).requires_grad_()
    out = get_activation(name, alpha=alpha)(x)
    out.backward(torch.from_numpy(upstream))
    np.testing.assert_allclose(out.detach().numpy(), reference.layeract(name, y, alpha), atol=1e-10)
    assert x.grad is not None
    expected = reference.layeract_gradient(name, y, upstream, alpha, authors=False)
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("name", LAYERACT)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_first_and_second_derivative(name: str, memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = x.to(memory_format=memory_format).requires_grad_()
    act = get_activation(name, alpha=0.1)
    assert torch.autograd.gradcheck(act, x)
    assert torch.autograd.gradgradcheck(act, x)


def test_the_hard_gate_saturates_on_both_sides() -> None:
    x = torch.zeros(1, 100, dtype=torch.float64)
    x[0, 0], x[0, 1] = 10, -10  # n = +-7: beyond the gate's edges at +-3
    x.requires_grad_()
    out = LAHardSiLU()(x)
    assert out[0, :2].tolist() == [10, 0]
    assert torch.autograd.gradcheck(LAHardSiLU(), x)


@pytest.mark.parametrize("name", LAYERACT)
def test_vmap_over_samples(name: str) -> None:
    act = get_activation(name)
    x = torch.randn(5, 4, 3, 2, 2, generator=torch.Generator().manual_seed(0))

    def energy(part: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, act(part).square().sum())

    expected = torch.func.grad(energy)(x.flatten(0, 1)).view_as(x)
    torch.testing.assert_close(torch.vmap(torch.func.grad(energy))(x), expected)


@pytest.mark.parametrize("name", LAYERACT)
def test_statistics_of_half_precision_do_not_overflow(name: str) -> None:
    y = (300 * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))).half()  # y^2 > 65504
    x = y.clone().requires_grad_()
    out = get_activation(name)(x)
    out.backward(torch.ones_like(out))
    expected = get_activation(name)(y.double())
    torch.testing.assert_close(out.double(), expected, rtol=2e-3, atol=1e-2)
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("act", [LASiLU(), LAHardSiLU()])
def test_a_constant_sample_is_halved(act: nn.Module) -> None:
    x = torch.full((2, 3, 4, 4), 5.0, requires_grad=True)
    out = act(x)
    out.sum().backward()
    assert torch.equal(out, torch.full_like(out, 2.5))
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_only_the_input_is_saved() -> None:
    saved: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    x = torch.randn(4, 3, 8, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        LASiLU()(x)
    assert [tensor.data_ptr() for tensor in saved] == [x.data_ptr()]


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_bad_alpha(alpha: float) -> None:
    with pytest.raises(InputError, match=f"LASiLU expects a positive finite alpha, got {alpha}"):
        LASiLU(alpha)


@pytest.mark.parametrize("shape", [(4, 1), (4, 1, 1, 1), (4, 0), (4,), ()])
def test_too_few_elements(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least 2 elements per sample") as error:
        LAHardSiLU()(torch.zeros(shape))
    assert str(shape) in str(error.value)


def test_integers_are_refused() -> None:
    with pytest.raises(InputError, match=r"LASiLU expects floats .* got torch\.int64"):
        LASiLU()(torch.ones(2, 3, dtype=torch.long))


# Any gate.


class ChannelGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor([0.5, 1.0, 2.0]))

    def forward(self, n: Tensor) -> Tensor:
        return torch.sigmoid(self.steepness.view(-1, 1, 1) * n)


def samples(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64) + 0.3


@pytest.mark.parametrize("alpha", [1e-5, 0.1])
def test_any_gate_against_the_definition(alpha: float) -> None:
    y, gate = samples(3, 3, 5, 4), ChannelGate().double()
    steepness = np.array([0.5, 1.0, 2.0])[:, None, None]
    for act, s in (
        (LayerAct(torch.tanh, alpha), np.tanh),
        (LayerAct(gate=gate, alpha=alpha), lambda n: 1 / (1 + np.exp(-steepness * n))),
    ):
        expected = [one * s(reference._normalized(one, alpha)[0]) for one in y.numpy()]
        np.testing.assert_allclose(act(y).detach().numpy(), np.stack(expected), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("gate", [torch.tanh, ChannelGate(), F.softplus])
def test_derivatives_of_any_gate_are_exact(gate: Callable[[Tensor], Tensor]) -> None:
    act = LayerAct(gate).double()
    y = samples(2, 3, 2, 2).requires_grad_()
    inputs = (y, *act.parameters())
    assert torch.autograd.gradcheck(lambda y, *_: act(y), inputs)
    assert torch.autograd.gradgradcheck(lambda y, *_: act(y), inputs)
    jacobian = torch.func.jacrev(act)(y.detach()).reshape(24, 24)
    torch.testing.assert_close(activation_slope(act, y), jacobian.diagonal().view(y.shape))


@pytest.mark.parametrize(
    ("kind", "gates"),
    [
        (LASiLU, [torch.sigmoid, F.sigmoid, nn.Sigmoid()]),
        (LAHardSiLU, [F.hardsigmoid, nn.Hardsigmoid()]),
    ],
)
def test_the_papers_gates_are_the_papers_activations_to_the_bit(
    kind: type[LASiLU] | type[LAHardSiLU], gates: list[Callable[[Tensor], Tensor]]
) -> None:
    y = samples(4, 3, 5, 4).float().requires_grad_()
    expected = kind()(y)
    (gradient,) = torch.autograd.grad(expected.sum(), y)
    for gate in gates:
        out = LayerAct(gate)(y)
        assert out.equal(expected)
        assert torch.autograd.grad(out.sum(), y)[0].equal(gradient)
    plain = LayerAct(lambda n: gates[0](n) + 0)  # without the fused operation
    torch.testing.assert_close(plain(y), expected)
    moved = y.detach().clone(memory_format=torch.channels_last)
    assert plain(moved).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain(moved), expected)


def test_wrong_gates() -> None:
    y = samples(2, 3)
    with pytest.raises(InputError, match="LayerAct expects a callable gate, got 'sigmoid'"):
        LayerAct("sigmoid")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"gate that returns the shape that it takes, \(2, 3\), got \(2,\)"):
        LayerAct(lambda n: n.sum(1))(y)
    with pytest.raises(InputError, match="the gate of LayerAct depends on other elements"):
        activation_slope(LayerAct(lambda n: n.softmax(1)), y)
    assert repr(LayerAct(torch.tanh, 0.1)) == "LayerAct(gate=tanh, alpha=0.1)"
