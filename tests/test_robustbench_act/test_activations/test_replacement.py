"""What counts as an activation layer, and replacing them in networks of many kinds."""

import copy
import io
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import (
    LASiLU,
    NormalizedActivation,
    NReLU,
    PerCall,
    activation_layers,
    get_activation,
    list_activations,
    replace_activations,
)
from robustbench_act.activations.registry import sizes_of
from robustbench_act.errors import InputError
from tests.test_robustbench_act.test_activations.networks import Shared

STATEFUL = ("nrelu", "nswish", "prelu")


class Child(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))  # type: ignore[no-any-return]


# What an activation layer is.


def test_layers_come_in_module_order_each_once_without_gates() -> None:
    act = nn.GELU()
    network = nn.ModuleDict(
        {
            "a": nn.Sequential(
                act, nn.Sigmoid(), nn.Hardsigmoid(), nn.Softmax(1), nn.LogSoftmax(1), nn.GLU()
            ),
            "b": nn.ModuleList([act, nn.ReLU6(), NormalizedActivation(nn.ReLU()), LASiLU()]),
            "c": PerCall([nn.PReLU(), nn.PReLU()]),
        }
    )
    assert [name for name, _ in activation_layers(network)] == ["a.0", "b.1", "b.2", "b.3", "c.0", "c.1"]
    assert activation_layers(network)[0][1] is act
    assert activation_layers(nn.Tanh())[0][0] == ""
    assert activation_layers(nn.Linear(2, 2)) == []


# Networks of torchvision.

NETWORKS = {  # name: how often an activation is called in a forward pass
    "resnet18": 17,
    "vgg11": 10,
    "mobilenet_v3_small": 33,
    "efficientnet_b0": 49,
    "convnext_tiny": 18,
    "shufflenet_v2_x0_5": 37,
    "squeezenet1_1": 26,
    "mnasnet0_5": 35,
    "regnet_y_400mf": 65,
    "swin_t": 12,
    "vit_b_16": 12,
}


def build(name: str) -> nn.Module:
    device = "cpu" if name.startswith("regnet") else "meta"  # the regnets' initialisation needs numbers
    with torch.device(device):
        return torchvision.models.get_model(name, weights=None)  # type: ignore[no-any-return]


def gates_of(network: nn.Module) -> list[str]:
    kinds = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax)
    return [path for path, module in network.named_modules() if isinstance(module, kinds)]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_activation_of_torchvision_networks(name: str) -> None:
    network = build(name)
    gates = [
        path for path, m in network.named_modules() if isinstance(m, nn.Sigmoid | nn.Hardsigmoid | nn.Softmax)
    ]
    gates = gates_of(network)
    replaced = replace_activations(network, "nrelu")
    layers = activation_layers(replaced)
    assert replaced is network
    assert len(layers) == NETWORKS[name]
    assert {type(layer) for _, layer in layers} == {NReLU}
    assert len({id(layer) for _, layer in layers}) == NETWORKS[name]
    assert gates_of(network) == gates
    assert len({p.device for p in network.parameters()}) == 1


@pytest.mark.parametrize(("name", "activation"), [("resnet18", "nswish"), ("mobilenet_v3_small", "la_silu")])
def test_torchvision_networks_run_and_learn(name: str, activation: str) -> None:
    network = replace_activations(torchvision.models.get_model(name, weights=None, num_classes=4), activation)
    called: list[nn.Module] = []
    for _, layer in activation_layers(network):
        layer.register_forward_hook(lambda module, args, out: called.append(module))
    out = network(torch.rand(2, 3, 40, 33))
    assert out.isfinite().all()
    assert len(called) == NETWORKS[name]
    if activation == "nswish":
        out.sum().backward()
        assert all(p.grad is not None for p in network.parameters())
        assert [id(layer) for _, layer in activation_layers(network)] == [id(layer) for layer in called]
        assert all(layer.initialized for _, layer in activation_layers(network))


# What stays, and what is carried over.


@pytest.mark.parametrize("name", [name for name in list_activations() if not sizes_of(name, {})])
def test_any_activation_after_any_other(name: str) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4), nn.Tanh(), Shared())
    for previous in (*STATEFUL, "relu"):
        replace_activations(network, previous)
        replace_activations(network, name)
        out = network(torch.randn(3, 4))
        assert out.shape == (3, 4)
    hooks = [hook for module in network.modules() for hook in module._forward_pre_hooks.values()]
    assert len(hooks) == (2 if get_activation(name).state_dict() else 0)
    assert not any(getattr(module, "inplace", False) for module in network.modules())


