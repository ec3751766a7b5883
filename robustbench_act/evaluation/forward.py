"""One checkpoint before one unit's images: counts, sums and layer moments."""

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_act.evaluation.thumbnails import SAMPLES
from robustbench_act.metrics.predictions import Scores, score
from robustbench_act.probes import Layer, Probe
from robustbench_act.records import pack_outcomes
from robustbench_act.tally.layer_columns import HISTOGRAMS, QUANTITIES

Row = dict[str, Any]
NEED_LABELS = ("correct", "top5_sum", "loss_sum", "brier_sum")


@torch.inference_mode()
def measure(
    model: nn.Module,
    inputs: Iterable[Tensor],
    labels: Tensor | None,
    *,
    batch_size: int,
    metrics: Collection[str],
    layout: torch.memory_format = torch.contiguous_format,
) -> tuple[list[Row], list[Row]]:
    """Run `model` over portions of stacked inputs and return its cell rows and its layer rows.

    Both have the key `version` (0: the clean images). Cells: n, correct, the sums over images of `SUMMED`,
    outcomes (a bit per image, see `records.outcomes`), confidence (bytes of float32 (n,)) and predicted (the
    classes of the first SAMPLES images, "7 2 1 0"). Layers:
    layer, index, elements, n, nonfinite; the moments `_count`, `_mean` and `_m2` (sum of squared deviations
    from the mean) of each of QUANTITIES; `_histogram` of each of HISTOGRAMS, bytes of int64; and the
    other columns of `Probe.to_frame` that the metrics have.

    Sums are taken over all n images at once: their rounding does not depend on the batch size.

    Parameters
    ----------
    inputs
        One or several (k + 1, n_i, C, H, W), normalised: clean images, then k corrupted versions of the
        same; n images in all.
    labels
        int64 (n,), or None: the network's own predictions on the clean images then stand in for them in the
        outcomes, and what labels are needed for is NaN.
    batch_size
        Images, clean and corrupted together, that go through the network at once (k + 1 at least).
    metrics
        What to measure of the activation layers: see `Probe`; nothing where empty.
    layout
        Memory format of what the network is given.

    Raises
    ------
    FloatingPointError
        Where a logit is not finite.
    """
    portions = iter(inputs)
    first = next(portions)
    versions = len(first)
    probe = Probe(model, metrics=metrics, versions=versions)
    step = max(batch_size // versions, 1)
    with probe if metrics else nullcontext():
        parts = list(_logits(model, chain([first], portions), step, layout))
    logits = torch.cat(parts, dim=1)
    count = logits.shape[1]
    scores = score(logits, logits[0].argmax(-1) if labels is None else labels)
    if not scores.loss.isfinite().all():
        raise FloatingPointError(f"logits that are not finite{_where(probe) if metrics else ''}")
    rows = _rows({"n": count}, _cell_columns(scores))
    bits = pack_outcomes(scores.correct.cpu().numpy())
    predicted = scores.predicted[:, :SAMPLES].tolist()
    for row, packed, confidence, classes in zip(
        rows, bits, scores.confidence.cpu().numpy(), predicted, strict=True
    ):
        row.update(outcomes=packed, confidence=confidence.tobytes(), predicted=" ".join(map(str, classes)))
        if labels is None:
            row.update(dict.fromkeys(NEED_LABELS, math.nan))
    layers = probe.layers if metrics else []
    return rows, [row for index, layer in enumerate(layers) for row in _layer_rows(index, layer, probe)]


def _cell_columns(scores: Scores) -> dict[str, Tensor]:
    predicted = scores.predicted
    before = torch.cat([predicted[:1], predicted[:-1]])
    return {
        "correct": scores.correct.sum(1),
        "top5_sum": scores.top5.sum(1),
        "loss_sum": scores.loss.sum(1, dtype=torch.float64),
        "brier_sum": scores.brier.sum(1, dtype=torch.float64),
        "agreement_sum": (predicted == predicted[:1]).sum(1),
        "flips_sum": (predicted != before).sum(1),
    }


def _where(probe: Probe) -> str:
    """Say in which layer it began."""
    for layer in probe.layers:
        if layer.samples is not None and layer.samples.nonfinite.any():
            return f"; the first layer with such values is {layer.name}"
    return ""


def logits_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return float32 logits (N, classes); a ValueError where the network returns something else."""
    found: Any = model(inputs)
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(inputs):
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"expected logits ({len(inputs)}, classes) from the network, got {got}")
    return found.float()


def _logits(
    model: nn.Module, portions: Iterable[Tensor], step: int, layout: torch.memory_format
) -> Iterator[Tensor]:
    """Yield float (k + 1, n, classes), taking `step` images and their corrupted versions at a time."""
    for inputs in portions:
        for part in torch.split(inputs, step, dim=1):
            logits = logits_of(model, part.flatten(0, 1).contiguous(memory_format=layout))
            yield logits.view(len(inputs), -1, logits.shape[-1])


def _layer_rows(index: int, layer: Layer, probe: Probe) -> list[Row]:
    assert layer.samples is not None
    columns: dict[str, Tensor] = {"nonfinite": layer.samples.nonfinite}
    for name, moments in zip(QUANTITIES, layer.samples.moments, strict=True):
        columns |= {f"{name}_{part}": values for part, values in moments._asdict().items()}
    columns |= layer.element.columns()
    facts = {"layer": layer.name, "index": index, "elements": layer.elements, "n": layer.count}
    rows = _rows(facts, columns)
    rows[0] |= probe.clean_columns(layer)
    for name, histogram in zip(HISTOGRAMS, layer.samples.histograms, strict=True):
        for row, counts in zip(rows, histogram.cpu().numpy(), strict=True):
            row[f"{name}_histogram"] = counts.tobytes()
    return rows


def _rows(facts: Row, columns: dict[str, Tensor]) -> list[Row]:
    """Return a row for each version: its number, the facts, and its value of each column (versions,)."""
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [
        {"version": version, **facts, **dict(zip(columns, row, strict=True))}
        for version, row in enumerate(values)
    ]
