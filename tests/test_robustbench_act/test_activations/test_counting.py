"""How often a shared activation is called: counted where the source says it, watched or refused elsewhere."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustbench_act.activations import LASiLU, PerCall, activation_layers, replace_activations
from robustbench_act.errors import InputError
from tests.test_robustbench_act.test_activations.networks import Shared


class Branches(nn.Module):
    """Counts that can be seen: the same on each way, or no more than one."""

    def __init__(self) -> None:
        super().__init__()
        self.once, self.twice = nn.ReLU(), nn.ReLU()
        self.tested: nn.Module | None = nn.ReLU()
        self.early, self.last = nn.ReLU(), nn.ReLU()

    @property
    def ready(self) -> bool:
        return self.training

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 9:
            raise ValueError(self.twice(x))
        x = self.once(x) if self.ready else self.once(-x)
        if x.ndim == 2:
            x = self.twice(x)
        else:
            y = x + 1
            x = self.twice(y)
        x = self.twice(x)
        if self.tested is not None and x.ndim:
            x = self.tested(x)
        if not self.last:  # type: ignore[truthy-bool]
            return x
        if x.ndim == 3:
            return self.early(x)  # type: ignore[no-any-return]
        return self.last(self.early(x))  # type: ignore[no-any-return]


def test_branches_are_followed() -> None:
    network = replace_activations(Branches(), "prelu")
    shared = {name: module for name, module in network.named_children() if isinstance(module, PerCall)}
    assert list(shared) == ["twice"]
    assert len(shared["twice"]) == 2
    network(torch.randn(2, 3))


class Loop(Shared):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = self.act(x)
        return x


class Comprehension(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.act(part) for part in x])


class Alias(Shared):
    def forward(self, x: Tensor) -> Tensor:
        act = self.act
        return act(act(x))  # type: ignore[no-any-return]


class Unequal(Shared):
    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            x = self.act(x)
        return self.act(x)  # type: ignore[no-any-return]


class Deferred(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return functools.reduce(lambda y, _: self.act(y), range(2), x)


class HandedOn(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return functools.reduce(lambda y, layer: layer(y), [self.inner, self.inner], x)


class Trying(Shared):
    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.act(x)  # type: ignore[no-any-return]
        except RuntimeError:
            return self.act(x + 1)  # type: ignore[no-any-return]


class Recursive(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.forward(x[1:]) if len(x) else x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "kind",
    [Loop, Comprehension, Alias, Unequal, Deferred, HandedOn, Trying, Recursive],
    ids=lambda kind: kind.__name__,
)
def test_calls_that_cannot_be_counted(kind: type[Shared]) -> None:
    network = nn.Sequential(kind())
    pattern = rf"fixed number of calls of 0\.act, .* {kind.__name__} \(.*test_counting\.py, line \d+\)"
    with pytest.raises(InputError, match=pattern):
        replace_activations(network, "nswish")
    assert isinstance(network[0].act, nn.ReLU)
    assert isinstance(replace_activations(network, "la_silu")[0].act, LASiLU)  # type: ignore[index]


class Listed(nn.Module):
    """Its activations lie in a list, so the source does not name them."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.acts, self.calls = nn.ModuleList([nn.ReLU(), nn.ReLU()]), calls

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.calls):
            x = self.acts[1](self.acts[0](x)) if self.calls == 1 else self.acts[0](x)
        return x


def test_unnamed_modules_are_watched() -> None:
    x = torch.randn(3, 4)
    once = replace_activations(Listed(calls=1), "prelu")
    assert [name for name, _ in activation_layers(once)] == ["acts.0.0", "acts.1.0"]
    for _ in range(2):
        once(x)
    twice = replace_activations(Listed(calls=2), "prelu")
    for _ in range(2):
        with pytest.raises(InputError, match=r"at most 1 call\(s\)"):
            twice(x)
    assert replace_activations(Listed(calls=2), "silu")(x).shape == x.shape


class Outside(nn.Module):
    """Calls the activation of a block whose own pass never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Listed(calls=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.block.acts[0](x)  # type: ignore[no-any-return]


def test_a_block_used_from_outside_restarts_with_the_network() -> None:
    network = replace_activations(Outside(), "prelu")
    for _ in range(3):
        network(torch.randn(3, 4))


def test_a_list_alone_has_no_pass() -> None:
    network = replace_activations(nn.ModuleList([nn.ReLU()]), "prelu")
    assert isinstance(network[0], nn.PReLU)  # type: ignore[index]


def test_without_source_one_call_is_expected() -> None:
    space: dict[str, Any] = {"nn": nn}
    exec(
        "class Unseen(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.act = nn.ReLU()\n"
        "    def forward(self, x):\n        return self.act(self.act(x))\n",
        space,
    )
    network = replace_activations(space["Unseen"](), "prelu")
    with pytest.raises(InputError, match="at most 1 call"):
        network(torch.randn(2, 3))
