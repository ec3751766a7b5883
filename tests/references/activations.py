"""Activations in float64 NumPy, written from their definitions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _normal_distribution(x: Array) -> Array:
    return np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.flat]).reshape(x.shape)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def silu(x: Array) -> Array:
    return x * _sigmoid(x)


ELEMENT_WISE: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "relu6": lambda x: np.clip(x, 0, 6),
    "leakyrelu": lambda x: np.where(x > 0, x, 0.01 * x),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "gelu": lambda x: x * _normal_distribution(x),
    "mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "silu": silu,
    "hardsilu": lambda x: x * np.clip(x / 6 + 1 / 2, 0, 1),
}


def _normalized(sample: Array, alpha: float) -> tuple[Array, float]:
    """n and the deviation of one sample, with the unbiased variance."""
    mean = sample.sum() / sample.size
    variance = ((sample - mean) ** 2).sum() / (sample.size - 1)
    deviation = math.sqrt(variance + alpha)
    return (sample - mean) / deviation, deviation


def _gate(name: str, n: Array) -> tuple[Array, Array]:
    """s(n) and s'(n)."""
    if name == "la_silu":
        s = _sigmoid(n)
        return s, s * (1 - s)
    return np.clip(n / 6 + 1 / 2, 0, 1), np.where(np.abs(n) < 3, 1 / 6, 0.0)


def layeract(name: str, y: Array, alpha: float) -> Array:
    """y * s(n), sample by sample; name is la_silu or la_hardsilu."""
    return np.stack([sample * _gate(name, _normalized(sample, alpha)[0])[0] for sample in y])


def layeract_gradient(name: str, y: Array, upstream: Array, alpha: float, *, authors: bool) -> Array:
    """The gradient at y: exact, or the authors', whose last mean has the divisor D instead of D - 1."""
    rows = []
    for sample, g in zip(y, upstream, strict=True):
        n, deviation = _normalized(sample, alpha)
        s, slope = _gate(name, n)
        at_n = g * sample * slope / deviation
        divisor = sample.size if authors else sample.size - 1
        rows.append(g * s + at_n - at_n.mean() - n * (at_n * n).sum() / divisor)
    return np.stack(rows)


@dataclass
class Anact:
    """(lambda + b(a)) (f(x) - mu) with running mu, rho and rho'; f is relu or silu."""

    name: str
    a: float = 0.0
    mu: float = 0.0
    rho: float = 1.0
    rho_prime: float = 1.0
    started: bool = False

    def __call__(self, x: Array, *, training: bool) -> Array:
        f = relu(x) if self.name == "relu" else silu(x)
        if training:
            self._update(x, f)
        gain = math.sqrt((self.rho + self.rho_prime) / (2 * self.rho * self.rho_prime))
        return (gain + 0.3 * math.tanh(self.a)) * (f - self.mu)

    def _update(self, x: Array, f: Array) -> None:
        s = _sigmoid(x)
        slope = (x > 0).astype(np.float64) if self.name == "relu" else s + x * s * (1 - s)
        mu, rho, rho_prime = f.mean(), (f**2).mean() / x.var(), (slope**2).mean()
        if not self.started:
            self.started, self.mu, self.rho, self.rho_prime = True, mu, rho, rho_prime
            return
        self.mu = 0.9 * self.mu + 0.1 * mu
        self.rho = 0.9 * self.rho + 0.1 * min(max(rho, 0.8 * self.rho), 1.2 * self.rho)
        self.rho_prime = 0.9 * self.rho_prime + 0.1 * min(
            max(rho_prime, 0.8 * self.rho_prime), 1.2 * self.rho_prime
        )
