"""What every registered activation must keep, and the registry."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustbench_act.activations import activation_facts, get_activation, list_activations
from robustbench_act.activations.facts import FAMILIES, NATIVE, SHEET, ActivationFacts
from robustbench_act.activations.registry import FACTORIES, sizes_of
from robustbench_act.errors import InputError
from tests.pairwise import each_pair
from tests.references import activations as reference

NAMES = list_activations()


def made(name: str, channels: int = 3) -> nn.Module:
    """A fresh activation, twice the same, that draws no random numbers: RReLU does in training."""
    sizes = dict.fromkeys(sizes_of(name, {}), channels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return get_activation(name, **sizes).train(name != "rrelu")


OURS = [name for name in NAMES if not type(made(name)).__module__.startswith("torch.nn")]
PAPER = {
    "relu",
    "relu6",
    "leakyrelu",
    "prelu",
    "mish",
    "silu",
    "hardsilu",
    "la_silu",
    "la_hardsilu",
    "gelu",
    "elu",
}
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_the_registry_holds_the_papers_activations() -> None:
    assert set(NAMES) >= PAPER | {"nrelu", "nswish"}
    assert sorted(NAMES) == NAMES
    assert list_activations("n*") == ["nrelu", "nswish"]
    assert list_activations("nothing") == []


@pytest.mark.parametrize("name", NAMES)
def test_facts(name: str) -> None:
    facts = activation_facts(name)
    assert facts.name == name
    assert facts.label.replace("-", "_").lower() in (name, name.replace("_", ""))
    assert (facts.family == "LayerAct") == name.startswith("la_")
    assert facts.family in FAMILIES
    assert "\n" not in facts.formula
    sizes = dict.fromkeys(sizes_of(name, {}), 3)
    assert repr(get_activation(name, **sizes, **facts.parameters)) == repr(made(name).train())


@pytest.mark.parametrize("name", sorted(reference.ELEMENT_WISE))
def test_element_wise_against_the_definition(name: str) -> None:
    x = torch.linspace(-8, 8, 161, dtype=torch.float64)
    expected = reference.ELEMENT_WISE[name](x.numpy())
    np.testing.assert_allclose(made(name).double()(x).detach().numpy(), expected, atol=1e-12)


@each_pair(name=NAMES, shape=[(5, 3, 17, 11), (4, 7), (2, 3, 4, 5, 6)], dtype=DTYPES)
def test_shape_dtype_and_gradient(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if name == "frelu":  # it is for images
        shape = (5, 3, 17, 11)
    act = made(name, shape[1]).to(dtype)
    x = images(*shape, dtype=dtype).requires_grad_()
    before = x.detach().clone()
    out = act(x)
    torch.autograd.backward(out.sum())
    assert (out.shape, out.dtype) == (x.shape, dtype)
    assert out.isfinite().all()
    assert torch.equal(x.detach(), before)
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.any()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in act.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_near(name: str, dtype: torch.dtype) -> None:
    act, x = made(name), images(4, 3, 17, 11).to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        out = act(x)
    expected = made(name)(x.float())
    torch.testing.assert_close(out.float(), expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_autocast(name: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), made(name, 4), nn.Flatten(), nn.LazyLinear(2))
    x = images(4, 3, 17, 11)
    expected = network(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = network(x)
    out.float().sum().backward()
    torch.testing.assert_close(out.float(), expected, atol=0.05, rtol=0.1)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "memory_format"),
    [((4, 3, 17, 11), torch.channels_last), ((2, 3, 5, 4, 7), torch.channels_last_3d)],
)
def test_channels_last(name: str, shape: tuple[int, ...], memory_format: torch.memory_format) -> None:
    if name == "frelu":  # it is for images
        shape, memory_format = (4, 3, 17, 11), torch.channels_last
    x, grad = images(*shape), images(*shape, seed=1)
    plain, moved = x.clone().requires_grad_(), x.clone(memory_format=memory_format).requires_grad_()
    expected, out = made(name)(plain), made(name)(moved)
    expected.backward(grad)
    out.backward(grad)
    assert name == "rrelu" or out.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(out, expected)
    assert moved.grad is not None
    torch.testing.assert_close(moved.grad, plain.grad)


@pytest.mark.parametrize("name", NAMES)
def test_a_strided_view_gives_the_same_numbers(name: str) -> None:
    view = images(4, 17, 6, 11)[:, :, ::2].transpose(1, 3)
    act = made(name, view.shape[1])
    torch.testing.assert_close(act(view), act(view.contiguous()))


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_deterministic_and_per_sample(name: str) -> None:
    act = made(name)
    act(images(8, 3, 17, 11))
    act.eval()
    state = copy.deepcopy(act.state_dict())
    x = images(6, 3, 17, 11, seed=1)
    out = act(x)
    assert torch.equal(act(x), out)
    torch.testing.assert_close(torch.cat([act(part) for part in torch.split(x, 1)]), out)
    torch.testing.assert_close(act.state_dict(), state, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_deepcopy_and_state_dict(name: str) -> None:
    act = made(name)
    for seed in range(3):
        act(images(4, 3, 17, 11, seed=seed))
    fresh = made(name)
    fresh.load_state_dict(act.state_dict())
    x = images(4, 3, 17, 11, seed=9)
    twin = copy.deepcopy(act)
    assert torch.equal(fresh.eval()(x), act.eval()(x))
    assert torch.equal(twin.eval()(x), act(x))
    assert all(a is not b for a, b in zip(act.buffers(), twin.buffers(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_changes_nothing(name: str) -> None:
    act = made(name)
    if name == "frelu":  # in training its BatchNorm counts batches
        act.eval()
    state = copy.deepcopy(act.state_dict())
    out = act(torch.empty(0, 3, 17, 11))
    assert out.shape == (0, 3, 17, 11)
    torch.testing.assert_close(act.state_dict(), state, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["la_silu", "la_hardsilu", "nrelu", "nswish", "swish", "meta_acon"])
def test_compiles_as_one_graph(name: str) -> None:
    torch.compiler.reset()  # all of torch.nn shares one limit of recompilations
    eager, act = made(name), made(name)
    compiled = torch.compile(act, fullgraph=True)
    for seed in range(2):
        x = images(4, 3, 17, 11, seed=seed).requires_grad_()
        y = x.detach().clone().requires_grad_()
        out, expected = compiled(x), eager(y)
        out.square().sum().backward()
        expected.square().sum().backward()
        torch.testing.assert_close(out, expected)
        torch.testing.assert_close(x.grad, y.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(act.state_dict(), eager.state_dict())


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("la_slu", {}, "Unknown activation 'la_slu'. Did you mean 'la_silu'?"),
        ("xyz", {}, "Unknown activation 'xyz'. Choose from: acon_c, celu, dyt, elu, "),
        ("relu", {"alpha": 1.0}, "Activation 'relu' takes no parameter 'alpha'. It accepts: none."),
        ("nrelu", {"alpha": 1}, "takes no parameter 'alpha'. It accepts: momentum, bound, clip, eps."),
        (
            "la_silu",
            {"alpha": "x"},
            "Activation 'la_silu', parameter 'alpha': expected a finite number, got 'x'.",
        ),
        ("elu", {"alpha": float("nan")}, "expected a finite number, got nan"),
        ("elu", {"alpha": True}, "expected a finite number, got True"),
        ("prelu", {"num_parameters": 1.5}, "expected a positive integer, got 1.5"),
        ("prelu", {"num_parameters": 0}, "expected a positive integer, got 0"),
        ("nswish", {"clip": 1.2}, "expected two finite numbers, got 1.2"),
        ("nswish", {"clip": (0.8, 1, 2)}, "expected two finite numbers, got (0.8, 1, 2)"),
    ],
)
def test_bad_input(name: str, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        get_activation(name, **parameters)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_sheet_and_factories_have_the_same_names() -> None:
    assert set(SHEET) == {*FACTORIES, NATIVE}
    with pytest.raises(InputError, match="'mine': expected a colour such as #d55e00, got 'red'"):
        ActivationFacts("mine", "Mine", "smooth", "x", colour="red")


def test_native_has_a_label_but_no_module() -> None:
    assert activation_facts(NATIVE).label == "Native"
    with pytest.raises(InputError, match="native"):
        get_activation(NATIVE)


def test_parameters_reach_the_module() -> None:
    x = torch.tensor([[-2.0, 1.0]])
    assert get_activation("leakyrelu", negative_slope=0.5)(x)[0, 0] == -1
    weight = next(get_activation("prelu", num_parameters=2, init=0.5).parameters())
    assert weight.tolist() == [0.5, 0.5]
    assert get_activation("nrelu", clip=[0.5, 2], momentum=0).extra_repr().startswith("f=relu, momentum=0, ")
