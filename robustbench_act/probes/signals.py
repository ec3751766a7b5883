"""What a layer does to the variance of signals and gradients (ANAct, arXiv 2208.13315), on clean data.

For an activation f with input x, over all elements of all samples:

    rho         E[f(x)^2] / Var(x)
    rho'        E[f'(x)^2]
    lambda      sqrt((rho + rho') / (2 rho rho'))

"plain" is f, "normalized" is lambda (f - E[f(x)]). In a `NormalizedActivation`, f is the function inside and
the normalised one is the module as it is (with its running averages). For any other activation, f is all of
it, and the normalised one is what ANAct would make of it with the statistics of these data. For LayerAct f'
is the diagonal of the Jacobian. Variances are of the population (divisor: the number of values).
"""

import torch
from torch import Tensor

from robustbench_act.activations import NormalizedActivation, activation_slope
from robustbench_act.probes._blocks import Blocks
from robustbench_act.tally.layer_columns import SIGNAL_COLUMNS
from robustbench_act.tally.mergeable_stats import Moments


class _Values:
    """Moments over all elements of all samples, in an order that does not depend on the batches."""

    def __init__(self) -> None:
        self._merged: Moments | None = None
        self._blocks = Blocks()  # of (2, n): each sample's mean and variance
        self._elements = 0

    def add(self, values: Tensor) -> None:
        """Add values (n, ...)."""
        rows = values.detach().flatten(1).double()
        self._elements = rows.shape[1]
        variance, mean = torch.var_mean(rows, dim=1, correction=0)
        for block in self._blocks.add(torch.stack([mean, variance])):
            self._merged = self._with(block)

    def moments(self) -> Moments:
        """Return the moments of all values so far."""
        return self._with(self._blocks.rest)

    def _with(self, block: Tensor) -> Moments:
        mean, variance = block.unbind()
        samples = Moments(block.shape[1], mean.mean(), (mean - mean.mean()).square().sum())
        m2 = (samples.m2 + variance.sum()) * self._elements
        new = Moments(samples.count * self._elements, samples.mean, m2)
        return new if self._merged is None else self._merged.merged(new)


class SignalStatistics:
    """The moments of a layer's input, output, slope and gradient, on clean data."""

    def __init__(self) -> None:
        self._values: dict[str, _Values] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Add a batch of "input", "output", "slope", "plain", "plain_slope" or "gradient"."""
        self._values.setdefault(name, _Values()).add(values)

    def add_input(self, x: Tensor) -> None:
        """Add a batch of inputs."""
        self.add("input", x)

    def add_slope(self, activation: object, x: Tensor, slope: Tensor) -> None:
        """Add the slopes of a batch of inputs."""
        self.add("slope", slope)
        if isinstance(activation, NormalizedActivation):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            self.add("plain", activation.f(wide.clone()))
            self.add("plain_slope", activation_slope(activation.f, wide))

    def drop_slopes(self) -> None:
        """Forget the slopes: they could not be measured on all samples."""
        for name in ("slope", "plain", "plain_slope"):
            self._values.pop(name, None)

    def columns(self) -> dict[str, Tensor]:
        """Return SIGNAL_COLUMNS, each a float64 scalar; NaN where slopes were left out."""
        normalizes = "plain" in self._values
        x = self._variance("input")
        output, slope = self._square("output") / x, self._square("slope")
        rho = self._square("plain") / x if normalizes else output
        rho_prime = self._square("plain_slope") if normalizes else slope
        gain = torch.sqrt((rho + rho_prime) / (2 * rho * rho_prime))
        if not normalizes:
            output = gain.square() * self._variance("output") / x
            slope = gain.square() * slope
        values = (x, self._variance("output"), rho, rho_prime, gain, output, slope)
        return dict(zip(SIGNAL_COLUMNS, values, strict=True))

    def gradient_columns(self) -> dict[str, Tensor]:
        """Return GRADIENT_COLUMNS, each a float64 scalar."""
        return {"gradient_variance": self._variance("gradient")}

    def _variance(self, name: str) -> Tensor:
        moments = self._values[name].moments()
        variance: Tensor = moments.m2 / moments.count
        return variance

    def _square(self, name: str) -> Tensor:
        """Return E[v^2]; NaN without values."""
        if name not in self._values:
            return torch.tensor(torch.nan, dtype=torch.float64)
        mean: Tensor = self._values[name].moments().mean
        return self._variance(name) + mean.square()
