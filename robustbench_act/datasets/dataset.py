"""Images, with labels if there are any: one plain object."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from robustbench_act.datasets.normalisations import usual_of_pictures
from robustbench_act.datasets.pictures import Pictures, unreadable
from robustbench_act.datasets.precomputed import StoredSuite
from robustbench_act.datasets.sources import Source
from robustbench_act.errors import InputError
from robustbench_act.preprocessing import with_channels
from robustbench_act.view import View


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in canonical order.

    Attributes
    ----------
    name
        Its name in tables, e.g. "mnist-1k".
    pixels
        uint8 (N, C, H, W), or pictures that are decoded when they are needed.
    labels
        int64 (N,), indices into `classes`; None if they are unknown.
    ids
        int64 (N,), the identity of each image: its index in the published set. A corruption's randomness is
        keyed on it, so that a subset shows the same pixels as the whole.
    classes
        Class names, in the order of the labels; empty without labels.
    mean, std
        The usual normalisation of this data, per channel on the [0, 1] scale.
    total
        Images in the set of this name; more than N if this is a subset.
    stored
        Corrupted versions of these images in files, or None.
    unreadable
        Pictures that were left out because they cannot be read.
    open_ended
        Whether there may be more classes than `classes` lists, because labels came as numbers.
    labels_from
        1 if the labels in the files count from 1, and 1 was taken from each; else None.
    class_order
        The order of the classes, if it is not fixed by the data set: "string", "natural" or the name of a
        file.
    order_doubt
        What a reader should know of an order that nobody chose; "" if there is nothing.
    network_classes
        The classes that networks know, if `classes` are a part of them (see `with_valid_classes`), each name
        once; else empty.
    """

    name: str
    pixels: Tensor | Pictures
    labels: Tensor | None
    ids: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    total: int
    stored: StoredSuite | None = None
    unreadable: tuple[str, ...] = ()
    open_ended: bool = False
    labels_from: int | None = None
    class_order: str = ""
    order_doubt: str = ""
    network_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert not isinstance(self.pixels, Tensor) or self.pixels.dtype == torch.uint8
        assert len(self.pixels) == len(self.ids)
        assert self.labels is None or len(self.labels) == len(self.ids)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: slice | Tensor) -> "Dataset":
        labels = None if self.labels is None else self.labels[index]
        return replace(self, pixels=self.pixels[index], labels=labels, ids=self.ids[index])

    @cached_property
    def images(self) -> Tensor:
        """uint8 (N, C, H, W), all in memory: ask a chunk of a large set, not the whole set."""
        return self.pixels if isinstance(self.pixels, Tensor) else self.pixels.read()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    @property
    def known_labels(self) -> Tensor:
        """The labels; an InputError if they are unknown."""
        if self.labels is None:
            raise InputError(f"Dataset {self.name!r} has no labels, but they are needed here.")
        return self.labels

    @property
    def known_class_count(self) -> int:
        """The number of classes; an InputError without labels."""
        _ = self.known_labels
        return len(self.classes)

    @property
    def class_count(self) -> int | None:
        """The number of classes of networks, a lower bound if `open_ended`; None without labels."""
        return None if self.labels is None else len(self.network_classes or self.classes)

    @cached_property
    def columns(self) -> Tensor | None:
        """int64 (classes,), the outputs of networks that are those of `classes`; None if all of them are."""
        if not self.network_classes:
            return None
        place = {name: column for column, name in enumerate(self.network_classes)}
        return torch.tensor([place[name] for name in self.classes])

    def among_all(self) -> "Dataset":
        """Return the same images, labels counting all classes that networks know."""
        if self.columns is None:
            return self
        labels = self.columns[self.known_labels]
        return replace(self, labels=labels, classes=self.network_classes, network_classes=())

    @property
    def view(self) -> View | None:
        """How its pictures are resized and cropped; None if they are taken as images of one size."""
        view = self.pixels.view if isinstance(self.pixels, Pictures) else None
        return None if view == View() and not view.source else view

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, images (encoded pictures and their view), labels and ids."""
        digest = hashlib.sha256(repr(tuple(self.pixels.shape)).encode())
        for part in (self.pixels, self.labels, self.ids):
            if isinstance(part, Tensor):
                digest.update(part.contiguous().numpy().tobytes())
            elif part is not None:
                digest.update(part.digest())
        return digest.hexdigest()

    def names(self) -> list[str]:
        """Return the name of each image in files: its picture's name without the suffix, else its id."""
        if isinstance(self.pixels, Pictures) and not isinstance(self.pixels.sources, Tensor):
            return [source.stem for source in self.pixels.sources]
        return [f"{number:08d}" for number in self.ids.tolist()]

    def with_view(self, view: View, *, corrupted: bool = False) -> "Dataset":
        """Return the same images resized and cropped; with `corrupted`, stored pictures too.

        >>> from robustbench_act.datasets import load_dataset
        >>> load_dataset("mnist-1k").with_view(View(resize=32, crop=30)).shape
        (1, 30, 30)
        """
        if isinstance(self.pixels, Tensor):
            pictures = Pictures(self.pixels, view, channels=self.pixels.shape[1])
        else:
            pictures = self.pixels.with_view(view)
        stored = self.stored.with_view(view) if corrupted and self.stored is not None else self.stored
        return replace(self, pixels=pictures, stored=stored)

    def with_channels(self, channels: int) -> "Dataset":
        """Return the same images as grey (1) or RGB (3) ones, before any corruption.

        >>> from robustbench_act.datasets import load_dataset
        >>> load_dataset("mnist-1k").with_channels(3).shape
        (3, 28, 28)
        """
        if channels == self.shape[0]:
            return self
        if isinstance(self.pixels, Tensor):
            pixels: Tensor | Pictures = with_channels(self.pixels, channels).contiguous()
        else:
            pixels = self.pixels.with_channels(channels)
        mean, std = (self.mean * 3, self.std * 3) if channels == 3 else usual_of_pictures(1)
        return replace(self, pixels=pixels, mean=mean, std=std)

    @property
    def counts_from_one(self) -> bool:
        """Whether labels that came as numbers begin at 1; class 0 may also be there, but have no image."""
        numbered = self.open_ended and self.labels_from is None
        return numbered and self.labels is not None and int(self.labels.min()) == 1

    def counted_from_zero(self) -> "Dataset":
        """Return the same images with 1 taken from each label."""
        if self.network_classes:
            return replace(self, network_classes=self.network_classes[1:], labels_from=1)
        return replace(self, labels=self.known_labels - 1, classes=self.classes[1:], labels_from=1)

    def check(self, on_images: Callable[[int], None] = lambda count: None) -> None:
        """Decode every picture once; an InputError names those that cannot be read.

        Pictures of a large stored set (see `StoredSuite.whole`) are not checked until they are used.
        """
        if isinstance(self.pixels, Pictures):
            problems = self.pixels.check(on_images)
            if problems:
                raise unreadable(problems.items(), of=len(self))
        if self.stored is not None and self.stored.whole:
            self.stored.check(self.ids)

    def readable(self, on_images: Callable[[int], None] = lambda count: None) -> "Dataset":
        """Return the images that can be read, also in every stored version; `unreadable` names the others.

        This decodes every picture once.
        """
        bad: dict[int, list[Source]] = {}
        if isinstance(self.pixels, Pictures):
            problems = self.pixels.check(on_images)
            for source, number in zip(self.pixels.sources, self.ids.tolist(), strict=True):
                if source in problems:
                    bad[number] = [source]
        if self.stored is not None:
            for number, source, _ in self.stored.unreadable(self.ids):
                bad.setdefault(number, []).append(source)
        if not bad:
            return self
        kept = torch.tensor([number not in bad for number in self.ids.tolist()])
        if not kept.any():
            raise InputError(f"Dataset {self.name!r}: not one of its {len(self)} images can be read.")
        named = sorted(str(source) for sources in bad.values() for source in sources)
        return replace(self[kept], unreadable=tuple(named))

    def chunks(self, size: int) -> Iterator["Dataset"]:
        """Yield consecutive parts of at most `size` images."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def subset(self, count: int) -> "Dataset":
        """Return `count` images, stratified: classes in the proportions of the whole, evenly spaced in each.

        Evenly spaced because published sets are often sorted (the first half of the MNIST test set is easier
        than the second). Shares are rounded by largest remainder. Order and ids are kept.

        >>> from robustbench_act.datasets import load_dataset
        >>> load_dataset("mnist-1k").subset(10).labels.unique().tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        """
        if count < 1:
            raise InputError(f"Expected at least 1 image, got {count}.")
        if count >= len(self):
            return self
        labels = torch.zeros(len(self), dtype=torch.int64) if self.labels is None else self.labels
        sizes = torch.bincount(labels, minlength=max(len(self.classes), 1)).tolist()
        chosen = []
        for label, share in enumerate(largest_remainder(sizes, count)):
            members = (labels == label).nonzero().flatten()
            chosen.append(members[(torch.arange(share) * 2 + 1) * sizes[label] // (2 * max(share, 1))])
        return self[torch.cat(chosen).sort().values]


def largest_remainder(sizes: list[int], count: int) -> list[int]:
    """Split `count` in proportion to `sizes`, in whole numbers; ties go to the earlier class."""
    total = sum(sizes)
    shares = [size * count // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (-(sizes[i] * count % total), i))
    for i in by_remainder[: count - sum(shares)]:
        shares[i] += 1
    return shares
