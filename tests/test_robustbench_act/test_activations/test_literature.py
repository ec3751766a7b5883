"""The literature's activations against their papers' formulas: values and all gradients."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustbench_act.activations import activation_layers, list_activations
from robustbench_act.activations.adaptive import AconC, DyT, FReLU, MetaAcon, Snake
from robustbench_act.activations.registry import get_activation
from robustbench_act.errors import InputError
from robustbench_act.models import build_model
from tests.references import literature as reference
from tests.references.literature import exact, gradients, rounded
from tests.test_robustbench_act.test_activations.test_contract import made

ALLOWED = 4e-15
"""Largest deviation of a value or of the input's gradient; relative to it above 1."""
OF_PARAMETERS = 2e-13
"""Of the gradients of learnt numbers, which are sums; where sigmoids are near 1, 1 - s has few digits."""
SOFTPLUS = 2.1e-9  # torch returns x itself above its threshold of 20: log(1 + exp(-20)) less

POINTS = np.concatenate([np.linspace(-12, 12, 48), [-40, -25, -20.5, 20.5, 25, 40]])


def deviation(found: Tensor, expected: reference.Array) -> float:
    wanted = rounded(expected)
    return float((np.abs(found.detach().numpy() - wanted) / np.maximum(1, np.abs(wanted))).max())


def compare(
    act: nn.Module,
    formula: Callable[..., reference.Array],
    x: Tensor,
    names: Mapping[str, Tensor],
    *,
    alone: bool = False,
    allowed: float = ALLOWED,
) -> list[float]:
    """Compare values and all gradients; return the deviations: forward, input's gradient, parameters'.

    `alone`: each value depends on its own input alone.
    """
    upstream = torch.linspace(-1, 1.5, x.numel(), dtype=torch.float64).view(x.shape)
    x = x.clone().requires_grad_()
    out = act(x)
    found = torch.autograd.grad(out, [x, *names.values()], upstream)
    parameters = {name: exact(own.detach().numpy()) for name, own in names.items()}

    def of(values: reference.Array, others: reference.Parameters) -> reference.Array:
        return formula(values, **others)

    plain = exact(x.detach().numpy())
    expected = gradients(of, plain, exact(upstream.numpy()), parameters, alone=alone)
    deviations = [deviation(out, of(plain, parameters))]
    deviations += [deviation(own, expected[name]) for name, own in zip(["x", *names], found, strict=True)]
    assert max(deviations[:2]) <= allowed, deviations
    assert max(deviations[2:], default=0) <= OF_PARAMETERS, deviations
    return deviations


@pytest.mark.parametrize("name", reference.ELEMENT_WISE)
def test_element_wise(name: str) -> None:
    formula, values = reference.ELEMENT_WISE[name]
    act = get_activation(name, **values).double().eval()
    for parameter, value in values.items():
        act.get_parameter(parameter).data.fill_(value)
    x = torch.from_numpy(POINTS)[:, None]
    allowed = SOFTPLUS if name == "softplus" else ALLOWED
    compare(act, formula, x, dict(act.named_parameters()), alone=True, allowed=allowed)


def images(seed: int = 0) -> Tensor:
    return torch.randn(2, 3, 3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shaken(act: nn.Module) -> nn.Module:
    """The same with other parameters and running statistics than its initial ones."""
    generator = torch.Generator().manual_seed(1)
    for tensor in (*act.parameters(), *(one for one in act.buffers() if one.is_floating_point())):
        tensor.data.add_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype))
    return act


def test_acon_c_and_dyt() -> None:
    for act, formula in ((AconC(3), reference.acon_c), (DyT(3), reference.dyt)):
        shaken(act.double())
        compare(act, formula, images(), dict(act.named_parameters()))


def test_meta_acon() -> None:
    act = shaken(MetaAcon(3, reduction=2).double())
    names = {key.removesuffix(".weight"): own for key, own in act.named_parameters()}
    compare(act, reference.meta_acon, images(), names)


