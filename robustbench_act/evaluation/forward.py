"""One network on one unit's images: its cell rows and its layer rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

STATE = 2**28
"""Bytes of the element means that a probe keeps, unless two versions have more."""

_TOGETHER = 3  # images in a pass at least, with all versions that are compared

Answer: TypeAlias = Callable[[Tensor], Tensor]
"""From inputs of a network to its logits (n, classes)."""

Columns: TypeAlias = dict[str, np.ndarray]
"""Rows of one layer, (versions,) in each column."""


class Measured(NamedTuple):
    """The rows of one network on one unit's images, and the layers that are not measured, with the reason.

    Both kinds of rows have the key `version`.
    """

    cells: list[Row]
    layers: pd.DataFrame
    left_out: Mapping[str, str]
    clean: Tensor | None = None  # int64 (n,): what it predicts for the clean images


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
        The images, a portion at a time, as often as they are asked for.
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
    compared = [version for version in versions if version]
    logits: dict[int, Tensor] = {}  # of each version, (n, classes)
    layers: list[Columns] = []
    left_out: dict[str, str] = {}
    if behaviour.batch_dependent:
        logits = _logits_in_company(portions, versions, answer)
    elif not watched:
        parts = [[0]] * (0 in versions) + _divided(compared, batch_size)
        logits = _logits(portions, parts, batch_size, answer)
    else:
        axes = probe_axes(behaviour)
        parts = [[0]] * ([0] in map(list, series))  # what only clean images are measured by has its own pass
        if compared:
            most = STATE // _state_of_version(model, portions, answer, axes)
            parts += [[0, *own] for own in _divided(compared, min(batch_size // _TOGETHER, most) - 1)]
        for part in parts:
            metrics = CLEAN_METRICS if part == [0] else COMPARED_METRICS
            with Probe(model, metrics=metrics, versions=len(part), axes=axes) as probe:
                logits = _logits(portions, [part], batch_size, answer) | logits  # clean: of the first pass
            layers += [_columns(index, layer, part, probe) for index, layer in enumerate(probe.layers)]
            left_out |= probe.left_out
    if 0 in logits:
        clean = logits[0].argmax(-1)
        _check_finite(Answers(logits[0][None], labels), layers)
    cells = []
    for own in series:
        answers = Answers(torch.stack([logits[version] for version in own]), labels, clean)
        _check_finite(answers, layers)
        cells += [{**row, "version": own[row["version"]]} for row in count_cells(answers)]
    return Measured(cells, _layer_rows(layers, series), left_out, clean)


def _state_of_version(
    model: nn.Module, portions: Iterable[Versions], answer: Answer, axes: Mapping[str, ImageAxis | str]
) -> int:
    """Return the bytes of the element means of one version, in and out of every layer."""
    with Probe(model, metrics=(), axes=axes) as probe:
        answer(next(iter(portions)).inputs([0], slice(0, 2))[0])
    return 2 * torch.float64.itemsize * sum(layer.elements for layer in probe.layers) or 1


def _divided(versions: list[int], most: int) -> list[list[int]]:
    """Divide versions into parts of about equal length, `most` at most.

    >>> _divided([1, 2, 3, 4, 5], 3)
    [[1, 2], [3, 4, 5]]
    """
    total, parts = len(versions), -(-len(versions) // max(most, 1))
    return [versions[total * part // parts : total * (part + 1) // parts] for part in range(parts)]


def _logits(
    portions: Iterable[Versions], parts: Sequence[Sequence[int]], batch_size: int, answer: Answer
) -> dict[int, Tensor]:
    """Return the logits of each version, (n, classes); those of a part go through the network together."""
    found: dict[int, list[Tensor]] = {version: [] for part in parts for version in part}
    for portion in portions:
        for part in parts:
            for inputs in _batches(portion, part, batch_size):
                rows = answer(inputs.flatten(0, 1)).view(*inputs.shape[:2], -1)
                for version, own in zip(part, rows, strict=True):
                    found[version].append(own)
    return {version: torch.cat(own) for version, own in found.items()}


def _check_finite(answers: Answers, layers: Sequence[Columns]) -> None:
    """Raise FloatingPointError if a logit that counts is not finite; name the layer in which it began."""
    if not answers.are_finite():
        names = [columns["layer"][0] for columns in layers if columns["nonfinite"].any()]
        where = f"; the first layer with such values is {names[0]}" if names else ""
        raise FloatingPointError(f"logits that are not finite{where}")


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


def _layer_rows(layers: Iterable[Columns], series: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Return the rows of all layers, series by series."""
    alike: dict[tuple[str, ...], list[Columns]] = {}  # pandas takes its time for a table, however small
    for columns in layers:
        alike.setdefault(tuple(columns), []).append(columns)
    if not alike:
        return pd.DataFrame()
    frames = [
        pd.DataFrame({name: np.concatenate([one[name] for one in some]) for name in names})
        for names, some in alike.items()
    ]
    table = pd.concat(frames, ignore_index=True)
    rank = {version: place for place, own in enumerate(series) for version in own}
    order = [table["version"], table["index"], table["version"].map(rank)]
    return table.iloc[np.lexsort(order)].reset_index(drop=True)


def _columns(index: int, layer: Layer, versions: Sequence[int], probe: Probe) -> Columns:
    """Return a layer's rows: not of the clean images that others are compared with."""
    assert layer.samples is not None
    samples = layer.samples.reduced()
    columns: dict[str, Any] = {
        "version": versions,
        "layer": layer.name,
        "index": index,
        "elements": layer.elements,
        "n": layer.count,
        "nonfinite": samples.nonfinite.cpu().numpy(),
    }
    numbers = {
        f"{name}_{part}": values
        for name, moments in zip(QUANTITIES, samples.moments, strict=True)
        for part, values in moments._asdict().items()
    }
    numbers |= layer.element.columns()
    columns |= zip(numbers, torch.stack([*numbers.values()]).cpu().numpy(), strict=True)  # a GPU waits once
    columns |= probe.clean_columns(layer)
    for name, histogram in zip(HISTOGRAMS, samples.histograms, strict=True):
        rows = [counts.tobytes() for counts in histogram.cpu().numpy()]
        columns[f"{name}_histogram"] = np.array(rows, dtype=object)
    first = int(len(versions) > 1)
    return {name: _each(values, len(versions))[first:] for name, values in columns.items()}


def _each(values: Any, count: int) -> np.ndarray:
    """Return an array of `count` values, or of the same value as often."""
    if np.ndim(values):
        return np.asarray(values)
    return np.full(count, values, dtype=object if isinstance(values, str) else None)
