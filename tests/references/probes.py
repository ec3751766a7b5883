"""The quantities of the layer probes from stored activations, in float64 numpy: slow, plain, one by one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Array = NDArray[np.float64]


@dataclass
class Recording:
    """Inputs and outputs of every activation call in order, one list entry per call and pass."""

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    functions: list[Callable[[Tensor], Tensor]] = field(default_factory=list)


@contextmanager
def recorded(modules: list[nn.Module], *, functions: bool = False) -> Iterator[Recording]:
    """Store copies of what goes into and comes out of the given modules, or of all calls of F.relu."""
    recording = Recording()

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        recording.inputs.append(inputs[0].detach().clone())
        recording.functions.append(module.forward)

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        recording.outputs.append(output.detach().clone())

    handles = [module.register_forward_pre_hook(before) for module in modules]
    handles += [module.register_forward_hook(after) for module in modules]
    relu = F.relu

    def spy(x: Tensor, inplace: bool = False) -> Tensor:
        recording.inputs.append(x.detach().clone())
        recording.functions.append(relu)
        output = relu(x, inplace=inplace)
        recording.outputs.append(output.detach().clone())
        return output

    if functions:
        F.relu = spy  # type: ignore[assignment]
    try:
        yield recording
    finally:
        F.relu = relu
        for handle in handles:
            handle.remove()


def _float64(tensor: Tensor, versions: int) -> Array:
    return tensor.double().reshape(versions, tensor.shape[0] // versions, -1).numpy()


def _slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    point = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(function(point * 1).sum(), point)
    return slope


def _moments(columns: dict[str, Any], name: str, values: Array) -> None:
    kept = values[np.isfinite(values)]
    columns[f"{name}_mean"] = kept.mean() if len(kept) else np.nan
    columns[f"{name}_var"] = kept.var(ddof=1) if len(kept) > 1 else np.nan


def expected_rows(recording: Recording, *, versions: int) -> list[dict[str, Any]]:
    """Return a dictionary of columns for each layer and version (element-wise functions only)."""
    rows = []
    for x, out, function in zip(recording.inputs, recording.outputs, recording.functions, strict=True):
        y, a = _float64(x, versions), _float64(out, versions)
        slopes = _float64(_slope(function, x), versions)
        for version in range(versions):
            moved_in = abs(y[version] - y[0]).sum(1)
            moved_out = abs(a[version] - a[0]).sum(1)
            row: dict[str, Any] = {"version": version, "elements": y.shape[2], "n": y.shape[1]}
            with np.errstate(divide="ignore", invalid="ignore"):
                _moments(row, "input_fluctuation", moved_in)
                _moments(row, "output_fluctuation", moved_out)
                _moments(row, "input_relative", moved_in / abs(y[0]).sum(1))
                _moments(row, "output_relative", moved_out / abs(a[0]).sum(1))
                _moments(row, "amplification", moved_out / moved_in)
                far_in = np.sqrt(((y[version] - y[0]) ** 2).mean(1)) / y[0].std(1)
                far_out = np.sqrt(((a[version] - a[0]) ** 2).mean(1)) / a[0].std(1)
                _moments(row, "input_disturbance", far_in)
                _moments(row, "output_disturbance", far_out)
                _moments(row, "scale_free_amplification", far_out / far_in)
            for side, values in (("activation_input", y[version]), ("activation", a[version])):
                mu = values.mean(0)
                row[f"{side}_mean"], row[f"{side}_abs_mean"] = mu.mean(), abs(mu).mean()
                variance = values.var(0, ddof=1).sum()
                row[f"{side}_offset"] = (mu**2).sum() / variance - 1 / len(values)
                for share in (0.05, 0.25, 0.5, 0.75, 0.95):
                    row[f"{side}_q{round(100 * share):02d}"] = np.quantile(mu, share)
            saturated = abs(slopes[version]) < 0.1
            row["saturated"], row["dead"] = saturated.mean(), saturated.all(0).mean()
            row["_moved"] = {"input_fluctuation": moved_in, "output_fluctuation": moved_out}
            if version == 0:
                row |= _signal(y[0], a[0], slopes[0])
            rows.append(row)
    return rows


def _signal(y: Array, a: Array, slopes: Array) -> dict[str, float]:
    rho, rho_prime = (a**2).mean() / y.var(), (slopes**2).mean()
    gain = np.sqrt((rho + rho_prime) / (2 * rho * rho_prime))
    normalized = gain * (a - a.mean())
    return {
        "input_variance": y.var(),
        "output_variance": a.var(),
        "rho": rho,
        "rho_prime": rho_prime,
        "lambda": gain,
        "normalized_rho": (normalized**2).mean() / y.var(),
        "normalized_rho_prime": ((gain * slopes) ** 2).mean(),
    }
