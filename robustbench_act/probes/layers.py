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


@dataclass
class LayerRecord:
    """One activation layer (one call of one module) over the groups of a stacked batch.

    Attributes
    ----------
    layer
        Module path; the second call of a module in one pass is `path#2`.
    elements
        D, the elements of one sample.
    activation_sum
        float64 (groups, D): sum of the outputs over samples; None where element means are not asked for.
    """

    layer: str
    elements: int
    activation_sum: Tensor | None
    _input: list[Tensor] = field(default_factory=list)
    _output: list[Tensor] = field(default_factory=list)

    @property
    def input_fluctuation(self) -> Tensor:
        """Input fluctuation of every sample so far, (groups, n); group 0 is the clean one, always 0."""
        return torch.cat(self._input, dim=1)

    @property
    def output_fluctuation(self) -> Tensor:
        """Output fluctuation, likewise."""
        return torch.cat(self._output, dim=1)

    def activation_means(self) -> tuple[Tensor, Tensor]:
        """Return, for each group, the mean over elements of mu_i and of |mu_i|; NaN where not measured."""
        fluctuation = self.output_fluctuation
        if self.activation_sum is None:
            nan = fluctuation.new_full((len(fluctuation),), torch.nan, dtype=torch.float64)
            return nan, nan
        mu = self.activation_sum / fluctuation.shape[1]
        return mu.mean(1), mu.abs().mean(1)

    def add(self, input_fluctuation: Tensor, output_fluctuation: Tensor, output: Tensor) -> None:
        """Add a batch: its fluctuations (groups, b) and outputs (groups, b, D)."""
        self._input.append(input_fluctuation)
        self._output.append(output_fluctuation)
        if self.activation_sum is not None:
            for sample in output.unbind(1):  # one by one, so that no batch size changes the rounding
                self.activation_sum += sample


@dataclass
class LayerProbe:
    """Context manager that watches the activation layers of `model` over passes with a stacked batch.

    While it is open, every forward pass takes a batch [clean; shifted 1; ...; shifted k] along the first
    dimension: `groups` = k + 1 blocks of equally many samples in equal order. Valid in evaluation mode only,
    where samples do not see each other. Everything is reduced inside the hooks, to two numbers a sample and
    layer; inputs are read before an in-place activation overwrites them. The hooks are gone when the block
    ends, also by an exception.

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
    >>> [(record.layer, record.elements, record.output_fluctuation.tolist()) for record in probe]
    [('1', 4, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])]
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
        """Return sum_i |x^_i - x_i| of each sample, (groups, samples); the clean group's is 0."""
        stacked = self._stacked(x)
        shifted = torch.linalg.vector_norm(
            stacked[1:] - stacked[:1], ord=1, dim=-1, dtype=torch.promote_types(x.dtype, torch.float32)
        )
        return F.pad(shifted, (0, 0, 1, 0))

    def _reduce(self, layer: str, input_fluctuation: Tensor, output: Tensor) -> None:
        stacked = self._stacked(output)
        if layer not in self._records:
            elements = stacked.shape[-1]
            zeros = stacked.new_zeros(self.groups, elements, dtype=torch.float64)
            self._records[layer] = LayerRecord(layer, elements, zeros if self.element_means else None)
        self._records[layer].add(input_fluctuation, self._fluctuation(output), stacked)

    def _stacked(self, x: Tensor) -> Tensor:
        """View a batch as (groups, samples, D)."""
        return torch.unflatten(x, 0, (self.groups, -1)).flatten(2)
