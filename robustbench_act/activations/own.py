"""Recognises the user's own activation classes by what they do."""

import copy
import weakref
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_KNOWN: weakref.WeakKeyDictionary[nn.Module, bool] = weakref.WeakKeyDictionary()
_PARTS, _PARAMETERS = 3, 4  # modules in an activation, and numbers for each channel, at most
_CHANNELS = 4  # of the values that it is tried on, if it has no parameters
_STEP = 0.5
_BENT = 1e-4  # share of its largest value by which it must differ from a straight line


def acts_elementwise(module: nn.Module) -> bool:
    """Tell whether a module outside torch.nn is an activation: elementwise, not linear, not a gate.

    It is tried on a few values. Each output value must depend on its own input value alone, which rules out
    normalisation; the function must not be linear; and some outputs must lie outside [0, 1], which rules out
    gates such as sigmoids. A module does not count if it has buffers, if a parameter is not one number or one
    per channel, or if a module that it holds does all of it (dropout after an activation, say).

    >>> class Swish(nn.Module):
    ...     def forward(self, x: Tensor) -> Tensor:
    ...         return x * torch.sigmoid(x)
    >>> class Gate(nn.Module):
    ...     def forward(self, x: Tensor) -> Tensor:
    ...         return torch.sigmoid(x)
    >>> acts_elementwise(Swish()), acts_elementwise(Gate())
    (True, False)
    """
    if module not in _KNOWN:
        _KNOWN[module] = _may_be_one(module) and _behaves_like_one(module)
    return _KNOWN[module]


def _may_be_one(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return (
        not type(module).__module__.startswith("torch.nn.")
        and sum(1 for _ in module.modules()) <= 1 + _PARTS
        and len(parameters) <= _PARAMETERS
        and not any(map(is_lazy, parameters))
        and all(one.numel() == max(one.shape, default=1) for one in parameters)
        and not any(True for _ in module.buffers())
    )


def _behaves_like_one(module: nn.Module) -> bool:
    try:
        alone = copy.deepcopy(module).cpu().eval()
        channels = max([_CHANNELS, *(one.numel() for one in alone.parameters())])
        with torch.random.fork_rng(devices=[]):  # it may be dropout
            return any(_is_activation(alone, x) for x in _inputs(channels))
    except Exception:  # the module may be anything
        return False


def _inputs(channels: int) -> Iterator[Tensor]:
    for shape in ((2, channels, 3, 3), (2, channels)):
        count = torch.Size(shape).numel()
        yield torch.linspace(-6, 6, count)[torch.arange(count) * 7 % count].view(shape)


@torch.no_grad()
def _is_activation(module: nn.Module, x: Tensor) -> bool:
    function, held = module.forward, list(module.children())
    try:
        y = function(x.clone())
        if any(torch.equal(one(x.clone()), y) for one in held):
            return False
        if not isinstance(y, Tensor) or y.shape != x.shape or not torch.equal(function(x.clone()), y):
            return False
        some = torch.arange(x.numel()).view(x.shape) % 2 == 0
        elementwise = torch.equal(function(torch.where(some, x, x + _STEP))[some], y[some])
        up, down = function(x + _STEP), function(x - _STEP)
    except Exception:  # it wants a different number of axes, or of inputs
        return False
    bends = (up - 2 * y + down).abs().max() > _BENT * y.abs().max()
    is_gate = y.min() >= 0 and y.max() <= 1
    return elementwise and bool(bends) and not is_gate
