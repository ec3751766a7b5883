"""Images that no network is trained on: what a clean accuracy has to come from."""

import hashlib
from collections.abc import Iterator, Sequence

import torch

from corruptions.random import Stream
from robustbench_act.datasets.dataset import Dataset, largest_remainder
from robustbench_act.datasets.sources import Source, digest_of, size_of

SHARE = 0.1
"""Share of the images that `hold_out` keeps from training, unless told otherwise."""


def hold_out(data: Dataset, *, share: float = SHARE, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Return the images to train on, and a share to test on: drawn in each class, by the ids of the images.

    Each class keeps an image to train on; if there is a single image of each, none is left to test on.

    >>> from robustbench_act.datasets import load_dataset
    >>> train, test = hold_out(load_dataset("mnist-1k"))
    >>> len(train), len(test)
    (900, 100)
    """
    labels = data.known_labels
    sizes = torch.bincount(labels, minlength=len(data.classes)).tolist()
    shares = largest_remainder(sizes, max(1, round(share * len(data))))
    lots = Stream(data.ids, name="held out", severity=0, seed=seed).bits()
    kept = torch.ones(len(data), dtype=torch.bool)
    for label, (size, part) in enumerate(zip(sizes, shares, strict=True)):
        members = (labels == label).nonzero().flatten()
        most = max(size - 1, 0)
        kept[members[lots[members].argsort(stable=True)[: min(part, most)]]] = False
    return data[kept], data[~kept]


def shared_images(data: Dataset, other: Dataset) -> list[str]:
    """Return the images of `other` that are in `data` too, by name or id: equal bytes or pixels."""
    ours, theirs = _sources(data), _sources(other)
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        known = {_digest(image) for image in ours}
        rows = zip(other.ids.tolist(), theirs, strict=True)
        return [f"image {number}" for number, image in rows if _digest(image) in known]
    if isinstance(ours, torch.Tensor) or isinstance(theirs, torch.Tensor):
        return []
    return list(map(str, _shared_pictures(ours, theirs)))


def _shared_pictures(ours: Sequence[Source], theirs: Sequence[Source]) -> Iterator[Source]:
    """Yield those of the second that are in the first; those of a size that both have are hashed."""
    same = set(ours)
    sizes = {source: size_of(source) for source in theirs if source not in same}
    wanted = set(sizes.values())
    known: dict[int, set[bytes]] = {}
    for source in ours if wanted else ():
        if (size := size_of(source)) in wanted:
            known.setdefault(size, set()).add(digest_of(source))
    for source in theirs:
        found = known.get(sizes.get(source, -1), set())
        if source in same or (found and digest_of(source) in found):
            yield source


def _sources(data: Dataset) -> torch.Tensor | Sequence[Source]:
    return data.pixels if isinstance(data.pixels, torch.Tensor) else data.pixels.sources


def _digest(image: torch.Tensor) -> bytes:
    return hashlib.sha256(image.contiguous().numpy().data).digest()
