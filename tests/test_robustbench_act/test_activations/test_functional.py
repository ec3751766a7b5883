"""Activations that are functions are found, with class, file and line; what only looks like one is not."""

import functools
import math
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import relu as imported_relu

from robustbench_act.activations import replace_activations
from robustbench_act.errors import InputError


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Linear(4, 4), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.first(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "owner", "file"),
    [
        ("googlenet", "BasicConv2d", "googlenet.py"),
        ("inception_v3", "BasicConv2d", "inception.py"),
        ("densenet121", "DenseNet", "densenet.py"),
    ],
)
def test_torchvision_networks_with_functions(name: str, owner: str, file: str) -> None:
    with torch.device("meta"):
        keywords = {} if name == "densenet121" else {"init_weights": False}
        network = torchvision.models.get_model(name, weights=None, **keywords)
    with pytest.raises(InputError, match=rf"but {owner} .*uses F\.relu as a function: .*{file}, line \d+"):
        replace_activations(network, "silu")


def helper(x: Tensor) -> Tensor:
    return F.mish(x)


class Holder(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.proper, self.function = nn.ReLU(), function

    def forward(self, x: Tensor) -> Tensor:
        return self.proper(self.function(x))  # type: ignore[no-any-return,operator]


class Dotted(Block):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(x)


class Imported(Block):
    def forward(self, x: Tensor) -> Tensor:
        return imported_relu(x)


class Method(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).relu_()  # type: ignore[no-any-return]


class Made(Block):
    def forward(self, x: Tensor) -> Tensor:
        return nn.GELU()(x)  # type: ignore[no-any-return]


class Named(Block):
    def forward(self, x: Tensor) -> Tensor:
        function = torch.relu
        return function(x)


class Helped(Block):
    def forward(self, x: Tensor) -> Tensor:
        return helper(x)


class Inherited(Dotted):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.act(x))


def enclosed() -> nn.Module:
    function = F.elu

    class Enclosing(Block):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    return Enclosing()


class InProperty(Block):
    @property
    def halved(self) -> Callable[[Tensor], Tensor]:
        return lambda x: F.hardtanh(x) / 2

    def forward(self, x: Tensor) -> Tensor:
        return self.halved(x)


@pytest.mark.parametrize(
    ("network", "expression"),
    [
        (Dotted(), "nn.functional.silu"),
        (Imported(), "imported_relu"),
        (Method(), "self.first(x).relu_"),
        (Made(), "nn.GELU"),
        (Named(), "torch.relu"),
        (Helped(), "F.mish"),
        (Inherited(), "nn.functional.silu"),
        (InProperty(), "F.hardtanh"),
        (enclosed(), "function"),
        (Holder(F.relu), "self.function"),
        (Holder(functools.partial(F.leaky_relu, negative_slope=0.2)), "self.function"),
        (nn.TransformerEncoderLayer(8, 2), "self.activation"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_functions_are_found(network: nn.Module, expression: str) -> None:
    with pytest.raises(InputError) as error:
        replace_activations(nn.Sequential(nn.ReLU(), network), "silu")
    message = str(error.value)
    assert f"but {type(network).__name__} (1) uses {expression} as a function: " in message
    assert ".py, line " in message
    assert "\n" not in message


def test_the_line_of_a_function_is_right() -> None:
    with pytest.raises(InputError) as error:
        replace_activations(Helped(), "silu")
    line = helper.__code__.co_firstlineno + 1
    assert f"{__file__}, line {line}." in str(error.value)


class Innocent(Block):
    """Looks like functions and is none."""

    relu = nn.Identity()

    def unused(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x) * F.softmax(x, dim=1) + math.tanh(0.0)
        assert not isinstance(gate, nn.ReLU)
        imported_relu = self.first  # hides the function of that name
        gate = imported_relu(gate)
        return self.relu(super().forward(gate))  # type: ignore[no-any-return]


@pytest.mark.parametrize("network", [Innocent(), Holder(torch.sigmoid), Holder(nn.Identity())])
def test_no_false_alarm(network: nn.Module) -> None:
    replace_activations(network, "silu")(torch.randn(3, 4))
