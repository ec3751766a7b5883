"""Which normalisation a network has: its layers, and calls of functions such as F.layer_norm."""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from robustbench_act.activations._source import Code, reachable, resolve
from robustbench_act.activations.layers import parts

BATCH: Any = nn.modules.batchnorm._BatchNorm
_WEIGHTED: Any = (nn.modules.conv._ConvNd, nn.Linear)
INSTANCE: Any = nn.modules.instancenorm._InstanceNorm

_NAMED_SO = re.compile("norm|abn", re.IGNORECASE)
_NO_LAYER = ("LocalResponseNorm", "CrossMapLRN2d")  # they rescale by neighbours, without mean or learnt scale
_FUNCTIONS = {
    id(getattr(space, name)): name.removeprefix("native_").partition("_")[0]
    for space in (F, torch)
    for name in ("batch_norm", "group_norm", "instance_norm", "layer_norm", "native_layer_norm", "rms_norm")
    if hasattr(space, name)
}
"""The kind of each function that normalises, by identity."""


def kind_of(module: nn.Module) -> str | None:
    """Return which normalisation a module is; None if it is not a normalisation layer.

    A layer outside torch.nn that is no subclass of one of its layers is told by the name of its class, which
    is its kind then.

    >>> kind_of(nn.BatchNorm2d(4)), kind_of(nn.GroupNorm(1, 4)), kind_of(nn.ReLU())
    ('batch', 'layer', None)
    """
    if isinstance(module, BATCH):
        return "batch"
    if isinstance(module, INSTANCE):
        return "instance"
    if isinstance(module, nn.GroupNorm):
        return "layer" if module.num_groups == 1 else "group"
    if isinstance(module, nn.LayerNorm):
        return "layer"
    name = type(module).__name__
    leaf = next(module.children(), None) is None
    return name if leaf and _NAMED_SO.search(name) and name not in _NO_LAYER else None


def normalization_of(model: nn.Module) -> str:
    """Return which normalisation a network has, as the column `normalization` of every table has it.

    "batch", "layer", "group" or "instance"; for any other class its name; "mixed" for several kinds, "none"
    for a network without normalisation. GroupNorm with one group is "layer". Functions such as
    F.batch_norm count, if the source of the forward pass shows them; what happens inside an activation does
    not.

    >>> normalization_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    'batch'
    >>> normalization_of(nn.Linear(2, 2))
    'none'
    """
    kinds = {kind for _, module in layers(model) if (kind := kind_of(module))}
    with suppress(Exception):  # it reads source that may be anything, and accuracy must not hang on it
        kinds |= {kind for kind, *_ in functional(model)}
    return "none" if not kinds else kinds.pop() if len(kinds) == 1 else "mixed"


def layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield (path, module) of each normalisation layer of a network, in module order, each module once."""
    for path, module, role in parts(model):
        if role == "other" and kind_of(module) is not None:
            yield path, module


def functional(model: nn.Module) -> Iterator[tuple[str, str, nn.Module, Code, ast.expr]]:
    """Yield each use of a function that normalises: its kind, then the path, module, code and place of it.

    In convolutions and linear layers such functions standardise weights, which does not count.
    """
    seen: set[object] = set()
    for path, module, role in parts(model):
        forward = getattr(module.forward, "__func__", module.forward)
        of_weights = isinstance(module, _WEIGHTED) or type(module).__module__.startswith("torch.")
        if role != "other" or of_weights or kind_of(module) is not None or forward in seen:
            continue
        seen.add(forward)
        for code in reachable(module):
            for node in ast.walk(code.node):
                if isinstance(node, ast.Attribute | ast.Name):
                    kind = _FUNCTIONS.get(id(resolve(node, code)))
                    if kind is not None:
                        yield kind, path, module, code, node
