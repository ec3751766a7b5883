"""The literature's activations in arithmetic of 40 digits, written from the papers' definitions.

A formula takes x, an array of mpmath numbers (N, channels, ...), and its parameters by name, and returns the
activation of every element. Gradients are central differences of the sum of upstream * activation, with a
step of 1e-14: exact to float64.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from mpmath import mp

Array = Any  # an array of mpmath's numbers
Formula = Callable[..., Array]
Parameters = Mapping[str, Array]

mp.dps = 40
STEP = mp.mpf("1e-14")

_exp, _log, _tanh, _erf, _sin = (
    np.vectorize(f, otypes=[object]) for f in (mp.exp, mp.log, mp.tanh, mp.erf, mp.sin)
)


def exact(values: npt.ArrayLike) -> Array:
    """The same float64 numbers, as mpmath's."""
    return np.vectorize(mp.mpf, otypes=[object])(np.asarray(values, dtype=np.float64))


def rounded(values: Array) -> npt.NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + _exp(-x))


def _by_channel(values: Array, x: Array) -> Array:
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def selu(x: Array) -> Array:
    alpha, scale = mp.mpf("1.6732632423543772848170429916717"), mp.mpf("1.0507009873554804934193349852946")
    return scale * np.where(x > 0, x, alpha * (_exp(x) - 1))


def celu(x: Array, alpha: float) -> Array:
    return np.maximum(x, 0) + np.minimum(0, alpha * (_exp(x / alpha) - 1))


def gelu_tanh(x: Array) -> Array:
    return x / 2 * (1 + _tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))


def smu(x: Array, mu: Array) -> Array:
    """alpha is 0.25."""
    one = mp.mpf(1)
    return ((one + one / 4) * x + (one - one / 4) * x * _erf(mu * (one - one / 4) * x)) / 2


def acon_c(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    p1, p2, beta = (_by_channel(values, x) for values in (p1, p2, beta))
    return (p1 - p2) * x * _sigmoid(beta * (p1 - p2) * x) + p2 * x


def meta_acon(x: Array, p1: Array, p2: Array, squeeze: Array, excite: Array) -> Array:
    """For (N, channels, H, W): beta = sigmoid(W2 W1 means)."""
    means = x.sum((2, 3)) / (x.shape[2] * x.shape[3])
    beta = _sigmoid(means @ squeeze.T @ excite.T)[:, :, None, None]
    p1, p2 = _by_channel(p1, x), _by_channel(p2, x)
    return (p1 - p2) * x * _sigmoid(beta * (p1 - p2) * x) + p2 * x


def frelu(x: Array, weight: Array, bias: Array, **norm: Array) -> Array:
    """max(x, T(x)); norm: gamma, shift, and in evaluation mean and var. weight: (channels, 3, 3)."""
    n, channels, height, width = x.shape
    padded = np.full((n, channels, height + 2, width + 2), mp.mpf(0), dtype=object)
    padded[:, :, 1:-1, 1:-1] = x
    t = _by_channel(bias, x) + sum(
        weight[None, :, i, j, None, None] * padded[:, :, i : i + height, j : j + width]
        for i in range(3)
        for j in range(3)
    )
    count = n * height * width
    mean = norm.get("mean", t.sum((0, 2, 3)) / count)
    var = norm.get("var", ((t - _by_channel(mean, x)) ** 2).sum((0, 2, 3)) / count)
    root = np.vectorize(mp.sqrt, otypes=[object])(var + mp.mpf(1e-5))
    normal = (t - _by_channel(mean, x)) / _by_channel(root, x)
    return np.maximum(x, _by_channel(norm["gamma"], x) * normal + _by_channel(norm["shift"], x))


def dyt(x: Array, alpha: Array, weight: Array, bias: Array) -> Array:
    return _by_channel(weight, x) * _tanh(alpha * x) + _by_channel(bias, x)


ELEMENT_WISE: dict[str, tuple[Formula, dict[str, float]]] = {
    "selu": (selu, {}),
    "celu": (lambda x: celu(x, mp.mpf(1)), {}),
    "softplus": (lambda x: _log(1 + _exp(x)), {}),
    "tanh": (_tanh, {}),
    "gelu_tanh": (gelu_tanh, {}),
    "rrelu": (lambda x: np.where(x > 0, x, (mp.mpf(1) / 8 + mp.mpf(1) / 3) / 2 * x), {}),
    "swish": (lambda x, beta: x * _sigmoid(beta * x), {"beta": 1.3}),
    "smu": (smu, {"mu": 1.7}),
    "serf": (lambda x: x * _erf(_log(1 + _exp(x))), {}),
    "tanhexp": (lambda x: x * _tanh(_exp(x)), {}),
    "logish": (lambda x: x * _log(1 + _sigmoid(x)), {}),
    "snake": (lambda x, a: x + _sin(a * x) ** 2 / a, {"a": 0.4}),
}
"""The formula of each activation without parameters per channel, and values of its learnt numbers."""


def gradients(
    formula: Callable[[Array, Parameters], Array],
    x: Array,
    upstream: Array,
    parameters: Parameters,
    *,
    alone: bool,
) -> dict[str, Array]:
    """The gradients of the sum of upstream * formula(x, parameters), by name; "x" is the input's.

    `alone`: each value depends on its own input alone, so that all inputs may be moved at once.
    """

    def total(values: Array, others: Parameters) -> Any:
        return (upstream * formula(values, others)).sum()

    def at_once(values: Array) -> Array:
        return (
            upstream * (formula(values + STEP, parameters) - formula(values - STEP, parameters)) / (2 * STEP)
        )

    found = {"x": at_once(x) if alone else _central(x, lambda values: total(values, parameters))}
    for name, own in parameters.items():
        found[name] = _central(own, lambda values, name=name: total(x, {**parameters, name: values}))  # type: ignore[misc]
    return found


def _central(values: Array, of: Callable[[Array], Any]) -> Array:
    found = np.empty(values.shape, dtype=object)
    for place in np.ndindex(values.shape):
        above, below = values.copy(), values.copy()
        above[place] += STEP
        below[place] -= STEP
        found[place] = (of(above) - of(below)) / (2 * STEP)
    return found
