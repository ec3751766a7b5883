"""What `evaluate` must find, computed the slow way: one image, one network, one corruption at a time."""

from typing import Any

import torch
from torch import Tensor, nn

import corruptions


def brute_force(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    ids: Tensor,
    *,
    mean: float,
    std: float,
    name: str,
    severity: float,
) -> dict[str, Any]:
    """Return a cell's metrics and, by module path, the fluctuations of every image (grey images)."""
    domain = corruptions.get_corruption(name).domain
    outcomes: list[bool] = []
    predicted: list[int] = []
    confidences: list[float] = []
    agree, top5, loss, brier = 0, 0, 0.0, 0.0
    fluctuation: dict[str, list[tuple[float, float]]] = {}
    outputs: dict[str, list[Tensor]] = {}
    for i in range(len(images)):
        image, label, number = images[i : i + 1], labels[i], ids[i : i + 1]
        clean = (image.float() / 255 - mean) / std
        if domain == "pixels":
            shifted = (
                corruptions.corrupt(image, name, severity=severity, ids=number).float() / 255 - mean
            ) / std
        else:
            shifted = corruptions.corrupt(clean, name, severity=severity, ids=number)
        (seen, y), (seen_shifted, z) = _watch(model, clean), _watch(model, shifted)
        outcomes.append(bool(z.argmax() == label))
        agree += int(z.argmax() == y.argmax())
        p = z[0].double().softmax(0)
        predicted.append(int(p.argmax()))
        confidences.append(float(p.max()))
        top5 += int(label in p.argsort(descending=True)[:5])
        loss -= float(p[label].log())
        brier += sum((float(p[k]) - int(k == label)) ** 2 for k in range(len(p)))
        for layer, (before, after) in seen.items():
            pair = [
                float((b - a).double().abs().sum())
                for a, b in zip((before, after), seen_shifted[layer], strict=True)
            ]
            fluctuation.setdefault(layer, []).append((pair[0], pair[1]))
            outputs.setdefault(layer, []).append(seen_shifted[layer][1])
    n = len(images)
    means = {layer: torch.stack(tensors).double().mean(0) for layer, tensors in outputs.items()}
    return {
        "accuracy": sum(outcomes) / n,
        "outcomes": outcomes,
        "predicted": predicted,
        "top5": top5 / n,
        "loss": loss / n,
        "brier": brier / n,
        "ece": _calibration_error(confidences, outcomes),
        "agreement": agree / n,
        "layers": fluctuation,
        "means": means,
    }


def _calibration_error(confidences: list[float], outcomes: list[bool], bins: int = 15) -> float:
    """Return the gap between confidence and accuracy in each of 15 bins of equal width, weighed by size."""
    total = 0.0
    for b in range(bins):
        pairs = zip(confidences, outcomes, strict=True)
        inside = [(c, right) for c, right in pairs if b / bins < c <= (b + 1) / bins]
        if inside:
            sure, right = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            total += len(inside) / len(outcomes) * abs(right - sure)
    return total


def _watch(model: nn.Module, x: Tensor) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor]:
    """Return input and output of every module whose path contains "act", and the logits."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def hook(path: str) -> Any:
        return lambda module, inputs, output: seen.update({path: (inputs[0].clone(), output.clone())})

    handles = [
        part.register_forward_hook(hook(path)) for path, part in model.named_modules() if ".act" in f".{path}"
    ]
    with torch.no_grad():
        logits = model(x)
    for handle in handles:
        handle.remove()
    return seen, logits
