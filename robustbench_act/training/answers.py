"""What a network in training answers, and how often it is right."""

import torch
from torch import Tensor, nn

from robustbench_act.datasets import Dataset
from robustbench_act.errors import InputError, first_line
from robustbench_act.models import answer_entry, answer_rows
from robustbench_act.preprocessing import normalise


def answer(model: nn.Module, inputs: Tensor, classes: int) -> Tensor:
    """Return what a network answers, (N, classes); it may return more in training than in evaluation.

    Raises InputError if it fails, or does not answer with a column for each class.
    """
    what = f"The network ({type(model).__name__})"
    try:
        output = model(inputs)
        found = answer_rows(output, len(inputs), answer_entry(output, len(inputs), classes))
    except Exception as error:  # it may be the user's network
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(f"{what} cannot be trained: {kind}{first_line(error)}.") from error
    if found.shape[1] != classes:
        raise InputError(
            f"{what} returns {found.shape[1]} columns, expected {classes}, one for each class; let it take "
            "`classes`, or set an option of its own."
        )
    return found


@torch.inference_mode()
def accuracy(model: nn.Module, data: Dataset, train: Dataset) -> float:
    """Return the share of images that a network, trained on `train`, gets right in evaluation mode.

    The model's mode is left as it was.
    """
    mode, device = model.training, next(model.parameters()).device
    model.eval()
    correct = 0
    for part in data.chunks(500):
        inputs = normalise(part.images.to(device), train.mean, train.std)
        logits = answer(model, inputs, train.known_class_count)
        correct += int((logits.argmax(1).cpu() == part.known_labels).sum())
    model.train(mode)
    return correct / len(data)
