"""ANAct: against the definition over several batches, and where batches tell nothing."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import NormalizedActivation, NReLU, NSwish
from robustbench_act.activations.adaptive import AconC
from robustbench_act.errors import InputError
from tests.references.activations import Anact

PAIRS = [(NReLU, "relu"), (NSwish, "silu")]


def batch(seed: int, *, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    normal = torch.randn(6, 3, 17, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return scale * normal + shift


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_against_the_definition(kind: Callable[[], NormalizedActivation], name: str) -> None:
    act, expected = kind().double(), Anact(name, a=0.7)
    with torch.no_grad():
        act.scale.fill_(0.7)
    shifts = (0.0, 0.5, -1.0, 3.0, 3.0, -3.0)  # so that rho jumps by more than the clip allows
    for seed, shift in enumerate(shifts):
        x = batch(seed, scale=1 + seed, shift=shift)
        np.testing.assert_allclose(act(x).detach().numpy(), expected(x.numpy(), training=True), rtol=1e-10)
    act.eval()
    x = batch(99)
    np.testing.assert_allclose(act(x).detach().numpy(), expected(x.numpy(), training=False), rtol=1e-10)
    assert math.isclose(act.mu.item(), expected.mu, rel_tol=1e-10)
    assert math.isclose(act.rho.item(), expected.rho, rel_tol=1e-10)
    assert math.isclose(act.rho_prime.item(), expected.rho_prime, rel_tol=1e-10)


@pytest.mark.parametrize("f", [F.relu, torch.relu, F.silu, torch.tanh, F.gelu, nn.SiLU(), nn.ELU()])
def test_the_slope_is_the_derivative(f: Callable[[Tensor], Tensor]) -> None:
    x = batch(0)
    act = NormalizedActivation(f).double()
    act(x)
    slope = (f(x + 1e-6) - f(x - 1e-6)) / 2e-6
    assert math.isclose(act.rho_prime.item(), slope.square().mean().item(), rel_tol=1e-6)


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_no_gradient_flows_through_the_statistics(
    kind: Callable[[], NormalizedActivation], name: str
) -> None:
    act = kind().double()
    x = batch(0).requires_grad_()
    out = act(x)
    out.sum().backward()
    y = x.detach().clone().requires_grad_()
    torch.autograd.backward((act.gain().item() * (F.relu(y) if name == "relu" else F.silu(y))).sum())
    torch.testing.assert_close(x.grad, y.grad)
    assert act.scale.grad is not None
    assert math.isclose(act.scale.grad.item(), 0.3 * (out / act.gain()).sum().item(), abs_tol=1e-9)
    assert not any(buffer.requires_grad for buffer in act.buffers())


def test_it_works_under_double_backward_and_inference_mode() -> None:
    x = batch(0).requires_grad_()
    (first,) = torch.autograd.grad(NSwish().double()(x).sum(), x, create_graph=True)
    torch.autograd.backward(first.square().sum())
    assert x.grad is not None
    with torch.inference_mode():
        NormalizedActivation(torch.tanh).double()(batch(1))


def test_the_normalised_function_keeps_the_variance() -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    act = NReLU()
    act(x)
    # For a standard normal, rho = rho' = 1/2, so lambda = sqrt(2), and mu = 1/sqrt(2 pi).
    assert math.isclose(act.rho.item(), 0.5, rel_tol=0.02)
    assert math.isclose(act.rho_prime.item(), 0.5, rel_tol=0.02)
    assert math.isclose(act.gain().item(), math.sqrt(2), rel_tol=0.02)
    assert math.isclose(act.mu.item(), 1 / math.sqrt(2 * math.pi), rel_tol=0.02)


def state(act: nn.Module) -> dict[str, float]:
    return {name: value.item() for name, value in act.state_dict().items()}


@pytest.mark.parametrize(
    "useless",
    [
        torch.full((4, 3), 2.0),  # no variance
        -torch.rand(4, 3),  # ReLU dead: rho = rho' = 0
        torch.tensor([[1.0, math.nan]]),
        torch.tensor([[1.0, math.inf]]),
        torch.zeros(0, 3),
        torch.zeros(4, 3),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_a_batch_that_tells_nothing_is_not_taken(useless: Tensor, before: int) -> None:
    act = NReLU()
    for seed in range(before):
        act(batch(seed).float())
    kept = state(act)
    act(useless)
    assert state(act) == kept
    assert act(batch(9).float()).isfinite().all()
    assert act.initialized.item()


def test_a_function_without_slope_is_not_taken() -> None:
    act = NormalizedActivation(torch.sign)
    act(batch(0).float())
    assert not act.initialized


@pytest.mark.parametrize("f", [F.relu, torch.tanh])
def test_statistics_of_half_precision_do_not_overflow(f: Callable[[Tensor], Tensor]) -> None:
    x = (300 * batch(0)).half()  # x^2 > 65504
    act, wide = NormalizedActivation(f), NormalizedActivation(f).double()
    out = act(x)
    wide(x.double())
    assert out.dtype == torch.float16
    assert out.isfinite().all()
    for name in ("mu", "rho", "rho_prime"):
        assert math.isclose(getattr(act, name).item(), getattr(wide, name).item(), rel_tol=2e-3, abs_tol=2e-3)


def test_a_lasting_jump_is_followed_and_an_outlier_is_not() -> None:
    act = NReLU().double()
    act(batch(0))
    rho = act.rho.item()
    act(batch(1, shift=30))  # rho is about 900
    assert math.isclose(act.rho.item(), 1.02 * rho, rel_tol=1e-9)
    for seed in range(500):
        act(batch(seed, shift=30))
    assert math.isclose(act.rho.item(), 901, rel_tol=0.02)
    assert math.isclose(act.mu.item(), 30, rel_tol=0.01)


def test_parameters_change_what_they_name() -> None:
    first, second = batch(0), batch(1, shift=5)
    loose = NReLU(momentum=0.5, clip=(0.01, 100)).double()
    loose(first)
    rho = loose.rho.item()
    loose(second)
    fresh = NReLU().double()
    fresh(second)
    assert math.isclose(loose.rho.item(), (rho + fresh.rho.item()) / 2, rel_tol=1e-9)
    free = NReLU(bound=2.0)
    with torch.no_grad():
        free.scale.fill_(100)
    assert free.eval()(torch.tensor([1.0])).item() == 3.0  # lambda = 1, mu = 0
    dull = NReLU(eps=0.9)  # rho of noise is about 1/2: not taken
    dull(torch.randn(100))
    assert not dull.initialized


def test_a_module_inside_keeps_its_state() -> None:
    act = NormalizedActivation(nn.PReLU())
    act(batch(0).float()).sum().backward()
    assert set(act.state_dict()) == {"mu", "rho", "rho_prime", "initialized", "scale", "f.weight"}
    twin = copy.deepcopy(act)
    twin(batch(1).float())
    assert twin.mu.item() != act.mu.item()
    assert repr(act).count("PReLU") == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"momentum": 1.0}, r"NReLU expects a momentum in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, "momentum"),
        ({"bound": -1.0}, "NReLU expects a bound of at least 0, got -1.0"),
        ({"bound": math.nan}, "bound"),
        ({"clip": (1.1, 1.2)}, r"NReLU expects clip .* got \(1.1, 1.2\)"),
        ({"clip": (0.0, 1.2)}, "clip"),
        ({"clip": (0.8, 0.9)}, "clip"),
        ({"eps": 0.0}, r"NReLU expects eps in \(0, 1\), got 0.0"),
    ],
)
def test_bad_parameters(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NReLU(**parameters)  # type: ignore[arg-type]


def test_f_must_be_callable() -> None:
    with pytest.raises(InputError, match="NormalizedActivation expects a callable f, got 'relu'"):
        NormalizedActivation("relu")  # type: ignore[arg-type]


class Counting(nn.Module):
    """Per channel, with state: it counts its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.acon = AconC(3)
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.batches.add_(1)  # type: ignore[operator]
        return self.acon(x)  # type: ignore[no-any-return]


