"""Derivatives of element-wise functions."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from robustbench_act.errors import InputError

Function = Callable[[Tensor], Tensor]


def _relu_slope(x: Tensor) -> Tensor:
    return (x > 0).to(x.dtype)


def _silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


_KNOWN: dict[object, Function] = {F.relu: _relu_slope, torch.relu: _relu_slope, F.silu: _silu_slope}


def function_slope(f: Function, x: Tensor) -> Tensor:
    """Return f'(x) of an element-wise f in the shape and dtype of x; f may work in place."""
    known = _KNOWN.get(f)
    return known(x) if known else _slope_by_autograd(f, x)


def _slope_by_autograd(f: Function, x: Tensor) -> Tensor:
    # Backward, not forward mode: forward mode warns of torch's own deprecated code on first use.
    def checked(copy: Tensor) -> Tensor:
        y = f(copy.clone())
        if not isinstance(y, Tensor):
            raise InputError(f"expected the activation to return one tensor, got {type(y).__name__}.")
        return y

    with torch.inference_mode(False):
        try:
            y, pullback = torch.func.vjp(checked, x.detach().clone())[:2]
            return cast(Tensor, pullback(torch.ones_like(y))[0]).detach()
        except RuntimeError:  # of an autograd.Function in the old form, without setup_context
            with torch.enable_grad():
                leaf = x.detach().clone().requires_grad_()
                y = checked(leaf)
                return torch.autograd.grad(y, leaf, torch.ones_like(y))[0].detach()