@pytest.mark.parametrize("training", [True, False])
def test_frelu(training: bool) -> None:
    act = FReLU(3).double()
    shaken(act).train(training)
    norm = (
        {} if training else {name: exact(act.norm.get_buffer(f"running_{name}")) for name in ("mean", "var")}
    )

    def formula(x: reference.Array, weight: reference.Array, **others: reference.Array) -> reference.Array:
        return reference.frelu(x, weight[:, 0], **others, **norm)

    names = {"weight": act.window.weight, "gamma": act.norm.weight, "shift": act.norm.bias}
    assert act.window.bias is not None
    compare(act, formula, images(), names | {"bias": act.window.bias})


def test_channels_of_transformers_are_the_last_axis() -> None:
    tokens = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(3))
    for act in (AconC(3), MetaAcon(3), DyT(3)):
        torch.testing.assert_close(act(tokens), act(tokens.transpose(1, 2)).transpose(1, 2))
        with pytest.raises(
            InputError, match=r"expects floats with 3 channels .*, got torch.float32 of shape \(2, 4\)"
        ):
            act(torch.zeros(2, 4))
    with pytest.raises(InputError, match=r"FReLU expects images \(N, 3, H, W\), got \(2, 5, 3\)"):
        FReLU(3)(tokens)
    with pytest.raises(InputError, match="AconC expects a positive number of channels, got 0"):
        AconC(0)


@pytest.mark.parametrize("act", [MetaAcon(3, reduction=2), FReLU(3)], ids=["meta_acon", "frelu"])
def test_declared_derivative_is_the_diagonal_of_the_jacobian(act: MetaAcon | FReLU) -> None:
    act, x = shaken(act.double().eval()), images(4)  # type: ignore[assignment]
    jacobian = torch.func.jacrev(act)(x).reshape(x.numel(), x.numel())
    torch.testing.assert_close(act.derivative(x), jacobian.diagonal().view(x.shape))


def test_rrelu_draws_in_training_and_takes_the_middle_in_evaluation() -> None:
    x = torch.full((100_000,), -1.0, dtype=torch.float64, requires_grad=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        slopes = -get_activation("rrelu")(x)
    assert torch.autograd.grad(-slopes.sum(), x)[0].equal(slopes)
    shares = (slopes.detach().sort().values - 1 / 8) / (1 / 3 - 1 / 8)
    assert (shares - torch.linspace(0, 1, len(x))).abs().max() < 1.95 / len(x) ** 0.5  # Kolmogorov, p = 0.001


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", list_activations())
def test_far_inputs_give_numbers(name: str, dtype: torch.dtype) -> None:
    act = made(name).to(dtype)
    x = torch.tensor([-1e4, -90, -20, -1, 0, 1, 20, 90, 1e4], dtype=dtype).repeat(2, 3, 2, 1).requires_grad_()
    out = act(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert out.isfinite().all()
    assert gradient.isfinite().all()


def test_snake_has_no_period_of_nothing() -> None:
    with pytest.raises(InputError, match="Snake expects a finite a other than 0, got 0"):
        Snake(0)


@pytest.mark.parametrize("name", ["acon_c", "meta_acon", "frelu", "dyt"])
def test_networks_give_each_layer_its_channels(name: str) -> None:
    network = build_model("cifar:resnet8?width=2", activation=name, classes=3, channels=1)
    network(torch.rand(4, 1, 8, 8)).square().sum().backward()
    layers = [layer for _, layer in activation_layers(network)]
    assert {layer.channels for layer in layers} == {2, 4, 8}
    assert all(own.grad is not None and own.grad.isfinite().all() for own in network.parameters())


@pytest.mark.parametrize(
    ("act", "initial"),
    [
        (get_activation("swish"), {"beta": 1}),
        (get_activation("swish", beta=2), {"beta": 2}),
        (get_activation("smu"), {"mu": 1e6}),
        (get_activation("snake"), {"a": 0.5}),
        (AconC(3), {"beta": 1}),
        (DyT(3), {"alpha": 0.5, "weight": 1, "bias": 0}),
    ],
)
def test_learning_starts_where_the_papers_do(act: nn.Module, initial: dict[str, float]) -> None:
    for name, value in initial.items():
        assert (act.get_parameter(name) == value).all()


def test_meta_acon_squeezes_channels() -> None:
    shapes = [MetaAcon(channels).squeeze.weight.shape for channels in (64, 8)]
    assert shapes == [(4, 64), (1, 8)]
