"""Networks on clean images: with the preprocessing of their specs, and with the usual mistakes."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robustbench_act.behaviour import logits_of, seeded
from robustbench_act.checkpoints import Checkpoint
from robustbench_act.datasets import Dataset
from robustbench_act.datasets.normalisations import USUAL
from robustbench_act.doctor.class_order import PER_CLASS, find_order
from robustbench_act.doctor.finding import Finding
from robustbench_act.english import numbers
from robustbench_act.errors import InputError
from robustbench_act.evaluation import Execution, behaviour_of, few_images
from robustbench_act.preprocessing import Preprocessing
from robustbench_act.records import Behaviour
from robustbench_act.statistics import compare_outcomes, share_interval

SAMPLE = 256
"""Images that each network is shown."""

_BATCH = 64
_CLEARLY = 0.05  # accuracy that a different preprocessing must gain,
_SURE = 0.001  # with this p-value in McNemar's test
_MOSTLY = 0.5  # accuracy from which on no permutation of all classes is looked for in more images,
_LARGEST = 4000  # which are no more than this
_USUAL = Behaviour()

_WAYS = {
    "no normalisation (0 to 1)": ((0.0,), (1.0,)),
    "no normalisation (0 to 255)": ((0.0,), (1 / 255,)),
    "mean 0.5, std 0.5": ((0.5,), (0.5,)),
    **{f"the usual normalisation of {name}": pair for name, pair in USUAL.items()},
}


def examine_networks(
    checkpoints: Iterable[Checkpoint], data: Dataset, device: torch.device
) -> tuple[list[Finding], dict[str, Behaviour]]:
    """Return what `examine` finds of several networks, and how those behave that can be evaluated."""
    few, findings, behaviours = few_images(data), [], {}
    for checkpoint in checkpoints:
        try:
            behaviour = behaviour_of(checkpoint, few, Execution(device)) if not checkpoint.problem else _USUAL
        except InputError as error:
            findings.append(Finding(checkpoint.name, False, str(error)))
        else:
            behaviours[checkpoint.name] = behaviour
            findings += examine(checkpoint, data, device, behaviour)
    return findings, behaviours


def examine(
    checkpoint: Checkpoint, data: Dataset, device: torch.device, behaviour: Behaviour = _USUAL
) -> list[Finding]:
    """Check one network on a stratified sample of clean images.

    Return what is known of its behaviour, how the file was read, then its accuracy against the one in its
    spec, then the problems: a different normalisation or the reversed order of colours, if it is clearly
    better (McNemar's test); an order of the classes, if it explains the errors. Without labels, only the
    spread of the predictions is checked. The network is moved to `device`.
    """
    sample = data.subset(SAMPLE)
    own = predict(checkpoint, sample, device, behaviour)
    if isinstance(own, Finding):
        return [own]
    watched = checkpoint.is_onnx or not behaviour.unwatched
    read = [Finding(checkpoint.name, watched, text) for text in behaviour.notes()]
    read += [Finding(checkpoint.name, True, f"read: {note}") for note in checkpoint.notes]
    read += [
        Finding(checkpoint.name, True, f"after corruptions, images are {step}")
        for step in checkpoint.adapted(data.shape)
    ]
    if sample.labels is None:
        return [*read, _spread(checkpoint, own)]
    labels = sample.labels.numpy()
    right = own == labels
    return [
        *read,
        _accuracy(checkpoint, right, data),
        *_other_way(checkpoint, sample, labels, right, device=device, behaviour=behaviour),
        *_other_order(checkpoint, data, own, device=device, behaviour=behaviour),
    ]


def check_accuracy(
    checkpoint: Checkpoint, data: Dataset, device: torch.device, behaviour: Behaviour = _USUAL
) -> Finding:
    """Return the finding on accuracy alone, on fewer images: `evaluate` begins with it."""
    sample = data.subset(_BATCH)
    found = predict(checkpoint, sample, device, behaviour)
    if isinstance(found, Finding):
        return found
    if sample.labels is None:
        return _spread(checkpoint, found)
    return _accuracy(checkpoint, found == sample.labels.numpy(), data)


def predict(
    checkpoint: Checkpoint, sample: Dataset, device: torch.device, behaviour: Behaviour = _USUAL
) -> NDArray[np.int64] | Finding:
    """Return the predictions with the spec's normalisation, or a finding that says why there are none."""
    problem = checkpoint.problem
    if problem is None:
        try:
            own = checkpoint.preprocessing(sample.shape)
            return _predict(
                checkpoint, sample.images, own, device=device, behaviour=behaviour, columns=sample.columns
            )
        except Exception as error:  # it may be the user's network: anything may go wrong in it
            problem = f"its forward pass fails: {' '.join(str(error).split()) or type(error).__name__}"
    return Finding(checkpoint.name, False, problem)


def _accuracy(checkpoint: Checkpoint, right: NDArray[np.bool_], data: Dataset) -> Finding:
    count, stated = len(right), checkpoint.spec.clean_accuracy
    low, high = share_interval(int(right.sum()), count, confidence=0.999)
    text = f"accuracy {right.mean():.1%} on {count} clean images of {data.name}"
    known = checkpoint.spec.dataset
    whole = not data.network_classes
    if stated is not None and whole and (data.name == known or data.name.startswith(f"{known}-")):
        text += f", {stated:.1%} in its spec"
        return Finding(checkpoint.name, bool(stated <= high), text)
    chance = 1 / (checkpoint.spec.classes if whole else len(data.classes))
    text += f", {chance:.1%} by chance"
    return Finding(checkpoint.name, bool(low > chance), text)


def _spread(checkpoint: Checkpoint, predicted: NDArray[np.int64]) -> Finding:
    """Return how many classes are predicted, without labels: a wrongly fed network often predicts one."""
    classes = len(np.unique(predicted))
    good = classes > 1 or len(predicted) == 1
    known = checkpoint.spec.classes
    text = f"no labels; {classes} of {known} classes predicted for {len(predicted)} clean images"
    return Finding(checkpoint.name, good, text)


def _other_way(
    checkpoint: Checkpoint,
    sample: Dataset,
    labels: NDArray[np.int64],
    right: NDArray[np.bool_],
    *,
    device: torch.device,
    behaviour: Behaviour,
) -> Iterator[Finding]:
    """Yield the best different preprocessing that the network accepts, if it is clearly better."""
    spec = checkpoint.spec
    best: tuple[float, str, NDArray[np.bool_]] | None = None
    for what, images, other in _ways(sample, checkpoint.preprocessing(sample.shape)):
        with suppress(Exception):  # the network may look at its input, and be anybody's
            found = _predict(
                checkpoint, images, other, device=device, behaviour=behaviour, columns=sample.columns
            )
            hits = found == labels
            if best is None or hits.mean() > best[0]:
                best = float(hits.mean()), what, hits
    if best is None:
        return
    test = compare_outcomes(best[2], right)
    if test.difference > _CLEARLY and test.p < _SURE:
        yield Finding(
            checkpoint.name,
            False,
            f"with {best[1]} its accuracy is {best[0]:.1%}, not {right.mean():.1%}: are mean "
            f"{numbers(spec.mean)} and std {numbers(spec.std)} right?",
        )


def _ways(sample: Dataset, own: Preprocessing) -> Iterator[tuple[str, Tensor, Preprocessing]]:
    channels = len(own.mean)
    candidates = {**_WAYS, f"the usual normalisation of {sample.name}": (sample.mean, sample.std)}
    seen = {(own.mean, own.std)}
    for what, (means, stds) in candidates.items():
        if len(means) not in (1, channels):
            continue
        pair = (means * (channels // len(means)), stds * (channels // len(stds)))
        if pair not in seen:
            seen.add(pair)
            yield what, sample.images, replace(own, mean=pair[0], std=pair[1])
    if channels == 3 == sample.shape[0]:
        yield "the order of the colours reversed (BGR)", sample.images.flip(1), own


def _other_order(
    checkpoint: Checkpoint,
    data: Dataset,
    own: NDArray[np.int64],
    *,
    device: torch.device,
    behaviour: Behaviour,
) -> Iterator[Finding]:
    """Yield the order of the classes that explains the errors, if one does.

    `own` are the predictions on the sample. The order is that of all classes of the network: in a wrong
    order, the valid ones are others. The search for any permutation takes several images of each class; if
    the sample has fewer and most of it is wrong, more images are shown.
    """
    whole = data.among_all()
    count, wanted = checkpoint.spec.classes, PER_CLASS * len(whole.classes)
    sample = whole.subset(SAMPLE)
    found = own if whole is data else predict(checkpoint, sample, device, behaviour)
    if isinstance(found, Finding):
        return
    labels = sample.known_labels.numpy()
    text = find_order(whole, count, found, labels)
    if not text and wanted > SAMPLE and (found == labels).mean() < _MOSTLY:
        sample = whole.subset(min(wanted, _LARGEST))
        found = predict(checkpoint, sample, device, behaviour)
        if not isinstance(found, Finding):
            text = find_order(whole, count, found, sample.known_labels.numpy())
    if text:
        yield Finding(checkpoint.name, False, text)


@torch.inference_mode()
def _predict(
    checkpoint: Checkpoint,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    device: torch.device,
    behaviour: Behaviour,
    columns: Tensor | None,
) -> NDArray[np.int64]:
    network = checkpoint.model.to(device)
    batches = (preprocessing(part.to(device)) for part in torch.split(images, _BATCH))
    with seeded(0, device):
        parts = [logits_of(network, batch, behaviour, columns).argmax(1).cpu() for batch in batches]
    found: NDArray[np.int64] = torch.cat(parts).numpy()
    return found
