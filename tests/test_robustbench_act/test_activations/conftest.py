"""A module of a user's own, and a registry that forgets it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corruptions import list_corruptions
from corruptions.registry import forget as forget_corruption
from robustbench_act import user_code
from robustbench_act.activations import facts, layers
from robustbench_act.activations.registry import FACTORIES

GATED_CUBE = '''
import torch
from torch import nn


class GatedCube(nn.Module):
    """x sigmoid(alpha x), with a weight per channel and a running mean."""

    def __init__(self, channels, alpha=1.0):
        super().__init__()
        self.alpha = alpha
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.seen.mul_(0.9).add_(0.1 * x.detach().abs().mean())
        weight = self.weight.view(1, -1, *(1,) * (x.ndim - 2))
        return x * torch.sigmoid(self.alpha * x) * weight + 0.01 * self.seen
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Return a function that writes own.py (`text`) into the working folder; all is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    tables: list[dict[str, Any]] = [FACTORIES, facts.SHEET, facts._SEEN]
    before, modules = [dict(table) for table in tables], set(sys.modules)
    declared, named = set(layers._declared), set(user_code._named)
    ours = set(list_corruptions())

    def write(text: str = GATED_CUBE, name: str = "own") -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        sys.modules.pop(name, None)
        return path

    def forget() -> None:
        for now, then in zip(tables, before, strict=True):
            now.clear()
            now.update(then)
        layers._declared.intersection_update(declared)
        user_code._named.intersection_update(named)
        for name in set(list_corruptions()) - ours:
            forget_corruption(name)
        for name in set(sys.modules) - modules:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
        user_code.plugins.cache_clear()

    write.forget = forget  # type: ignore[attr-defined]
    yield write
    forget()
