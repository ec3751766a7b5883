"""Networks that torch.compile or TorchScript have taken: probed as they were written, or refused."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, cast

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import corruptions
from robustbench_act.activations import replace_activations
from robustbench_act.behaviour import look_at
from robustbench_act.errors import InputError
from robustbench_act.probes import Probe
from tests.test_robustbench_act.test_activations.networks import HSigmoid, HSwish

eagerly = partial(torch.compile, backend="eager")


class Network(nn.Module):
    """A module and a function as layers, in a part of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body: nn.Module = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.head: nn.Module = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.silu(self.body(x)))  # type: ignore[no-any-return]


def in_place(network: nn.Module) -> nn.Module:
    network.compile(backend="eager")
    return network


def a_part(network: nn.Module) -> nn.Module:
    setattr(network, "body", eagerly(network.get_submodule("body")))  # noqa: B010
    return network


def its_forward(network: nn.Module) -> nn.Module:
    network.forward = eagerly(network.forward)
    return network


def probed(watched: nn.Module, called: Callable[[Tensor], Tensor], images: Tensor) -> pd.DataFrame:
    with Probe(watched, versions=2) as probe, torch.inference_mode():
        called(images)
    return probe.to_frame()


@pytest.mark.parametrize("own_kernels", [False, True])
@pytest.mark.parametrize("compiled", [eagerly, in_place, a_part, its_forward])
def test_compiled_networks_have_the_layers_they_were_written_with(
    compiled: Callable[[nn.Module], nn.Module], own_kernels: bool
) -> None:
    network, images = Network().eval(), torch.rand(8, 6)
    expected = probed(network, network, images)
    assert expected["layer"].unique().tolist() == ["body.1", "silu()"]
    made = compiled(deepcopy(network))
    with torch.inference_mode():
        usual = made(images)
    corruptions.use_compile(own_kernels)
    try:
        pd.testing.assert_frame_equal(probed(made, made, images), expected, check_exact=True)
    finally:
        corruptions.use_compile(False)
    with torch.inference_mode():
        assert torch.equal(made(images), usual)


def test_a_network_may_be_called_through_its_compiled_form() -> None:
    """It runs compiled again when the probe is closed."""
    network, images = Network().eval(), torch.rand(8, 6)
    ran: list[int] = []

    def counting(graph: Callable[..., Any], _: list[Tensor]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            ran.append(1)
            return graph(*args)

        return run

    compiled: Any = torch.compile(network, backend=counting)
    for expected in (1, 2):
        compiled(images)
        assert len(ran) == expected
        found = probed(network, compiled, images)
        pd.testing.assert_frame_equal(found, probed(network, network, images), check_exact=True)
        assert len(ran) == expected


class Swish(nn.Module):
    """Calls no function that is an activation by its name."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


IGNORED = pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning", "ignore:`torch.jit:FutureWarning"
)


@IGNORED
def test_a_torchscript_network_is_refused() -> None:
    scripted = torch.jit.script(Network().eval())
    for model in (scripted, torch.jit.freeze(scripted)):
        with pytest.raises(InputError, match="TorchScript: probe the network that it was made from"):
            Probe(model).__enter__()
        with pytest.raises(InputError, match="the network is TorchScript, in which none can be replaced"):
            replace_activations(model, "silu")


def scripted(module: nn.Module) -> nn.Module:
    return cast(nn.Module, torch.jit.script(module))


def traced(module: nn.Module) -> nn.Module:
    return cast(nn.Module, torch.jit.trace(module, torch.rand(3, 4)))  # type: ignore[no-untyped-call]


def with_parts(wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Return activations, a gate and a linear layer of which each is wrapped."""
    made = [nn.Linear(4, 4), nn.ReLU(), HSwish(), HSigmoid(), nn.GELU()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made[0].reset_parameters()  # type: ignore[operator]
    return nn.Sequential(*(wrap(module.eval()) for module in made)).eval()


@IGNORED
@pytest.mark.parametrize("wrap", [scripted, traced])
def test_activations_that_are_torchscript_are_measured_as_the_modules_they_were(
    wrap: Callable[[nn.Module], nn.Module],
) -> None:
    made, images = with_parts(wrap), torch.rand(8, 4)
    found = probed(made, made, images)
    assert found["layer"].unique().tolist() == ["1", "2", "4"]
    eager = with_parts(lambda module: module)
    pd.testing.assert_frame_equal(found, probed(eager, eager, images), rtol=1e-6)
    replaced = replace_activations(made, "silu")
    assert [path for path, module in replaced.named_children() if isinstance(module, nn.SiLU)] == [
        "1",
        "2",
        "4",
    ]


@IGNORED
def test_what_is_inside_torchscript_is_named_as_left_out() -> None:
    network = Network().eval()
    network.head = nn.Sequential(scripted(network.head), scripted(nn.Sequential(nn.Linear(3, 3), Swish())))
    network.body = scripted(network.body)
    with Probe(network, versions=2) as probe, torch.inference_mode():
        network(torch.rand(8, 6))
    assert [layer.name for layer in probe.layers] == ["silu()"]
    assert list(probe.left_out) == ["body", "head.1"]
    behaviour = look_at(network, torch.rand(3, 6), torch.rand(6), classes=3)
    (note,) = behaviour.notes()
    assert note == "layers left out: body and head.1 (activations inside TorchScript cannot be watched)"
    with pytest.raises(InputError, match=r"but 1\.1 is TorchScript, in which none can be replaced"):
        replace_activations(nn.Sequential(nn.ReLU(), network.head), "silu")
