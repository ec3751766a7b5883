"""Element level: what each element of a layer does on average over samples.

For element i of a layer with input y and output a over M samples (LayerAct, arXiv 2306.04940, section 3):

    activation mean     mu_i = (1 / M) sum_m a_{m,i}       "zero-like" if |mu_i| is small
    input mean          (1 / M) sum_m y_{m,i}
    saturated           element i of sample m is, if |d a_{m,i} / d y_{m,i}| < 0.1
    dead                element i is, if it is saturated on every sample
"""

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from robustbench_act.tally.layer_columns import mean_columns
from robustbench_act.tally.mergeable_stats import QUANTILES

SATURATED_SLOPE = 0.1
"""An element that passes on less than this share of a small change is saturated."""

NEAR_ZERO = 0.1
"""|mu_i| below this counts as near zero."""

_STRETCH = 16  # samples summed in float32


class ElementStatistics:
    """Sums over samples of every element, for each version of the stacked batch: O(versions x D) of state."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sums: dict[str, _Sum] = {}
        self._saturated: Tensor | None = None  # int32 (versions, D)

    def add(self, side: str, stacked: Tensor) -> None:
        """Add a batch (versions, n, ...) of inputs ("activation_input") or outputs ("activation")."""
        values = stacked.flatten(2)
        if side not in self._sums:
            self._sums[side] = _Sum(values)
        self._sums[side].add(values)
        self._counts[side] += values.shape[1]

    def add_slope(self, slope: Tensor) -> None:
        """Add d a / d y of a batch (versions, n, ...)."""
        saturated = (slope.flatten(2).abs() < SATURATED_SLOPE).sum(1, dtype=torch.int32)
        self._counts["slope"] += slope.shape[1]
        self._saturated = saturated if self._saturated is None else self._saturated + saturated

    def columns(self) -> dict[str, Tensor]:
        """Return MEAN_COLUMNS and SLOPE_COLUMNS, as far as they were measured, each float64 (versions,).

        activation_mean, _abs_mean : mean over elements of mu_i and of |mu_i|
        activation_near_zero : share of the elements with |mu_i| < 0.1
        activation_q05, ... : quantiles of mu_i over the elements
        activation_input_... : the same of the input means
        saturated : share of (sample, element) pairs
        dead : share of the elements
        """
        found: dict[str, Tensor] = {}
        for side, total in self._sums.items():
            mu = total.value() / self._counts[side]
            near_zero = torch.where(mu.isnan(), torch.nan, (mu.abs() < NEAR_ZERO).double()).mean(1)
            with np.errstate(invalid="ignore"):  # infinite means
                quantiles = torch.from_numpy(np.quantile(mu.cpu().numpy(), QUANTILES, axis=1))
            values = [mu.mean(1), mu.abs().mean(1), near_zero, *quantiles]
            found |= dict(zip(mean_columns(side), values, strict=True))
        if self._saturated is not None:
            found["saturated"] = self._saturated.double().mean(1) / self._counts["slope"]
            found["dead"] = (self._saturated == self._counts["slope"]).double().mean(1)
        return found


class _Sum:
    """The sum over samples, (versions, D), in an order that does not depend on the batches.

    Stretches of 16 consecutive samples are added up in float32 (or the values' own wider dtype), their sums
    in float64; the samples of an incomplete stretch are kept.
    """

    def __init__(self, like: Tensor) -> None:
        versions, _, elements = like.shape
        self._total = torch.zeros((versions, elements), dtype=torch.float64, device=like.device)
        self._rest = like[:, :0]

    def add(self, values: Tensor) -> None:
        """Add values (versions, n, D)."""
        missing = (_STRETCH - self._rest.shape[1]) % _STRETCH
        if missing:
            self._rest = torch.cat([self._rest, values[:, :missing]], 1)
            values = values[:, missing:]
            if self._rest.shape[1] < _STRETCH:
                return
            self._total += _add_up(self._rest)
        whole = values.shape[1] // _STRETCH * _STRETCH
        for stretch in torch.split(values[:, :whole], _STRETCH, 1) if whole else ():
            self._total += _add_up(stretch)
        self._rest = values[:, whole:].clone()  # an activation may work in place

    def value(self) -> Tensor:
        """Return the sum, float64 (versions, D)."""
        return self._total + _add_up(self._rest)


def _add_up(stretch: Tensor) -> Tensor:
    return stretch.sum(1, dtype=torch.promote_types(stretch.dtype, torch.float32))
