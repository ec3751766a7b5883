"""One network on one unit's images: its cell rows and its layer rows."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from robustbench_act.behaviour import logits_of, probe_axes
from robustbench_act.probes import Layer, Probe
from robustbench_act.records import Behaviour
from robustbench_act.tally.answers import Answers
from robustbench_act.tally.cell_rows import count_cells, rows_of
from robustbench_act.tally.layer_columns import HISTOGRAMS, QUANTITIES
from robustbench_act.tally.quantity_kinds import Columns, Row

USUAL = Behaviour()

Answer: TypeAlias = Callable[[nn.Module, Tensor], Tensor]
"""From a network and its inputs to its logits (n, classes)."""


class Measured(NamedTuple):
    """The rows of one network on one unit's images, and the layers that are not measured, with the reason."""

    cells: list[Row]
    layers: list[Row]
    left_out: Mapping[str, str]


@torch.inference_mode()
def measure(
    model: nn.Module,
    inputs: Iterable[Tensor],
    labels: Tensor | None,
    *,
    batch_size: int,
    metrics: Collection[str],
    layout: torch.memory_format = torch.contiguous_format,
    behaviour: Behaviour = USUAL,
    columns: Tensor | None = None,
) -> Measured:
    """Run `model` over portions of stacked inputs and return its cell rows and its layer rows.

    Both have the key `version` (0: the clean images). Cells: see `cell_rows.count_cells`. Layers: layer,
    index, elements, n, nonfinite; the moments `_count`, `_mean` and `_m2` (sum of squared deviations from the
    mean) of each of QUANTITIES; `_histogram` of each of HISTOGRAMS, bytes of int64; and the other columns of
    `Probe.to_frame` that the metrics have. Raises FloatingPointError if a logit is not finite.

    Parameters
    ----------
    inputs
        One or several (k + 1, n_i, C, H, W), normalised: clean images, then k corrupted versions of the
        same; n images in all.
    labels
        int64 (n,), or None: see `tally.answers.Answers`.
    batch_size
        Images, clean and corrupted together, that go through the network at once (k + 1 at least).
    metrics
        What to measure in the activation layers: see `Probe`; nothing if empty.
    layout
        Memory format of the network's inputs.
    behaviour
        What is known of the network, see `behaviour.look_at`. Layers are not measured if its images see each
        other: then all images of a version go through it at once, whatever the batch size.
    columns
        int64 (classes,): the logits of the classes; the others do not count. None if all do.
    """
    answer = partial(logits_of, behaviour=behaviour, columns=columns)
    if behaviour.batch_dependent:
        answers = Answers(_logits_in_company(model, inputs, layout, answer), labels)
        if not answers.are_finite():
            raise FloatingPointError("logits that are not finite")
        return Measured(count_cells(answers), [], {})
    metrics = () if behaviour.unwatched else metrics
    portions = iter(inputs)
    first = next(portions)
    versions = len(first)
    probe = Probe(model, metrics=metrics, versions=versions, axes=probe_axes(behaviour))
    step = max(batch_size // versions, 1)
    with probe if metrics else nullcontext():
        parts = list(_logits(model, chain([first], portions), step, layout, answer))
    answers = Answers(torch.cat(parts, dim=1), labels)
    if not answers.are_finite():
        raise FloatingPointError(f"logits that are not finite{_where(probe) if metrics else ''}")
    rows = [row for index, layer in enumerate(probe.layers) for row in _layer_rows(index, layer, probe)]
    return Measured(count_cells(answers), rows, probe.left_out if metrics else {})


def _where(probe: Probe) -> str:
    """Name the layer in which it began."""
    for layer in probe.layers:
        if layer.samples is not None and layer.samples.nonfinite.any():
            return f"; the first layer with such values is {layer.name}"
    return ""


def _logits(
    model: nn.Module, portions: Iterable[Tensor], step: int, layout: torch.memory_format, answer: Answer
) -> Iterator[Tensor]:
    """Yield float (k + 1, n, classes), taking `step` images and their corrupted versions at a time."""
    for inputs in portions:
        for part in torch.split(inputs, step, dim=1):
            logits = answer(model, _own(part.flatten(0, 1), inputs, layout))
            yield logits.view(len(inputs), -1, logits.shape[-1])


def _logits_in_company(
    model: nn.Module, portions: Iterable[Tensor], layout: torch.memory_format, answer: Answer
) -> Tensor:
    """Return float (k + 1, n, classes), taking all images of a version at once."""
    versions = len(next(iter(portions)))
    return torch.stack(
        [
            answer(model, _own(torch.cat([part[version] for part in portions]), None, layout))
            for version in range(versions)
        ]
    )


def _own(batch: Tensor, shared: Tensor | None, layout: torch.memory_format) -> Tensor:
    """Return a batch that a network may write to: other networks see the same inputs."""
    own = batch.contiguous(memory_format=layout)
    return own.clone() if shared is not None and own.data_ptr() == shared.data_ptr() else own


def _layer_rows(index: int, layer: Layer, probe: Probe) -> list[Row]:
    assert layer.samples is not None
    facts = {"layer": layer.name, "index": index, "elements": layer.elements, "n": layer.count}
    columns: Columns = {"version": range(probe.versions)}
    columns |= {name: [value] * probe.versions for name, value in facts.items()}
    measured = {"nonfinite": layer.samples.nonfinite}
    for name, moments in zip(QUANTITIES, layer.samples.moments, strict=True):
        measured |= {f"{name}_{part}": values for part, values in moments._asdict().items()}
    measured |= layer.element.columns()
    rows = rows_of(columns | {name: values.tolist() for name, values in measured.items()})
    rows[0] |= probe.clean_columns(layer)
    for name, histogram in zip(HISTOGRAMS, layer.samples.histograms, strict=True):
        for row, counts in zip(rows, histogram.cpu().numpy(), strict=True):
            row[f"{name}_histogram"] = counts.tobytes()
    return rows