def test_any_module_inside() -> None:
    """Parameters per channel, state of its own, statistics by hand; derivatives of first and second order."""
    f = Counting().double()
    act, x = NormalizedActivation(f).double(), batch(4)[:2, :, :3, :2].clone().requires_grad_()
    out = act(x)
    assert f.batches == 1
    jacobian = torch.func.jacrev(f.acon)(x.detach()).reshape(x.numel(), x.numel())
    y = f.acon(x)
    torch.testing.assert_close(act.mu, y.mean().detach())
    torch.testing.assert_close(act.rho, (y.square().mean() / x.var(correction=0)).detach())
    torch.testing.assert_close(act.rho_prime, jacobian.diagonal().square().mean())
    gain = ((act.rho + act.rho_prime) / (2 * act.rho * act.rho_prime)).sqrt()
    inputs = (x, *f.parameters())
    for one, other in ((out, gain * (y - act.mu)), (act.eval()(x), gain * (y - act.mu))):
        torch.testing.assert_close(one, other)
        pair = [torch.autograd.grad(z.square().sum(), inputs, create_graph=True) for z in (one, other)]
        torch.testing.assert_close(*pair)
        torch.testing.assert_close(
            *(torch.autograd.grad(z[0].square().sum(), inputs, retain_graph=True) for z in pair)
        )


@pytest.mark.parametrize("f", [nn.ReLU(inplace=True), torch.tanh_])
def test_an_f_that_works_in_place_is_refused(f: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(InputError, match="NormalizedActivation expects an f that leaves its input as it is"):
        NormalizedActivation(f)(batch(4))
