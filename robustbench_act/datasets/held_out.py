"""Images that no network is trained on: what a clean accuracy has to come from."""

import hashlib
from collections.abc import Iterable

import torch

from corruptions.random import Stream
from robustbench_act.datasets.dataset import Dataset, largest_remainder

SHARE = 0.1
"""Share of the images that `hold_out` keeps from training."""


def hold_out(data: Dataset, *, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Return the images to train on, and the tenth to test on: drawn in each class, by the ids of the images.

    Each class keeps an image to train on; if there is a single image of each, none is left to test on.

    >>> from robustbench_act.datasets import load_dataset
    >>> train, test = hold_out(load_dataset("mnist-1k"))
    >>> len(train), len(test)
    (900, 100)
    """
    labels = data.known_labels
    sizes = torch.bincount(labels, minlength=len(data.classes)).tolist()
    shares = largest_remainder(sizes, max(1, round(SHARE * len(data))))
    lots = Stream(data.ids, name="held out", severity=0, seed=seed).bits()
    kept = torch.ones(len(data), dtype=torch.bool)
    for label, (size, share) in enumerate(zip(sizes, shares, strict=True)):
        members = (labels == label).nonzero().flatten()
        most = max(size - 1, 0)
        kept[members[lots[members].argsort(stable=True)[: min(share, most)]]] = False
    return data[kept], data[~kept]


def shared_images(data: Dataset, other: Dataset) -> int:
    """Return how many images of `other` are in `data` too: files of one path, or arrays of equal pixels."""
    known = set(_identities(data))
    return sum(identity in known for identity in _identities(other))


def _identities(data: Dataset) -> Iterable[object]:
    sources = data.pixels if isinstance(data.pixels, torch.Tensor) else data.pixels.sources
    if isinstance(sources, torch.Tensor):
        return (hashlib.sha256(image.contiguous().numpy().data).digest() for image in sources)
    return map(str, sources)
