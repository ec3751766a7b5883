"""Small networks: one shares an activation among its calls, others build their gates themselves."""

from torch import Tensor, nn
from torch.nn import functional as F


class Shared(nn.Module):
    """Calls one activation three times, once behind a method."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.act: nn.Module = nn.ReLU(inplace=True)
        self.gate = nn.Sigmoid()
        self.failing = False

    def inner(self, x: Tensor) -> Tensor:
        return self.act(self.first(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        if self.failing:
            raise RuntimeError("mid-forward")
        return self.gate(x) * self.act(self.second(self.act(x)))  # type: ignore[no-any-return]


class HSigmoid(nn.Module):
    """A gate built of an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.relu6 = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu6(x + 3) / 6  # type: ignore[no-any-return]


class FunctionalGate(nn.Module):
    """The same gate, built of a function."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x + 3) / 6


class HSwish(nn.Module):
    """An activation built of the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = HSigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)  # type: ignore[no-any-return]


class SqueezeExcitation(nn.Module):
    """Multiplies features by a gate; between its two linear layers is an activation."""

    def __init__(self, gate: nn.Module, features: int = 4) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(features, 2), nn.Linear(2, features)
        self.act, self.gate = nn.ReLU(), gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.second(self.act(self.first(x))))  # type: ignore[no-any-return]
