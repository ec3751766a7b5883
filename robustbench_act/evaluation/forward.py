"""One checkpoint before one unit's images: counts, sums and layer moments."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.probes import LayerProbe, LayerRecord

Row = dict[str, Any]


@torch.inference_mode()
def measure(
    model: nn.Module, inputs: Tensor, labels: Tensor, *, batch_size: int, probes: bool, element_means: bool
) -> tuple[list[Row], list[Row]]:
    """Run `model` over stacked inputs and return its cell rows and its layer rows.

    Both have the key `version` (0: the clean images). Cells: n, correct, loss_sum (nats), agree. Layers:
    layer, index, elements, n, the fluctuations' moments input_mean, input_m2, output_mean, output_m2 (m2: sum
    of squared deviations from the mean), activation_mean and activation_abs_mean.

    Sums are taken over all n images at once: their rounding does not depend on the batch size.

    Parameters
    ----------
    inputs
        (k + 1, n, C, H, W), normalised: the clean images, then k corrupted versions of the same.
    labels
        int64 (n,).
    batch_size
        Images, clean and corrupted together, that go through the network at once (k + 1 at least).
    probes, element_means
        Whether to watch the activation layers, and to take their means element by element.

    Raises
    ------
    FloatingPointError
        Where a logit is not finite.
    """
    versions, count = inputs.shape[:2]
    probe = LayerProbe(model, groups=versions, element_means=element_means)
    with probe if probes else nullcontext():
        logits = _logits(model, inputs, max(batch_size // versions, 1))
    predicted = logits.argmax(-1)
    target = labels.expand(versions, -1)
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view(versions, count)
    if not loss.isfinite().all():
        raise FloatingPointError("logits that are not finite")
    columns = {
        "correct": (predicted == target).sum(1),
        "loss_sum": loss.sum(1, dtype=torch.float64),
        "agree": (predicted == predicted[:1]).sum(1),
    }
    rows = _rows({"n": count}, columns)
    return rows, [row for index, record in enumerate(probe) for row in _layer_rows(index, record)]


def _logits(model: nn.Module, inputs: Tensor, step: int) -> Tensor:
    """Return float (k + 1, n, classes), taking `step` images and their corrupted versions at a time."""
    parts = [model(part.flatten(0, 1)).float() for part in torch.split(inputs, step, dim=1)]
    return torch.cat([part.unflatten(0, (len(inputs), -1)) for part in parts], dim=1)


def _layer_rows(index: int, record: LayerRecord) -> list[Row]:
    columns = {}
    for side, fluctuation in (("input", record.input_fluctuation), ("output", record.output_fluctuation)):
        samples = fluctuation.double()
        columns[f"{side}_mean"] = samples.mean(1)
        columns[f"{side}_m2"] = (samples - samples.mean(1, keepdim=True)).square().sum(1)
    columns["activation_mean"], columns["activation_abs_mean"] = record.activation_means()
    facts = {"layer": record.layer, "index": index, "elements": record.elements, "n": samples.shape[1]}
    return _rows(facts, columns)


def _rows(facts: Row, columns: dict[str, Tensor]) -> list[Row]:
    """Return a row for each version: its number, the facts, and its value of each column (versions,)."""
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [
        {"version": version, **facts, **dict(zip(columns, row, strict=True))}
        for version, row in enumerate(values)
    ]
