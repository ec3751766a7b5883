"""A small network that shares an activation among its calls."""

from torch import Tensor, nn


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
