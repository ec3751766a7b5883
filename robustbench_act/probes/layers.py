"""What a shift of the input does to every activation layer, reduced while the network runs.

Definitions (LayerAct, arXiv 2306.04940): for one sample with clean input y and shifted input y^ of an
activation layer g with D elements,

    input fluctuation   = sum_i |y^_i - y_i|
    output fluctuation  = sum_i |g(y^)_i - g(y)_i|
    activation mean     mu_i = (1/M) sum_m g(y_m)_i     of element i over M samples
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import activation_layers
from robustbench_act.probes.moments import Moments


@dataclass
class LayerRecord:
    """One activation layer (one call of one module) over the groups of a stacked batch.

    Attributes
    ----------
    layer
        Module path; the second call of a module in one pass is `path#2`.
    elements
        D, the elements of one sample.
    input_fluctuation, output_fluctuation
        Moments over samples, one quantity for each group: the clean group 0 (always 0) and the shifted ones.
    activation_sum
        float64 (groups, D): sum of the outputs over samples; None where element means are not asked for.
    """

    layer: str
    elements: int
    input_fluctuation: Moments
    output_fluctuation: Moments
    activation_sum: Tensor | None

    def activation_means(self) -> tuple[Tensor, Tensor]:
        """Return, for each group, the mean over elements of mu_i and of |mu_i|; NaN where not measured."""
        if self.activation_sum is None:
            nan = torch.full_like(self.output_fluctuation.mean, torch.nan)
            return nan, nan
        mu = self.activation_sum / self.output_fluctuation.count
        return mu.mean(1), mu.abs().mean(1)


@dataclass
class LayerProbe:
    """Context manager that watches the activation layers of `model` over passes with a stacked batch.

    While it is open, every forward pass takes a batch [clean; shifted 1; ...; shifted k] along the first
    dimension: `groups` = k + 1 blocks of equally many samples in equal order. Valid in evaluation mode only,
    where samples do not see each other. Everything is reduced inside the hooks; inputs are read before an
    in-place activation overwrites them. The hooks are gone when the block ends, also by an exception.

    Parameters
    ----------
    model
        The network, in evaluation mode.
    groups
        Blocks in the batch.
    element_means
        Whether to take the activation mean of every element (state of groups x D numbers a layer).

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    >>> clean = torch.ones(3, 4)
    >>> with LayerProbe(model, groups=2) as probe, torch.no_grad():
    ...     _ = model(torch.cat([clean, clean]))
    >>> [(record.layer, record.elements, record.output_fluctuation.mean.tolist()) for record in probe]
    [('1', 4, [0.0, 0.0])]
    """

    model: nn.Module
    groups: int
    element_means: bool = False
    _records: dict[str, LayerRecord] = field(default_factory=dict, init=False)
    _calls: Counter[str] = field(default_factory=Counter, init=False)
    _pending: dict[str, Tensor] = field(default_factory=dict, init=False)
    _handles: list[Any] = field(default_factory=list, init=False)

    def __enter__(self) -> "LayerProbe":
        assert not self.model.training
        self._handles.append(self.model.register_forward_pre_hook(lambda *_: self._calls.clear()))
        for path, module in activation_layers(self.model):
            before, after = self._hooks(path)
            self._handles.append(module.register_forward_pre_hook(before))
            self._handles.append(module.register_forward_hook(after))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._pending.clear()

    def __iter__(self) -> Iterator[LayerRecord]:
        """Yield the layers in the order of their first call."""
        return iter(self._records.values())

    def _hooks(self, path: str) -> tuple[Any, Any]:
        def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._pending[path] = self._fluctuation(inputs[0])

        def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._calls[path] += 1
            call = self._calls[path]
            self._reduce(path if call == 1 else f"{path}#{call}", self._pending.pop(path), output)

        return before, after

    def _fluctuation(self, x: Tensor) -> Tensor:
        """Return sum_i |x^_i - x_i| of each shifted sample, (groups - 1, samples)."""
        stacked = torch.unflatten(x, 0, (self.groups, -1))
        difference = (stacked[1:] - stacked[:1]).flatten(2)
        norm: Tensor = torch.linalg.vector_norm(difference, ord=1, dim=-1, dtype=_accumulator(x.dtype))
        return norm

    def _reduce(self, layer: str, input_fluctuation: Tensor, output: Tensor) -> None:
        record = self._records.get(layer)
        if record is None:
            record = self._records[layer] = self._new_record(layer, output)
        record.input_fluctuation.add(_with_clean(input_fluctuation))
        record.output_fluctuation.add(_with_clean(self._fluctuation(output)))
        if record.activation_sum is not None:
            # A batch's few samples are added in float32 (float64 takes 5 times as long), batches in float64.
            sums = (
                torch.unflatten(output, 0, (self.groups, -1))
                .flatten(2)
                .sum(1, dtype=_accumulator(output.dtype))
            )
            record.activation_sum += sums

    def _new_record(self, layer: str, output: Tensor) -> LayerRecord:
        elements, device = output[0].numel(), output.device
        sums = torch.zeros(self.groups, elements, dtype=torch.float64, device=device)
        moments = [Moments.zeros(self.groups, device=device) for _ in range(2)]
        return LayerRecord(layer, elements, moments[0], moments[1], sums if self.element_means else None)


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _with_clean(shifted: Tensor) -> Tensor:
    """Put the clean group's zeros before the shifted groups: (groups - 1, n) -> (groups, n)."""
    return F.pad(shifted, (0, 0, 1, 0))
