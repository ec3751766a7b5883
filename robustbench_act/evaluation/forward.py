"""One network on one unit's images: its cell rows and its layer rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from robustbench_act.behaviour import logits_of, probe_axes
from robustbench_act.evaluation.inputs import Versions
from robustbench_act.evaluation.plan import CHUNK
from robustbench_act.probes import DEFAULT_METRICS, ImageAxis, Layer, Probe
from robustbench_act.records import Behaviour
from robustbench_act.tally.answers import Answers
from robustbench_act.tally.cell_rows import count_cells
from robustbench_act.tally.layer_columns import HISTOGRAMS, QUANTITIES
from robustbench_act.tally.quantity_kinds import Row

USUAL = Behaviour()
CLEAN_METRICS = DEFAULT_METRICS
COMPARED_METRICS = ("fluctuation", "means")
"""What is measured of clean images, and of corrupted ones in comparison with them."""

_TOGETHER = 3  # images in a pass at least, with all versions that are compared

Columns: TypeAlias = dict[str, np.ndarray]
Answer: TypeAlias = Callable[[Tensor], Tensor]
"""From inputs of a network to its logits (n, classes)."""


class Measured(NamedTuple):
    """The rows of one network on one unit's images, and the layers that are not measured, with the reason.

    Both kinds of rows have the key `version`.
    """

    cells: list[Row]
    layers: pd.DataFrame
    left_out: Mapping[str, str]
    clean: Tensor | None = None  # int64 (n,): what it predicts for the clean images


class _Pass:
    """Versions that go through the network together, and the probe that watches them."""

    def __init__(self, versions: Sequence[int], probe: Probe | None) -> None:
        self.versions, self.probe = versions, probe
        self.logits: list[Tensor] = []


@torch.inference_mode()
def measure(
    model: nn.Module,
    portions: Iterable[Versions],
    labels: Tensor | None,
    *,
    series: Sequence[Sequence[int]],
    batch_size: int,
    probes: bool,
    layout: torch.memory_format = torch.contiguous_format,
    behaviour: Behaviour = USUAL,
    columns: Tensor | None = None,
    clean: Tensor | None = None,
) -> Measured:
    """Run `model` over images in several versions and return its cell rows and its layer rows.

    Cells: see `cell_rows.count_cells`. Layers: layer, index, elements, n, nonfinite; the moments `_count`,
    `_mean` and `_m2` (sum of squared deviations from the mean) of each of QUANTITIES; `_histogram` of each of
    HISTOGRAMS, bytes of int64; and the other columns of `Probe.to_frame`. Raises FloatingPointError if a
    logit is not finite.

    Parameters
    ----------
    portions
        The images, a portion at a time.
    labels
        int64 (n,) for all of them, or None: see `tally.answers.Answers`.
    series
        The versions of each series, by rising severity; the clean images are the series [0].
    batch_size
        Images in all versions that go through the network at once.
    probes
        Whether the activation layers are measured.
    layout
        Memory format of the network's inputs.
    behaviour
        What is known of the network, see `behaviour.look_at`. Layers are not measured if its images see each
        other: then the images of a version go through it CHUNK at a time, whatever the batch size.
    columns
        int64 (classes,): the logits of the classes; the others do not count. None if all do.
    clean
        What it predicts for the clean images, if that is known: they go through it again only if layers are
        compared with them.
    """

    def answer(inputs: Tensor) -> Tensor:
        own = inputs.contiguous(memory_format=layout)
        return logits_of(model, own, behaviour=behaviour, columns=columns)

    watched = probes and not behaviour.unwatched and not behaviour.batch_dependent
    versions = sorted({*([0] if clean is None or watched else []), *chain.from_iterable(series)})
    if behaviour.batch_dependent:
        passes = []
        logits = _logits_in_company(portions, versions, answer)
    else:
        axes = probe_axes(behaviour) if watched else None
        passes = _passes(model, versions, batch_size, axes, clean=[0] in map(list, series))
        logits = _logits(portions, passes, batch_size, answer)
    if 0 in logits:
        clean = logits[0].argmax(-1)
        if not Answers(logits[0][None], labels).are_finite():
            raise FloatingPointError(f"logits that are not finite{_where(passes)}")
    cells = []
    for own in series:
        answers = Answers(torch.stack([logits[version] for version in own]), labels, clean)
        if not answers.are_finite():
            raise FloatingPointError(f"logits that are not finite{_where(passes)}")
        cells += [{**row, "version": own[row["version"]]} for row in count_cells(answers)]
    left_out = {
        layer: why for one in passes if one.probe is not None for layer, why in one.probe.left_out.items()
    }
    return Measured(cells, _layer_rows(passes, series), left_out, clean)


def _passes(
    model: nn.Module,
    versions: Sequence[int],
    batch_size: int,
    axes: Mapping[str, ImageAxis | str] | None,
    *,
    clean: bool,
) -> list[_Pass]:
    """Divide the versions; those whose layers are compared have the clean one among them.

    What only the clean images are measured by is taken in a pass of their own. Without `axes` there are no
    probes.
    """
    if axes is None:
        alone = [_Pass([0], None)] if 0 in versions else []
        return alone + [_Pass(own, None) for own in _divided([one for one in versions if one], batch_size)]
    found = [_Pass([0], Probe(model, metrics=CLEAN_METRICS, axes=axes))] if clean else []
    for own in _divided(versions[1:], batch_size // _TOGETHER - 1):
        probe = Probe(model, metrics=COMPARED_METRICS, versions=1 + len(own), axes=axes)
        found.append(_Pass([0, *own], probe))
    return found


def _divided(versions: Sequence[int], most: int) -> list[Sequence[int]]:
    """Divide versions into parts of about equal length, `most` at most.

    >>> _divided([1, 2, 3, 4, 5], 3)
    [[1, 2], [3, 4, 5]]
    """
    total, parts = len(versions), -(-len(versions) // max(most, 1))
    return [versions[total * part // parts : total * (part + 1) // parts] for part in range(parts)]


def _logits(
    portions: Iterable[Versions], passes: Sequence[_Pass], batch_size: int, answer: Answer
) -> dict[int, Tensor]:
    """Return the logits of each version, (n, classes): of the clean images, from their first pass."""
    for portion in portions:
        for one in passes:
            with one.probe or nullcontext():
                for inputs in _batches(portion, one.versions, batch_size):
                    one.logits.append(answer(inputs.flatten(0, 1)).view(*inputs.shape[:2], -1))
    found: dict[int, Tensor] = {}
    for one in passes:
        for version, own in zip(one.versions, torch.cat(one.logits, dim=1), strict=True):
            found.setdefault(version, own)
    return found


def _where(passes: Sequence[_Pass]) -> str:
    """Name the layer in which it began."""
    for one in passes:
        for layer in one.probe.layers if one.probe is not None else ():
            if layer.samples is not None and layer.samples.reduced().nonfinite.any():
                return f"; the first layer with such values is {layer.name}"
    return ""


def _batches(portion: Versions, versions: Sequence[int], batch_size: int) -> Iterator[Tensor]:
    """Yield inputs (versions, n, C, H, W) of some images at a time."""
    step = max(batch_size // len(versions), 1)
    for start in range(0, len(portion), step):
        yield portion.inputs(versions, slice(start, start + step))


def _logits_in_company(
    portions: Iterable[Versions], versions: Sequence[int], answer: Answer
) -> dict[int, Tensor]:
    """Return the logits of each version, (n, classes), of the same CHUNK images at a time in any portions."""
    found = {}
    for version in versions:
        images = torch.cat([portion.inputs([version], slice(None))[0] for portion in portions])
        found[version] = torch.cat([answer(batch) for batch in torch.split(images, CHUNK)])
    return found


def _layer_rows(passes: Sequence[_Pass], series: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Return the rows of all layers, series by series; clean rows are those of the clean images' own pass."""
    alike: dict[tuple[str, ...], list[Columns]] = {}  # pandas takes its time for a table, however small
    for one in passes:
        if one.probe is not None:
            for index, layer in enumerate(one.probe.layers):
                columns = _columns_of_layer(index, layer, one)
                alike.setdefault(tuple(columns), []).append(columns)
    if not alike:
        return pd.DataFrame()
    frames = [
        pd.DataFrame({name: np.concatenate([one[name] for one in layers]) for name in names})
        for names, layers in alike.items()
    ]
    table = pd.concat(frames, ignore_index=True)
    rank = {version: place for place, own in enumerate(series) for version in own}
    order = [table["version"], table["index"], table["version"].map(rank)]
    return table.iloc[np.lexsort(order)].reset_index(drop=True)


