"""Networks that torch.compile or TorchScript have taken: probed as they were written, or refused."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import corruptions
from robustbench_act.errors import InputError
from robustbench_act.probes import Probe

eagerly = partial(torch.compile, backend="eager")


class Network(nn.Module):
    """A module and a function as layers, in a part of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.head = nn.Linear(8, 3)

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


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore:`torch.jit:FutureWarning")
def test_torchscript_is_refused_as_a_network_and_passed_over_as_a_part() -> None:
    network, images = Network().eval(), torch.rand(8, 6)
    scripted = torch.jit.script(network)
    for model in (scripted, torch.jit.freeze(scripted)):
        with pytest.raises(InputError, match="TorchScript: probe the network that it was made from"):
            Probe(model).__enter__()
    setattr(network, "head", torch.jit.script(network.head))  # noqa: B010
    assert probed(network, network, images)["layer"].unique().tolist() == ["body.1", "silu()"]
    setattr(network, "body", torch.jit.script(network.body))  # noqa: B010
    assert probed(network, network, images)["layer"].unique().tolist() == ["silu()"]
