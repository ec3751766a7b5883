"""Corruptions as transforms in a data pipeline, seeded by the number of the item that is read."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from numbers import Integral, Real
from operator import index as whole
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.data import Dataset, IterableDataset

from . import _ours  # noqa: F401 - a worker that gets a transform may have imported nothing else
from ._pictures import digests, find_images, like, to_batch
from .errors import InputError
from .random import Stream, check_seed
from .severity import SEVERITIES
from .suites import Cell, Suite, get_suite

Index: TypeAlias = int | Sequence[int] | Tensor
"""The id of an image, or those of a batch."""


_DRAW = "corruptions.RandomCorruption"
"""The stream that decides which corruption an image gets; no corruption has a dot in its name."""


class _Item(NamedTuple):
    """What is being read: the id of an item, and the epoch."""

    id: int
    epoch: int


_reading: ContextVar[_Item | None] = ContextVar("_reading", default=None)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch: `seed` itself in epoch 0, then 64 bits of a digest of both.

    >>> epoch_seed(7, 0), epoch_seed(7, 1) == epoch_seed(8, 0)
    (7, False)
    """
    check_seed(seed)
    if isinstance(epoch, bool) or not isinstance(epoch, Integral) or epoch < 0:
        raise InputError(f"Expected an epoch of 0, 1, 2, ..., got {epoch!r}.")
    digest = hashlib.sha256(f"actrobust-epoch/{int(seed)}/{int(epoch)}".encode()).digest()
    return int.from_bytes(digest[:8], "little") if epoch else int(seed)


