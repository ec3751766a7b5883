"""LayerAct: gates that see the input normalised over its layer.

For one sample with input y of D elements and a gate s,

    n = (y - mean(y)) / sqrt(var(y) + alpha)        a = y * s(n)

with the unbiased variance (divisor D - 1). With c = (D - 1) / D this is
n = sqrt(c) * layer_norm(y, eps=alpha * c): PyTorch's fused kernel does the work.

Source: Yoon & Lim, AAAI 2025, arXiv 2306.04940.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from robustbench_act.activations._jacobian import dependent_axes
from robustbench_act.activations.slopes import Function, activation_slope, evaluation_twin
from robustbench_act.errors import InputError

_aten = torch.ops.aten
_INPUT_GRADIENT_ONLY = [True, False, False]  # of native_layer_norm_backward: no gradient of weight and bias


class _SigmoidGate:
    """s(n) = squash(n), squash the logistic function."""

    scale, shift = 1.0, 0.0

    @staticmethod
    def squash_(m: Tensor) -> Tensor:
        """Return the gate s of m, written over m."""
        return m.sigmoid_()

    @staticmethod
    def chain(upstream: Tensor, s: Tensor) -> Tensor:
        """Return upstream * ds/dm."""
        return cast(Tensor, _aten.sigmoid_backward(upstream, s))


class _HardSigmoidGate:
    """s(n) = squash(n / 6 + 1 / 2), squash the clip to [0, 1]."""

    scale, shift = 1 / 6, 0.5

    @staticmethod
    def squash_(m: Tensor) -> Tensor:
        """Return the gate s of m, written over m."""
        return nn.functional.hardtanh(m, 0, 1, inplace=True)

    @staticmethod
    def chain(upstream: Tensor, s: Tensor) -> Tensor:
        """Return upstream * ds/dm, which is 0 for s = 0 and s = 1: m was clipped there."""
        return cast(Tensor, _aten.hardtanh_backward(upstream, s, 0, 1))


class _PlainGate:
    """n itself, for the statistics of other gates."""

    scale, shift = 1.0, 0.0


_Gate = type[_SigmoidGate] | type[_HardSigmoidGate]


def _widened(y: Tensor) -> Tensor:
    """Return y in float32 if it is narrower, so that statistics accumulate in float32 on every device."""
    return y.float() if y.dtype in (torch.float16, torch.bfloat16) else y


def _normalize(
    y: Tensor, alpha: float, gate: _Gate | type[_PlainGate]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return m = scale * n + shift for rows of y (N, D), their means, reciprocal deviations and the weight.

    The weight (D,) holds scale * sqrt(c), so that the kernel writes m in one pass.
    """
    d = y.shape[1]
    c = (d - 1) / d
    weight = y.new_full((d,), gate.scale * math.sqrt(c))
    bias = y.new_full((d,), gate.shift) if gate.shift else None
    m, mean, rstd = torch.native_layer_norm(y, (d,), weight, bias, alpha * c)
    return m, mean, rstd, weight


class _Gated(torch.autograd.Function):
    """y * s(n) for the rows of y (N, D).

    Saves only y: recomputing n costs less than reading it back from memory. The backward pass consists of
    differentiable operations, so higher derivatives are exact too.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, alpha: float, gate: _Gate) -> Tensor:
        wide = _widened(y)
        return gate.squash_(_normalize(wide, alpha, gate)[0]).mul_(wide).to(y.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, _Gate], output: Tensor) -> None:
        y, ctx.alpha, ctx.gate = inputs
        ctx.save_for_backward(y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (y,), (grad,) = ctx.saved_tensors, grads
        wide, grad_wide = _widened(y), _widened(grad)
        m, mean, rstd, weight = _normalize(wide, ctx.alpha, ctx.gate)
        s = ctx.gate.squash_(m)
        grad_m = ctx.gate.chain(grad_wide * wide, s)
        grad_y = _aten.native_layer_norm_backward(
            grad_m, wide, weight.shape, mean, rstd, weight, None, _INPUT_GRADIENT_ONLY
        )[0]
        del grad_m  # its memory is free for the result
        return torch.addcmul(grad_y, grad_wide, s).to(y.dtype), None, None


# From (N, C, ...) to the memory order of a channels_last tensor, and back.
_CHANNELS_LAST = {
    torch.channels_last: ((0, 2, 3, 1), (0, 3, 1, 2)),
    torch.channels_last_3d: ((0, 2, 3, 4, 1), (0, 4, 1, 2, 3)),
}


def _memory_order(y: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the permutation that makes a channels_last y contiguous, and its inverse; else None."""
    for memory_format, (there, back) in _CHANNELS_LAST.items():
        if y.ndim == len(there) and not y.is_contiguous() and y.is_contiguous(memory_format=memory_format):
            return there, back
    return None


