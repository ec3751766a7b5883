"""Slopes of activations: d a_i / d x_i, the diagonal of the Jacobian."""

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations._jacobian import dependent_axes, jacobian_diagonal
from robustbench_act.errors import InputError

Function = Callable[[Tensor], Tensor]

_PICKED = 4  # elements of two samples at which a declared derivative is checked
_STEP = 1e-4


def _relu_slope(x: Tensor) -> Tensor:
    return (x > 0).to(x.dtype)


def _silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))


_KNOWN: dict[object, Function] = {
    F.relu: _relu_slope,
    torch.relu: _relu_slope,
    nn.ReLU: _relu_slope,
    F.silu: _silu_slope,
    nn.SiLU: _silu_slope,
}


def activation_slope(activation: nn.Module | Function, x: Tensor) -> Tensor:
    """Return d a_i / d x_i of every element in evaluation mode: in the shape of x, float32 at least.

    A module's method `derivative(x)`, if it has one, gives the slopes; at a few elements they are compared
    with autograd and with finite differences. Without one autograd gives them. Along which axes an output
    depends on several inputs of its sample is tried; if it does, the slope is the diagonal of the Jacobian of
    what lies along them (a channel, a token, the whole sample). That is exact for up to 64 elements, and for
    more if the others act through a few statistics (`jacobian_diagonal`). A derivative is much faster.

    Parameters
    ----------
    activation
        An activation layer (see `activation_layers`), or an element-wise function.
    x
        Its input (N, ...).

    Raises
    ------
    InputError
        A derivative is wrong; an output depends on other samples; it depends on many inputs of its own
        sample in too many ways to be worked out (see `_jacobian`); the output is no tensor of the shape of x.

    Examples
    --------
    >>> activation_slope(nn.LeakyReLU(0.1), torch.tensor([[-3.0, 2.0]]))
    tensor([[0.1000, 1.0000]])
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    x = x.detach().to(wide)
    if type(activation) in _KNOWN or not isinstance(activation, nn.Module):
        return function_slope(activation, x)
    if _is_ours(activation) and _declares(activation):
        return cast(Tensor, activation.derivative(x)).to(wide)  # type: ignore[operator]
    twin = evaluation_twin(activation, wide)
    forward = _checked(twin.forward)
    if _declares(activation):
        slope = _declared_slope(twin, x)
    elif _is_ours(activation) or _is_torchs(activation) or not (axes := dependent_axes(forward, x)):
        slope = _slope_by_autograd(forward, x)
    else:
        slope = jacobian_diagonal(evaluation_twin(activation, torch.float64).forward, x, axes)
    return slope.to(wide)


def function_slope(f: Function, x: Tensor) -> Tensor:
    """Return f'(x) of an element-wise f in the shape and dtype of x; f may work in place.

    A module is taken as it is, in its mode; what it keeps (running averages) does not change.
    """
    known = _KNOWN.get(type(f) if isinstance(f, nn.Module) else f)
    if known:
        return known(x)
    if isinstance(f, nn.Module):
        if _is_ours(f) and _declares(f):
            return cast(Tensor, f.derivative(x))  # type: ignore[operator]
        keeps = any(True for _ in f.buffers())
        f = (copy.deepcopy(f) if keeps else f).forward
    return _slope_by_autograd(_checked(f), x)


def _checked(f: Function) -> Function:
    """Return f of a copy, which it may overwrite; an InputError unless a tensor of its shape comes back."""

    def checked(x: Tensor) -> Tensor:
        y = f(x.clone())
        if not isinstance(y, Tensor):
            raise InputError(f"expected the activation to return one tensor, got {type(y).__name__}.")
        if y.shape != x.shape:
            raise InputError(
                f"expected the activation to return the shape that it takes, {tuple(x.shape)}, "
                f"got {tuple(y.shape)}."
            )
        return y

    return checked


def _is_ours(activation: nn.Module) -> bool:
    return type(activation).__module__.partition(".")[0] == "robustbench_act"


def _is_torchs(activation: nn.Module) -> bool:
    return type(activation).__module__.startswith("torch.nn.")


def _declares(activation: nn.Module) -> bool:
    return callable(getattr(activation, "derivative", None))


def evaluation_twin(activation: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy in evaluation mode and in a dtype; the module itself if it cannot be copied."""
    with torch.inference_mode(False):
        try:
            twin = copy.deepcopy(activation).to(dtype)
        except Exception:  # the module may be anything
            return activation
        twin.eval()  # a user's own may return nothing
        return twin


def _slope_by_autograd(f: Function, x: Tensor) -> Tensor:
    # Backward, not forward mode: forward mode warns of torch's own deprecated code on first use. And not
    # torch.func, whose first use loads the compiler: two seconds.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        y = f(leaf)
        if not y.requires_grad:  # a constant
            return torch.zeros_like(x)
        return torch.autograd.grad(y, leaf, torch.ones_like(y), materialize_grads=True)[0].detach()


def _declared_slope(activation: nn.Module, x: Tensor) -> Tensor:
    """Return the slopes that a module declares; an InputError if they are wrong where they are checked."""
    name = f"{type(activation).__name__}.derivative"
    with torch.no_grad():
        slope: object = activation.derivative(x.clone())  # type: ignore[operator]
    got = f"shape {tuple(slope.shape)}" if isinstance(slope, Tensor) else type(slope).__name__
    if not isinstance(slope, Tensor) or slope.shape != x.shape:
        raise InputError(f"{name}(x): expected a tensor of the shape of x, {tuple(x.shape)}, got {got}")
    elements = slope[:2].flatten(1).shape[1] if len(x) else 0
    for i in torch.randperm(elements, generator=torch.Generator().manual_seed(0))[:_PICKED].tolist():
        for row in range(min(2, len(x))):
            _check_declared(name, activation, x[row : row + 1], i, slope[row].flatten()[i].item())
    return slope


def _check_declared(name: str, activation: nn.Module, x: Tensor, i: int, declared: float) -> None:
    """Raise unless the slope at element i of one sample is autograd's or lies between finite differences."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        output = activation.forward(leaf.clone()).flatten()[i]
        (gradient,) = torch.autograd.grad(output, leaf, materialize_grads=True)
    by_autograd = gradient.flatten()[i].item()
    tolerance = 1e-3 * (1 + abs(by_autograd))
    if abs(declared - by_autograd) <= tolerance:
        return
    exact = evaluation_twin(activation, torch.float64)
    step = torch.zeros_like(x, dtype=torch.float64)
    step.view(-1)[i] = _STEP
    with torch.no_grad():
        below, here, above = (
            exact.forward(x.double() + sign * step).flatten()[i].item() for sign in (-1, 0, 1)
        )
    differences = sorted([(here - below) / _STEP, (above - here) / _STEP])
    if not differences[0] - tolerance <= declared <= differences[1] + tolerance:
        raise InputError(
            f"{name}(x) is neither the slope by autograd nor between finite differences: correct it, or "
            "remove it and autograd is used"
        )
