"""`Probe`: what happens inside every activation layer of a network, reduced while it runs."""

import math
from collections.abc import Container, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor, nn

from robustbench_act.activations import activation_slope
from robustbench_act.devices import is_out_of_memory
from robustbench_act.errors import InputError, first_line, unknown_name
from robustbench_act.probes.calls import Call, FollowedCalls, is_measurable
from robustbench_act.probes.compiled import refuse_script
from robustbench_act.probes.elements import ElementStatistics
from robustbench_act.probes.image_axes import SEVERAL, ImageAxis, Stacking
from robustbench_act.probes.injection import Injection
from robustbench_act.probes.per_sample import Reduced, SampleStatistics
from robustbench_act.probes.signals import SignalStatistics
from robustbench_act.probes.sweep import Sweep, sweep
from robustbench_act.tally.layer_columns import HISTOGRAMS, QUANTITIES, SLOPE_COLUMNS
from robustbench_act.tally.mergeable_stats import Moments, moment_columns, quantile_columns

METRICS = ("fluctuation", "means", "slopes", "signal", "gradients")
DEFAULT_METRICS = ("fluctuation", "means", "slopes", "signal")


class Layer:
    """One activation layer: one call of one module or function in a forward pass.

    Attributes
    ----------
    name : str
        Module path, see `Call.layer`.
    elements : int
        D, the elements of one sample; the same in every pass.
    samples : SampleStatistics
    element : ElementStatistics
    signal : SignalStatistics
        Those that the probe's metrics need are filled, the others empty.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.elements = 0
        self.count = 0
        self.samples: SampleStatistics | None = None
        self.element = ElementStatistics()
        self.signal = SignalStatistics()


class Probe:
    """Context manager that watches the activation layers of a network over any number of forward passes.

    While it is open, every forward pass takes a batch [clean; shifted 1; ...; shifted k] along the first
    dimension: `versions` = k + 1 blocks of equally many samples in equal order. Everything is reduced inside
    the hooks, so memory does not grow with the number of samples; inputs are read before an in-place
    activation overwrites them. The hooks are gone when the block ends, also after an exception. A network
    that torch.compile has compiled runs uncompiled in the block.

    Parameters
    ----------
    model
        The network: any `nn.Module`. In evaluation mode if there is more than one version, since samples
        must not see each other.
    metrics
        Of "fluctuation" (`SampleStatistics`: how much a sample's layer moves), "means" and "slopes"
        (`ElementStatistics`: activation means, saturated and dead elements; state of versions x D numbers a
        layer), "signal" (`SignalStatistics`: rho, rho', lambda, variances; of the clean version) and
        "gradients" (variance of the gradient with respect to the layer's input, of the clean version: call
        `backward` or `torch.autograd.grad` on a loss that is a sum over samples).
    versions
        Blocks in a batch.
    injection
        A shift of the input of one layer, in all versions but the clean one.
    only
        The layers that are measured; all that can be, if it is not given.
    axes
        Where the images are in layers that do not have them along the first axis, as `find_image_axes`
        returns it; a reason instead of an axis leaves a layer out. If given, a layer that turns out not to be
        measurable is left out too (`left_out` says why) instead of an error. If only its slopes are not,
        `left_out` has "slopes of LAYER", and their columns are NaN.

    Raises
    ------
    InputError
        A metric is unknown, the network is in training mode with several versions, or TorchScript, which has
        no layers to watch; inside the block: a batch cannot be split into the versions, a layer cannot be
        measured, or one pass cannot tell which of its rows belong to which image; in `to_frame`: no
        activation layer was measured.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    >>> clean = torch.ones(3, 4)
    >>> with Probe(model, metrics=["fluctuation"], versions=2) as probe, torch.no_grad():
    ...     _ = model(torch.cat([clean, clean]))
    >>> probe.to_frame()[["version", "layer", "elements", "n", "output_fluctuation_mean"]]
       version layer  elements  n  output_fluctuation_mean
    0        0     1         4  3                      0.0
    1        1     1         4  3                      0.0
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        metrics: Iterable[str] = DEFAULT_METRICS,
        versions: int = 1,
        injection: Injection | None = None,
        only: Container[str] | None = None,
        axes: Mapping[str, ImageAxis | str] | None = None,
    ) -> None:
        self.metrics = frozenset(metrics)
        unknown = sorted(self.metrics - set(METRICS))
        if unknown:
            raise InputError(f"Unknown probe metric {unknown[0]!r}. There are: {', '.join(METRICS)}.")
        if versions < 1:
            raise InputError(f"Expected at least one version, the clean one, got {versions}.")
        self.versions = versions
        self._model, self._injection = model, injection
        self._calls: FollowedCalls | None = None  # while it is open: they refer to each other
        self._layers: dict[str, Layer] = {}
        self._axes, self._only = axes, only
        self.left_out = {layer: why for layer, why in (axes or {}).items() if isinstance(why, str)}
        self._open: tuple[Layer, Stacking] | None = None  # what is being called, if it is measured
        self._before: Sweep | None = None  # of the input of what is being called

    def __enter__(self) -> Self:
        refuse_script(self._model)
        if self._model.training and self.versions > 1:
            raise InputError(
                "Expected the network in evaluation mode, where samples do not see each other: call .eval()."
            )
        self._calls = FollowedCalls(self._model, self)
        self._calls.__enter__()
        self.left_out |= self._calls.passed_over
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._calls is not None
        self._calls.__exit__(kind, error, trace)
        self._calls = None

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order of their first call.

        An InputError if the one whose input was to be shifted is missing.
        """
        if self._injection is not None and self._injection.layer not in self._layers:
            raise unknown_name("activation layer", self._injection.layer, self._layers)
        return list(self._layers.values())

    def before(self, call: Call, x: Any) -> Tensor | None:
        """Take an activation's input (see `Watcher`)."""
        self._open = None
        if call.layer in self.left_out or (self._only is not None and call.layer not in self._only):
            return None
        try:
            return self._take_call(call, x)
        except Exception as error:  # the activation may be the user's: its slope may raise anything
            self._leave_out(call, error)
        return None

    def after(self, call: Call, output: Any) -> None:
        """Take an activation's output (see `Watcher`)."""
        if self._open is None:
            return
        try:
            _check_measurable(output, "return")
            with torch.inference_mode(False), torch.no_grad():  # what is kept may be updated in any mode
                layer, stacking = self._open
                self._take_output(layer, stacking.of(output))
        except Exception as error:
            self._leave_out(call, error)

    def _leave_out(self, call: Call, error: Exception) -> None:
        """Measure a layer no further, if its network was looked at before; else raise."""
        if is_out_of_memory(error):
            raise error
        if self._axes is None:
            raise InputError(f"Layer {call.layer}: {error}") from error
        self.left_out[call.layer] = first_line(error)
        self._layers.pop(call.layer, None)

    def _take_call(self, call: Call, x: Any) -> Tensor | None:
        _check_measurable(x, "take")
        stacking = self._stacking(call, x)
        layer = self._layers.setdefault(call.layer, Layer(call.layer))
        injected = self._injection is not None and self._injection.layer == call.layer
        if self._injection is not None and injected:
            x = stacking.undo(self._injection.apply(stacking.of(x), start=layer.count))
        elements = stacking.of(x).shape[2:].numel()
        if layer.elements not in (0, elements):
            raise InputError(
                f"expected {layer.elements} elements per sample as in the passes before, got {elements}."
            )
        layer.elements = elements
        with torch.inference_mode(False), torch.no_grad():
            self._take_input(layer, call, x, stacking)
        if "gradients" in self.metrics and x.requires_grad:
            x.register_hook(lambda gradient: layer.signal.add("gradient", stacking.of(gradient)[0]))
        self._open = layer, stacking
        return x if injected else None

    def _stacking(self, call: Call, x: Tensor) -> Stacking:
        """Return where the images are; an InputError if that was not looked for and one pass cannot tell."""
        axis = (self._axes or {}).get(call.layer)
        if isinstance(axis, ImageAxis):
            assert call.images is not None, "an axis was found, so a pass begins with a batch"
            return Stacking(axis, call.images, self.versions)
        either = x.ndim == 3 and len(x) == x.shape[1]  # (images, sequence, ...) or (sequence, images, ...)
        if self._axes is not None and call.images not in (None, len(x)):
            raise InputError(SEVERAL)  # the same words in every pass: one note
        if self._axes is None and call.images is not None and (len(x) != call.images or either):
            got = f"two axes of {len(x)}" if either else f"{len(x)} rows"
            raise InputError(
                f"expected a row for each of the {call.images} images, got {got}: one pass cannot tell which "
                "belong to which image. Give the probe axes=find_image_axes(model, images)."
            )
        return Stacking(ImageAxis(), len(x), self.versions)

    def _take_output(self, layer: Layer, stacked: Tensor) -> None:
        layer.count += stacked.shape[1]
        after = self._swept(layer, "activation", stacked)
        if self._before is not None and after is not None and "fluctuation" in self.metrics:
            if layer.samples is None:
                layer.samples = SampleStatistics(self.versions, layer.elements, stacked.device)
            layer.samples.add(self._before, after)
        if "signal" in self.metrics:
            layer.signal.add("output", stacked[0])

    def _take_input(self, layer: Layer, call: Call, x: Tensor, stacking: Stacking) -> None:
        stacked = stacking.of(x)
        self._before = self._swept(layer, "activation_input", stacked)
        if "signal" in self.metrics:
            layer.signal.add_input(stacked[0])
        if self.metrics & {"slopes", "signal"} and _slopes_of(call.layer) not in self.left_out:
            self._take_slopes(layer, call, x, stacking)

    def _swept(self, layer: Layer, side: str, stacked: Tensor) -> Sweep | None:
        """Return the sums of one side of a layer, if a metric needs them; its element means are added up."""
        if "means" in self.metrics:
            return layer.element.swept(side, stacked)
        return sweep(stacked) if "fluctuation" in self.metrics else None

    def _take_slopes(self, layer: Layer, call: Call, x: Tensor, stacking: Stacking) -> None:
        """Measure the slopes; if that fails in a network that was looked at before, leave them alone out."""
        of_all = "slopes" in self.metrics or not stacking.axis.is_plain
        taken = x if of_all else x[: len(x) // self.versions]
        try:
            slope = activation_slope(call.activation, taken)
            slope = stacking.of(slope) if of_all else slope[None]
            if "signal" in self.metrics:
                layer.signal.add_slope(call.activation, stacking.of(x)[0], slope[0])
        except Exception as error:  # the activation may be the user's, and its derivative too
            if self._axes is None or is_out_of_memory(error):
                raise
            self.left_out[_slopes_of(call.layer)] = first_line(error)
            layer.element.drop_slopes()
            layer.signal.drop_slopes()
            return
        if "slopes" in self.metrics:
            layer.element.add_slope(slope)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each version and layer.

        Columns: version (0: clean), layer, index (in the order of the calls), elements (D), n (samples), then
        those of the metrics.

        - "fluctuation": mean and var (divisor n - 1) over samples of each of QUANTITIES, `_q05` to `_q95` of
          HISTOGRAMS, all in the units of the layer; nonfinite: samples with a NaN or infinite value.
        - "means": MEAN_COLUMNS; "slopes": SLOPE_COLUMNS of `robustbench_act.tally.layer_columns`.
        - "signal": SIGNAL_COLUMNS; "gradients": GRADIENT_COLUMNS; both in the clean rows.

        Errors as for `layers`; also if no layer was measured.
        """
        if not self._layers:
            name = type(self._model).__name__
            raise InputError(
                f"Expected a network with activation layers, but {name} called none that can be measured: "
                "neither a module such as nn.ReLU nor a function such as F.relu. Evaluate it without probes."
            )
        frames = [self._layer_frame(index, layer) for index, layer in enumerate(self.layers)]
        table = pd.concat(frames, ignore_index=True)
        return table.sort_values(["version", "index"], kind="stable", ignore_index=True)

    def _layer_frame(self, index: int, layer: Layer) -> pd.DataFrame:
        columns: dict[str, Any] = {
            "version": range(self.versions),
            "layer": layer.name,
            "index": index,
            "elements": layer.elements,
            "n": layer.count,
        }
        if layer.samples is not None:
            columns |= sample_columns(layer.samples.reduced(), layer.elements)
        if "slopes" in self.metrics:
            columns |= dict.fromkeys(SLOPE_COLUMNS, math.nan)  # if they are left out
        if self.metrics & {"means", "slopes"}:
            columns |= {name: values.cpu().numpy() for name, values in layer.element.columns().items()}
        frame = pd.DataFrame(columns)
        for name, value in self.clean_columns(layer).items():
            frame[name] = [value] + [float("nan")] * (self.versions - 1)
        return frame

    def clean_columns(self, layer: Layer) -> dict[str, float]:
        """Return the columns that are measured on clean data only: "signal" and "gradients"."""
        columns: dict[str, Tensor] = {}
        if "signal" in self.metrics:
            columns |= layer.signal.columns()
        if "gradients" in self.metrics:
            columns |= layer.signal.gradient_columns()
        return {name: value.item() for name, value in columns.items()}


def _slopes_of(layer: str) -> str:
    """Return the name in `left_out` of a layer's slopes, if they alone are left out."""
    return f"slopes of {layer}"


def sample_columns(samples: Reduced, elements: int) -> dict[str, Any]:
    """Return the columns of the metric "fluctuation", each (versions,)."""
    columns: dict[str, Any] = {}
    for name, moments in zip(QUANTITIES, samples.moments, strict=True):
        count, mean, m2 = (part.cpu().numpy() for part in moments)
        columns |= moment_columns(name, Moments(count, mean, m2))
    for name, histogram in zip(HISTOGRAMS, samples.histograms, strict=True):
        columns |= quantile_columns(name, histogram.cpu().numpy(), elements)
    columns["nonfinite"] = samples.nonfinite.cpu().numpy()
    return columns


def _check_measurable(value: Any, verb: str) -> None:
    if not is_measurable(value):
        found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"expected the activation to {verb} floats (N, ...), got {found}.")