_FUSED: dict[object, _Gate] = {
    torch.sigmoid: _SigmoidGate,
    nn.functional.sigmoid: _SigmoidGate,
    nn.Sigmoid: _SigmoidGate,
    nn.functional.hardsigmoid: _HardSigmoidGate,
    nn.Hardsigmoid: _HardSigmoidGate,
}


class LayerAct(nn.Module):
    """LayerAct with any gate s: y * s(n), n the input normalised over all dimensions but the batch.

    n = (y - mean(y)) / sqrt(var(y) + alpha), with the unbiased variance of the sample's D elements.
    Derivatives of any order are exact. The two gates of the paper (torch.sigmoid and hardsigmoid, as
    functions or modules) run in one fused operation that saves its input alone.

    Parameters
    ----------
    gate : callable or nn.Module
        Element-wise, or with parameters per channel: it takes n in the shape and dtype of y. What a module
        learns or keeps becomes part of the layer.
    alpha : float
        Positive and finite; 1e-5 in the paper for CIFAR, 0.1 for ImageNet.

    Notes
    -----
    Input (N, ...) of any floating dtype and memory format; output of the same. Any other alpha, an input of
    fewer than 2 elements per sample, and a gate of another shape raise InputError. Statistics of narrow
    dtypes are computed in float32.

    Examples
    --------
    >>> y = torch.tensor([[-1.0, 0.0, 1.0], [9.0, 10.0, 11.0]])  # normalised, both rows are -1, 0, 1
    >>> LayerAct(torch.tanh)(y)
    tensor([[ 0.7616,  0.0000,  0.7616],
            [-6.8543,  0.0000,  8.3775]])
    >>> LayerAct(torch.sigmoid)(y).equal(LASiLU()(y))
    True
    """

    def __init__(self, gate: Function, alpha: float = 1e-5) -> None:
        super().__init__()
        if not callable(gate):
            raise InputError(f"{type(self).__name__} expects a callable gate, got {gate!r}.")
        if not 0 < alpha < math.inf:
            raise InputError(f"{type(self).__name__} expects a positive finite alpha, got {alpha!r}.")
        self.gate = gate
        self.alpha = float(alpha)
        self._fused = _FUSED.get(type(gate) if isinstance(gate, nn.Module) else gate)

    def forward(self, y: Tensor) -> Tensor:
        """Return y * s(n) in the shape, dtype and memory format of y (N, ...)."""
        if not y.is_floating_point() or y.ndim < 2 or y.shape[1:].numel() < 2:
            raise InputError(
                f"{type(self).__name__} expects floats (N, ...) with at least 2 elements per sample "
                f"(one has no unbiased variance), got {y.dtype} of shape {tuple(y.shape)}."
            )
        if self._fused is None:
            return y * self._gated(self.gate, self._in_order(y, self._normalized).to(y.dtype)).to(y.dtype)
        return self._in_order(y, self._fused_product)

    @torch.no_grad()
    def derivative(self, y: Tensor) -> Tensor:
        """Return d a_i / d y_i of every element, the diagonal of a sample's Jacobian, in float32 at least.

        s(n_i) + y_i s'(n_i) ((D - 1) / D - n_i^2 / (D - 1)) / sqrt(var(y) + alpha)

        An InputError if the gate depends on other elements.
        """
        rows = _widened(y.flatten(1))
        d = rows.shape[1]
        gate = self._fused or _PlainGate
        m, _, rstd, _ = _normalize(rows, self.alpha, gate)
        n = (m - gate.shift) / gate.scale
        reciprocal = rstd.view(-1, 1) * math.sqrt((d - 1) / d)  # of the root above; rstd divides by D
        own = ((d - 1) / d - n.square() / (d - 1)) * reciprocal
        s, slope = self._gate_and_slope(m if self._fused else n.view(y.shape))
        return (s.flatten(1) + rows * slope.flatten(1) * own).view(y.shape)

    def _gate_and_slope(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and s' at n (the fused gates take m)."""
        if self._fused is not None:
            s = self._fused.squash_(n)
            return s, self._fused.chain(torch.full_like(s, self._fused.scale), s)
        gate = evaluation_twin(self.gate, n.dtype).forward if isinstance(self.gate, nn.Module) else self.gate
        if dependent_axes(gate, n):
            raise InputError(f"the gate of {type(self).__name__} depends on other elements")
        return self._gated(gate, n), activation_slope(self.gate, n)

    def _gated(self, gate: Function, n: Tensor) -> Tensor:
        s = gate(n)
        if s.shape != n.shape:
            raise InputError(
                f"{type(self).__name__} expects a gate that returns the shape that it takes, "
                f"{tuple(n.shape)}, got {tuple(s.shape)}."
            )
        return s

    def _in_order(self, y: Tensor, function: Function) -> Tensor:
        """Return a function of y in the order of its memory: statistics do not depend on the order."""
        order = _memory_order(y)
        if order is None:
            return function(y.contiguous())
        there, back = order
        return function(y.permute(there)).permute(back)

    def _normalized(self, y: Tensor) -> Tensor:
        rows = _widened(y.flatten(1))
        d = rows.shape[1]
        c = (d - 1) / d
        return (math.sqrt(c) * nn.functional.layer_norm(rows, (d,), eps=self.alpha * c)).view(y.shape)

    def _fused_product(self, y: Tensor) -> Tensor:
        return cast(Tensor, _Gated.apply(y.flatten(1), self.alpha, self._fused)).view(y.shape)

    def extra_repr(self) -> str:
        """Return the parameters as `repr` shows them."""
        name = (
            "" if isinstance(self.gate, nn.Module) else f"gate={getattr(self.gate, '__name__', self.gate)}, "
        )
        return f"{name}alpha={self.alpha:g}"


class _PaperAct(LayerAct):
    """LayerAct with a gate that the name of the class tells."""

    def extra_repr(self) -> str:
        """Return the parameter as `repr` shows it."""
        return f"alpha={self.alpha:g}"


class LASiLU(_PaperAct):
    """LA-SiLU: y * sigmoid(n), n the input normalised over all dimensions but the batch.

    n = (y - mean(y)) / sqrt(var(y) + alpha), with the unbiased variance of the sample's D elements. The
    backward pass is the exact derivative; the authors' code approximates it, dividing one mean by D instead
    of D - 1. Nothing is learnt or kept; training and evaluation modes agree.

    Parameters
    ----------
    alpha : float
        Positive and finite; 1e-5 in the paper for CIFAR, 0.1 for ImageNet.

    Notes
    -----
    Input (N, ...) of any floating dtype and memory format; output of the same. Any other alpha, and an input
    of fewer than 2 elements per sample, raise InputError. Narrow dtypes are widened to
    float32 inside. Works under autocast, torch.compile and vmap; no forward-mode derivative.

    Examples
    --------
    >>> y = torch.tensor([[-1.0, 0.0, 1.0], [9.0, 10.0, 11.0]])  # normalised, both rows are -1, 0, 1
    >>> LASiLU()(y)
    tensor([[-0.2689,  0.0000,  0.7311],
            [ 2.4205,  5.0000,  8.0416]])
    """

    def __init__(self, alpha: float = 1e-5) -> None:
        super().__init__(torch.sigmoid, alpha)


class LAHardSiLU(_PaperAct):
    """LA-HardSiLU: y * clip(n / 6 + 1 / 2, 0, 1), n the input normalised over all dimensions but the batch.

    As `LASiLU`, with the piecewise linear gate; its derivative at n = -3 and n = 3 is taken as 0. (The
    authors' published class raises a TypeError; this is the formula of the paper.)

    >>> LAHardSiLU()(torch.tensor([[-1.0, 0.0, 1.0], [9.0, 10.0, 11.0]]))
    tensor([[-0.3333,  0.0000,  0.6667],
            [ 3.0000,  5.0000,  7.3333]])
    """

    def __init__(self, alpha: float = 1e-5) -> None:
        super().__init__(nn.functional.hardsigmoid, alpha)