class _Transform(nn.Module):
    """A transform of the images in a sample: all the rest, such as labels, passes through."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = check_seed(seed)

    def forward(self, *inputs: Any, index: Index | None = None, epoch: int | None = None) -> Any:
        """Return the inputs, with other images in place of those in them; see `Corrupt`."""
        where = type(self).__name__
        parts, structure = tree_flatten(inputs if len(inputs) != 1 else inputs[0])
        item = _reading.get()
        if item is not None:
            index = item.id if index is None else index
            epoch = item.epoch if epoch is None else epoch
        seed = epoch_seed(self.seed, epoch or 0)
        for place in find_images(parts, where=where):
            batch = to_batch(parts[place], where=where)
            ids = digests(batch) if index is None else _ids(index, where=where)
            if len(ids) != len(batch):
                raise InputError(
                    f"Expected an index for each of {len(batch)} images, got {len(ids)} ({where})."
                )
            parts[place] = like(parts[place], self._corrupted(batch, ids, seed))
        return tree_unflatten(parts, structure)

    @abstractmethod
    def _corrupted(self, images: Tensor, ids: Tensor, seed: int) -> Tensor:
        """Return the images (N, C, H, W), corrupted; ids are int64 (N,), not always on their device."""


class Corrupt(_Transform):
    """Transform that corrupts images: `corruptions.corrupt`, for a pipeline of torchvision's v2 or your own.

    It takes what a data set gives, an image alone or in a tuple, list or dictionary, and returns the same
    with the image corrupted. An image is a PIL image (L or RGB), a `tv_tensors.Image` or, if there is
    none of these, the first tensor or NumPy array: uint8 or float (C, H, W), a batch (N, C, H, W), or a
    uint8 array (H, W) or (H, W, C). The result is of the same kind. Input shifts take the floats of the
    normalised input.

    The random numbers of an image depend on its index, on the seed and on the epoch, never on workers,
    batches or order. The index is, in this order: the argument `index` of the call; the place of the item
    that is being read from a `Corrupted` data set; a digest of the image's values, so that the same image
    always gets the same pixels. In epoch 0, the default, pixels are those of ``corrupt(images, corruption,
    severity=severity, seed=seed, ids=index)``; in later ones those of `transforms.epoch_seed(seed, epoch)`.

    Parameters
    ----------
    corruption, severity, seed, table
        See `corrupt`.

    Raises
    ------
    InputError
        If an argument is not as described; when it is called, if there is no image or if it does not fit.

    Examples
    --------
    >>> import PIL.Image
    >>> fog = Corrupt("fog", severity=3)
    >>> fog
    Corrupt('fog', severity=3.0)
    >>> image, label = fog(PIL.Image.new("RGB", (48, 32)), 7)
    >>> image.size, label
    ((48, 32), 7)
    >>> batch = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    >>> torch.equal(fog(batch, index=[5, 6])[1], fog(batch[1], index=6))
    True
    """

    def __init__(self, corruption: str, *, severity: float, seed: int = 0, table: str | None = None) -> None:
        super().__init__(seed)
        self.cell = Cell(corruption, severity, table)

    def _corrupted(self, images: Tensor, ids: Tensor, seed: int) -> Tensor:
        return self.cell.apply(images, ids=ids, seed=seed)

    def __repr__(self) -> str:
        given = _given(seed=(self.seed, 0), table=(self.cell.table, None))
        return f"Corrupt({self.cell.corruption!r}, severity={self.cell.severity}{given})"


class RandomCorruption(_Transform):
    """Transform that draws one corruption for each image, at a random severity.

    Images, indices and epochs are those of `Corrupt`, as are the pixels of the corruption that is drawn.

    Parameters
    ----------
    corruptions : str, iterable of str, or Suite
        A suite, by its name or members ("c15", "fog,*_noise"), names and wildcards, or a suite of your own,
        of which each cell is as likely. All act on pixels, or all on the normalised input.
    severities : iterable of float, optional
        Those to draw from, each as likely; by default 1 to 5, or those of the `Suite`.
    p : float
        Probability that an image is corrupted; the others are left as they are.
    seed, table
        See `corrupt`. A published suite ("cifar-c") has its own table.

    Raises
    ------
    InputError
        If an argument is not as described; when it is called, if there is no image or if it does not fit.

    Examples
    --------
    >>> blurs = RandomCorruption("*_blur", severities=[1, 2], p=0.5)
    >>> blurs
    RandomCorruption('*_blur', severities=[1.0, 2.0], p=0.5)
    >>> blurs.draw(0), blurs.draw(4)
    (None, Cell(corruption='zoom_blur', severity=1.0, table=None))
    >>> image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    >>> torch.equal(blurs(image, index=4), blurs.draw(4).apply(image[None], ids=torch.tensor([4]))[0])
    True
    """

    def __init__(
        self,
        corruptions: str | Iterable[str] | Suite,
        *,
        severities: Iterable[float] | None = None,
        p: float = 1.0,
        seed: int = 0,
        table: str | None = None,
    ) -> None:
        super().__init__(seed)
        given = corruptions if isinstance(corruptions, str | Suite) else ",".join(corruptions)
        self.name = given if isinstance(given, str) else given.name
        self.suite = _suite(given, severities, table)
        domains = {cell.domain for cell in self.suite.cells}
        if len(domains) != 1:
            raise InputError(
                "Expected corruptions that all act on pixels or all on the normalised input, got "
                f"{'both' if domains else 'none'} in {self.name!r}."
            )
        self.p = _check_probability(p)

    def draw(self, index: int, *, epoch: int = 0) -> Cell | None:
        """Return what the image of an index gets: a corruption at a severity, or None."""
        (cell,) = self._drawn(_ids(index, where=type(self).__name__), epoch_seed(self.seed, epoch))
        return cell

    def _drawn(self, ids: Tensor, seed: int) -> list[Cell | None]:
        """Return what each image gets."""
        bits = Stream(ids.cpu(), name=_DRAW, severity=0, seed=seed).bits(2).tolist()
        pairs = [[word % 2**32 for word in own] for own in bits]
        cells, least = self.suite.cells, self.p * 2**32
        return [cells[place * len(cells) >> 32] if share < least else None for share, place in pairs]

    def _corrupted(self, images: Tensor, ids: Tensor, seed: int) -> Tensor:
        rows: dict[Cell | None, list[int]] = {}
        for row, cell in enumerate(self._drawn(ids, seed)):
            rows.setdefault(cell, []).append(row)
        if len(rows) == 1:
            (cell,) = rows
            return images.clone() if cell is None else cell.apply(images, ids=ids, seed=seed)
        corrupted = images.clone()
        for cell, members in rows.items():
            if cell is not None:
                own = torch.tensor(members)
                there = own.to(images.device)
                corrupted[there] = cell.apply(images[there], ids=ids[own.to(ids.device)], seed=seed)
        return corrupted

    def __repr__(self) -> str:
        severities = list(dict.fromkeys(cell.severity for cell in self.suite.cells))
        given = _given(p=(self.p, 1.0), seed=(self.seed, 0), table=(self.suite.table, None))
        return f"RandomCorruption({self.name!r}, severities={severities}{given})"


class Corrupted(Dataset[Any]):
    """Data set whose items are read under their index, for the corruptions that are in its transforms.

    Every `Corrupt` and `RandomCorruption` that runs while an item is read, in `transform` here or in the
    transforms of the data set itself, gets the item's index and the epoch. Items are then the same in any
    order, batch and number of workers, and after a restart.

    Parameters
    ----------
    dataset
        A map-style data set: of torch, torchvision, Hugging Face, or a list.
    transform : callable, optional
        Called with each item whole, as torchvision's v2 transforms are: labels pass through.
    ids : sequence of int, optional
        The id of each item, instead of its place: those of `actrobust evaluate` for the validation images of
        ImageNet are the numbers in the files' names.

    Raises
    ------
    InputError
        If the data set has no items to be asked for by number.

    Examples
    --------
    >>> data = [(torch.full((3, 32, 32), 128, dtype=torch.uint8), label) for label in range(10)]
    >>> train = Corrupted(data, RandomCorruption("noise"))
    >>> torch.equal(train[3][0], train[4][0])
    False
    >>> first, _ = train[3]
    >>> train.set_epoch(1)
    >>> again, label = train[3]
    >>> torch.equal(first, again), label
    (False, 3)
    """

    def __init__(self, dataset: Any, transform: Any = None, *, ids: Sequence[int] | None = None) -> None:
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise InputError(
                f"Expected a data set whose items have an index, got {type(dataset).__name__}; in a stream, "
                "call the transform with index=."
            )
        if transform is not None and not callable(transform):
            raise InputError(f"Expected a transform to call, got {type(transform).__name__}.")
        if ids is not None and len(ids) != len(dataset):
            raise InputError(f"Expected an id for each of {len(dataset)} items, got {len(ids)}.")
        self.dataset, self.transform, self.ids = dataset, transform, ids
        # In shared memory: workers that persist would never see the epoch set in the main process.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._epoch.share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch of the items that are read now: 0 until `set_epoch` is called."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Give every image other random numbers, those of this epoch: 0, 1, 2, ...

        Call it before iterating over a DataLoader, whose workers see it, also after a restart.
        """
        epoch_seed(0, epoch)
        self._epoch.fill_(int(epoch))

    def __len__(self) -> int:
        return len(self.dataset)

    # No __getattr__: a DataLoader would find the data set's own `__getitems__`, and leave this class out.
    def __getitem__(self, index: int) -> Any:
        try:
            place = whole(index)
        except TypeError:
            raise InputError(f"Expected a whole number as index, got {index!r} (Corrupted).") from None
        place += len(self) if place < 0 else 0
        token = _reading.set(_Item(place if self.ids is None else int(self.ids[place]), self.epoch))
        try:
            item = self.dataset[place]
            return item if self.transform is None else self.transform(item)
        finally:
            _reading.reset(token)

    def __repr__(self) -> str:
        return f"Corrupted({self.dataset!r}, {self.transform!r})"


