"""Recognises the user's own activation and gate classes by what they do."""

import copy
import io
import pickle
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

Role = Literal["activation", "gate"]

_KNOWN: weakref.WeakKeyDictionary[nn.Module, tuple[bytes, Role | None]] = weakref.WeakKeyDictionary()
"""The roles of modules in a state: they cost a millisecond each, and every chunk of a run needs them."""

_PARTS = 3  # modules in an activation, at most
_VALUES = 1.2, 1.4, 1.6, 1.8  # of its parameters, at most so many: they do not decide what a module is
_NUMBERS = 10_000  # in a tensor of a state that is remembered, at most
_CHANNELS = 4  # of the values that it is tried on, if it has no parameters
_STEP = 0.5
_BENT = 1e-4  # share of its largest value by which it must differ from a straight line
_FAR = 100  # by which inputs are multiplied to see whether it stays in [0, 1]


def own_role(module: nn.Module) -> Role | None:
    """Tell whether a module outside torch.nn is an activation or a gate: elementwise and not linear.

    It is tried on a few values, first with other parameters than its own: a slope that is 1 at present does
    not matter. Each output value must depend on its own input value alone, which rules out normalisation, and
    the function must not be linear. If all outputs lie in [0, 1], it is a gate, as sigmoids are. A module is
    neither if it has buffers, if a parameter is not one number or one per channel, or if a module that it
    holds does all of it (dropout after an activation, say).

    >>> class Swish(nn.Module):
    ...     def forward(self, x: Tensor) -> Tensor:
    ...         return x * torch.sigmoid(x)
    >>> class Gate(nn.Module):
    ...     def forward(self, x: Tensor) -> Tensor:
    ...         return torch.sigmoid(x)
    >>> own_role(Swish()), own_role(Gate()), own_role(nn.Sigmoid())
    ('activation', 'gate', None)
    """
    if not _may_have_one(module):
        return None
    state = _state_of(module)
    if state is None or _KNOWN.get(module, (b"",))[0] != state:
        _KNOWN[module] = state or b"", _found_role(module)
    return _KNOWN[module][1]


def _may_have_one(module: nn.Module) -> bool:
    if type(module).__module__.startswith("torch.nn."):
        return False
    if len(list(islice(module.modules(), _PARTS + 2))) > 1 + _PARTS:
        return False
    parameters = list(module.parameters())
    return (
        len(parameters) <= len(_VALUES)
        and not any(map(is_lazy, parameters))
        and all(one.numel() == max(one.shape, default=1) for one in parameters)
        and not any(True for _ in module.buffers())
    )


def _state_of(module: nn.Module) -> bytes | None:
    """Return all that a module holds, its numbers too; None if it holds what cannot be pickled."""
    state = io.BytesIO()
    try:
        _StatePickler(state).dump(module)
    except Exception:  # it holds a function of its own, or is TorchScript
        return None
    return state.getvalue()


class _StatePickler(pickle.Pickler):
    def persistent_id(self, part: object) -> object:
        if isinstance(part, Tensor) and part.numel() > _NUMBERS:
            raise pickle.PicklingError
        return part.tolist() if isinstance(part, Tensor) else None


def _found_role(module: nn.Module) -> Role | None:
    try:
        for alone in _copies(module):
            if role := _role(alone):
                return role
    except Exception:  # the module may be anything
        return None
    return None


@torch.no_grad()
def _copies(module: nn.Module) -> Iterator[nn.Module]:
    """Yield copies of a module, one with other parameters and one with its own."""
    parameters = list(module.parameters())
    for values in (_VALUES, ()) if parameters else ((),):
        alone = copy.deepcopy(module).cpu().eval()
        for parameter, value in zip(alone.parameters(), values, strict=False):
            parameter.fill_(value)
        yield alone


@torch.no_grad()
def _role(alone: nn.Module) -> Role | None:
    with torch.random.fork_rng(devices=[]):  # it may be dropout
        inputs = _inputs(max([_CHANNELS, *(one.numel() for one in alone.parameters())]))
        x = next((x for x in inputs if _is_elementwise(alone, x)), None)
        if x is None or not _bends(alone, x):
            return None
        outputs = [alone.forward(scale * x) for scale in (1, _FAR)]
    return "activation" if any(((y < 0) | (y > 1)).any() for y in outputs) else "gate"


def _inputs(channels: int) -> Iterator[Tensor]:
    for shape in ((2, channels, 3, 3), (2, channels)):
        count = torch.Size(shape).numel()
        yield torch.linspace(-6, 6, count)[torch.arange(count) * 7 % count].view(shape)


def _is_elementwise(module: nn.Module, x: Tensor) -> bool:
    """Tell whether each output value depends on its own input value alone; False if a part does it all."""
    function = module.forward
    try:
        y = function(x.clone())
        if any(torch.equal(one(x.clone()), y) for one in module.children()):
            return False
        if not isinstance(y, Tensor) or y.shape != x.shape or not torch.equal(function(x.clone()), y):
            return False
        some = torch.arange(x.numel()).view(x.shape) % 2 == 0
        return torch.equal(function(torch.where(some, x, x + _STEP))[some], y[some])
    except Exception:  # it wants a different number of axes, or of inputs
        return False


def _bends(module: nn.Module, x: Tensor) -> bool:
    down, y, up = (module.forward(x + step) for step in (-_STEP, 0.0, _STEP))
    return bool((up - 2 * y + down).abs().max() > _BENT * y.abs().max())