def test_mode_device_and_dtype_stay() -> None:
    network = Shared().double().eval()
    network.second.train()
    replace_activations(network, "nrelu")
    assert not any(module.training for module in network.act.modules())
    assert network.second.training
    assert {t.dtype for t in network.state_dict().values() if t.is_floating_point()} == {torch.float64}
    assert network(torch.randn(2, 4).double()).dtype == torch.float64
    meta = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())).to("meta", torch.bfloat16)
    replace_activations(meta, "prelu")
    weight = next(meta[1].parameters())
    assert (weight.device.type, weight.dtype) == ("meta", torch.bfloat16)


def test_the_network_itself_may_be_an_activation() -> None:
    new = replace_activations(nn.ReLU().eval(), "la_silu", alpha=0.1)
    assert isinstance(new, LASiLU)
    assert new.alpha == 0.1
    assert not new.training


def test_one_module_at_two_places_becomes_two_where_it_has_state() -> None:
    act, block = nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    network = replace_activations(nn.Sequential(act, nn.Linear(4, 4), act, block, block), "prelu")
    assert [name for name, _ in activation_layers(network)] == ["0", "2", "3.1"]


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("sliu", {}, "Unknown activation 'sliu'. Did you mean 'silu'?"),
        ("elu", {"beta": 1}, "takes no parameter 'beta'"),
    ],
)
def test_bad_names_change_nothing(name: str, parameters: dict[str, Any], message: str) -> None:
    network = Shared()
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        replace_activations(network, name, **parameters)
    assert isinstance(network.act, nn.ReLU)


def test_a_network_without_activation() -> None:
    with pytest.raises(InputError, match="network with activation layers, but Sequential has none"):
        replace_activations(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()), "relu")


# Shared modules.


def test_calls_of_a_shared_module_get_their_own_in_call_order() -> None:
    network = replace_activations(Shared(), "prelu")
    assert isinstance(network.act, PerCall)
    assert [name for name, _ in activation_layers(network)] == ["act.0", "act.1", "act.2"]
    with torch.no_grad():
        for slope, parameter in zip((0.1, 0.2, 0.3), network.act.parameters(), strict=True):
            parameter.fill_(slope)
    x = torch.randn(5, 4)
    first = F.leaky_relu(network.first(x), 0.1)  # type: ignore[operator]
    second = F.leaky_relu(network.second(F.leaky_relu(first, 0.2)), 0.3)  # type: ignore[operator]
    for _ in range(2):
        torch.testing.assert_close(network(x), torch.sigmoid(first) * second)


def test_stateless_activations_are_shared() -> None:
    network = replace_activations(Shared(), "la_silu")
    assert isinstance(network.act, LASiLU)


def test_inherited_and_overridden_passes_are_counted() -> None:
    network = replace_activations(Child(), "prelu")
    assert len(network.act) == 4  # type: ignore[arg-type]
    network(torch.randn(2, 4)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_an_exception_in_a_pass_leaves_no_trace() -> None:
    network = replace_activations(nn.Sequential(Shared()), "prelu")
    x = torch.randn(5, 4)
    with torch.no_grad():
        for i, parameter in enumerate(network[0].act.parameters()):  # type: ignore[index]
            parameter.fill_(i)
    expected = network(x)
    network[0].failing = True  # type: ignore[index]
    with pytest.raises(RuntimeError, match="mid-forward"):
        network(x)
    network[0].failing = False  # type: ignore[index]
    assert torch.equal(network(x), expected)


def test_deep_copies_pickles_and_states_of_shared_modules() -> None:
    network = replace_activations(Shared(), "nswish")
    x = torch.randn(5, 4)
    network(x)
    twin = copy.deepcopy(network)
    fresh = replace_activations(Shared(), "nswish")
    fresh.load_state_dict(network.state_dict())
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    expected = network.eval()(x)
    for other in (twin, fresh, loaded):
        for _ in range(2):
            assert torch.equal(other.eval()(x), expected)
    twin.train()(100 * x)
    assert torch.equal(network(x), expected)


@pytest.mark.slow
def test_shared_modules_compile_as_one_graph() -> None:
    network = replace_activations(Shared(), "nswish")
    twin = copy.deepcopy(network)
    compiled = torch.compile(network, fullgraph=True)
    for seed in range(3):
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(compiled(x), twin(x))
    torch.testing.assert_close(network.state_dict(), twin.state_dict())


def test_a_transformer_does_not_pass_the_new_module_by() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, dropout=0, activation=nn.ReLU(), batch_first=True).eval()
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        before = layer(x)
        after = replace_activations(layer, "silu")(x)
        expected = copy.deepcopy(layer).train()(x)
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(after, expected)
