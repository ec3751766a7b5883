"""Which calls are layers: gates with what they hold and call are not, whatever else uses their parts."""

from copy import deepcopy

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import activation_layers
from robustbench_act.probes import Probe
from robustbench_act.probes.calls import Call, FollowedCalls
from tests.test_robustbench_act.test_activations.networks import (
    FunctionalGate,
    HSigmoid,
    HSwish,
    SqueezeExcitation,
)


class Listed:
    """Keeps the names of the calls."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def before(self, call: Call, x: object) -> None:
        self.names.append(call.layer)

    def after(self, call: Call, output: object) -> None:
        self.names.append(f"after {call.layer}")


def probed(network: nn.Module, x: Tensor) -> pd.DataFrame:
    with Probe(network.eval(), versions=2) as probe, torch.inference_mode():
        network(x)
    return probe.to_frame()


@pytest.mark.parametrize("gate", [HSigmoid(), FunctionalGate()], ids=lambda gate: type(gate).__name__)
def test_own_gates_and_activations_are_measured_as_those_of_torch(gate: nn.Module) -> None:
    own = nn.Sequential(nn.Linear(6, 4), HSwish(), SqueezeExcitation(gate)).double()
    of_torch = deepcopy(own)
    of_torch[1], of_torch[2].gate = nn.Hardswish(), nn.Hardsigmoid()
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    found = probed(own, x)
    assert found["layer"].unique().tolist() == [path for path, _ in activation_layers(own)] == ["1", "2.act"]
    pd.testing.assert_frame_equal(found, probed(of_torch, x), rtol=1e-9)


class SharesItsParts(nn.Module):
    """Uses what its activation and its gate hold as layers of their own, too."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.swish = HSigmoid(), HSwish()
        self.first, self.second = self.gate.relu6, self.swish.gate.relu6

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.swish(self.first(self.gate(x)) + F.relu(x)))  # type: ignore[no-any-return]


def test_parts_of_a_gate_count_where_they_are_called_on_their_own() -> None:
    network, listed = SharesItsParts(), Listed()
    with FollowedCalls(network, listed):
        network(torch.ones(2, 3))
        network.swish(torch.ones(2, 3))
    names = ["first", "relu()", "swish", "second", "swish"]
    assert listed.names == [name for layer in names for name in (layer, f"after {layer}")]


class GoesOn(nn.Module):
    """Survives an activation that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.failing, self.act = nn.PReLU(5), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.failing(x)  # type: ignore[no-any-return]
        except RuntimeError:
            return F.silu(self.act(x))


def test_an_activation_that_fails_mutes_nothing_after_it() -> None:
    network, listed = GoesOn(), Listed()
    with FollowedCalls(network, listed):
        network(torch.ones(2, 3))
    assert listed.names == ["failing", "act", "after act", "silu()", "after silu()"]