def _ids(index: Index, *, where: str) -> Tensor:
    try:
        numbers = index if isinstance(index, Tensor) else torch.tensor(index)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        numbers = torch.empty(0)
    if numbers.dtype != torch.int64 or numbers.ndim > 1:
        raise InputError(
            f"Expected a 64-bit whole number as index, or one for each image, got {index!r} ({where})."
        )
    return numbers.view(-1)


def _check_probability(p: object) -> float:
    if isinstance(p, bool) or not isinstance(p, Real) or not 0 <= float(p) <= 1:
        raise InputError(f"Expected a probability p in [0, 1], got {p!r}.")
    return float(p)


def _suite(given: str | Suite, severities: Iterable[float] | None, table: str | None) -> Suite:
    if isinstance(given, Suite):
        if table is not None:
            raise InputError(f"Expected no table beside the suite {given.name!r}, got {table!r}.")
        return given if severities is None else given.with_severities(severities)
    suite = get_suite(given)
    levels = SEVERITIES if severities is None else severities
    return Suite.build(suite.name, suite.corruptions, severities=levels, table=table or suite.table)


def _given(**arguments: tuple[object, object]) -> str:
    """Return keyword arguments for a repr: those that differ from their defaults."""
    return "".join(f", {name}={value!r}" for name, (value, usual) in arguments.items() if value != usual)
