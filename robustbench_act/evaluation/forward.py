"""One checkpoint before one unit's images: counts, sums and layer moments."""

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
    layer, index, elements, n, the fluctuation moments input_mean, input_m2, output_mean, output_m2 (see
    `Moments`), activation_mean and activation_abs_mean.

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
    totals = torch.zeros(3, versions, dtype=torch.float64, device=inputs.device)
    probe = LayerProbe(model, groups=versions, element_means=element_means)
    step = max(batch_size // versions, 1)
    if probes:
        with probe:
            _accumulate(model, inputs, labels, totals, step)
    else:
        _accumulate(model, inputs, labels, totals, step)
    rows = [
        {"version": version, "n": count, "correct": int(correct), "loss_sum": loss, "agree": int(agree)}
        for version, (correct, agree, loss) in enumerate(totals.T.tolist())
    ]
    if not totals.isfinite().all():
        raise FloatingPointError("logits that are not finite")
    return rows, [row for index, record in enumerate(probe) for row in _layer_rows(index, record)]


def _accumulate(model: nn.Module, inputs: Tensor, labels: Tensor, totals: Tensor, step: int) -> None:
    versions = len(inputs)
    for start in range(0, inputs.shape[1], step):
        part = inputs[:, start : start + step]
        target = labels[start : start + step]
        logits = model(part.flatten(0, 1)).float()
        predicted = logits.argmax(1).view(versions, -1)
        loss = F.cross_entropy(logits, target.repeat(versions), reduction="none").view(versions, -1)
        totals[0] += (predicted == target).sum(1)
        totals[1] += (predicted == predicted[:1]).sum(1)
        totals[2] += loss.sum(1, dtype=torch.float64)


def _layer_rows(index: int, record: LayerRecord) -> list[Row]:
    mean, absolute = record.activation_means()
    columns = {
        "input_mean": record.input_fluctuation.mean,
        "input_m2": record.input_fluctuation.m2,
        "output_mean": record.output_fluctuation.mean,
        "output_m2": record.output_fluctuation.m2,
        "activation_mean": mean,
        "activation_abs_mean": absolute,
    }
    facts = {
        "layer": record.layer,
        "index": index,
        "elements": record.elements,
        "n": record.output_fluctuation.count,
    }
    return [
        {"version": version, **facts, **dict(zip(columns, values, strict=True))}
        for version, values in enumerate(torch.stack(list(columns.values()), dim=1).tolist())
    ]