def _columns_of_layer(index: int, layer: Layer, one: _Pass) -> Columns:
    """Return a layer's columns, (versions,) each: not of the clean images that others are compared with."""
    assert layer.samples is not None
    assert one.probe is not None
    samples = layer.samples.reduced()
    columns: dict[str, Any] = {
        "version": one.versions,
        "layer": layer.name,
        "index": index,
        "elements": layer.elements,
        "n": layer.count,
        "nonfinite": samples.nonfinite.cpu().numpy(),
    }
    for name, moments in zip(QUANTITIES, samples.moments, strict=True):
        for part, values in moments._asdict().items():
            columns[f"{name}_{part}"] = values.cpu().numpy()
    columns |= {name: values.cpu().numpy() for name, values in layer.element.columns().items()}
    columns |= one.probe.clean_columns(layer)
    for name, histogram in zip(HISTOGRAMS, samples.histograms, strict=True):
        rows = [counts.tobytes() for counts in histogram.cpu().numpy()]
        columns[f"{name}_histogram"] = np.array(rows, dtype=object)
    first = int(len(one.versions) > 1)
    return {name: _each(values, len(one.versions))[first:] for name, values in columns.items()}


def _each(values: Any, count: int) -> np.ndarray:
    """Return an array of `count` values, or of the same value as often."""
    if np.ndim(values):
        return np.asarray(values)
    return np.full(count, values, dtype=object if isinstance(values, str) else None)
