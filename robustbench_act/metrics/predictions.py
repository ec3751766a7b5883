"""What logits say of their images, one number per image. The one part of the metrics that needs torch."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F


class Scores(NamedTuple):
    """Of every image; definitions in `robustbench_act.metrics.METRICS`."""

    predicted: Tensor
    correct: Tensor
    top5: Tensor
    loss: Tensor
    brier: Tensor
    confidence: Tensor


def score(logits: Tensor, labels: Tensor) -> Scores:
    """Return what each image's logits say: int64, bool, bool, then float32, each (..., N).

    Parameters
    ----------
    logits
        float32 (..., N, classes).
    labels
        int64 (N,).

    Examples
    --------
    >>> import torch
    >>> scores = score(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))
    >>> scores.correct, scores.confidence
    (tensor([ True, False]), tensor([0.8808, 0.8808]))
    """
    target = labels.expand(logits.shape[:-1])
    log_probability = F.log_softmax(logits, dim=-1)
    probability = log_probability.exp()
    predicted = logits.argmax(-1)
    own = logits.gather(-1, target[..., None])
    one_hot = F.one_hot(target, logits.shape[-1])
    return Scores(
        predicted=predicted,
        correct=predicted == target,
        top5=(logits > own).sum(-1) < 5,
        loss=-log_probability.gather(-1, target[..., None]).squeeze(-1),
        brier=(probability - one_hot).square().sum(-1),
        confidence=probability.amax(-1),
    )
