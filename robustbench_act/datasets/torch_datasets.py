"""Map-style data sets of the user's, as torch has them: items by number, read when they are needed.

An item is (image, label), or a dictionary with both, as Hugging Face's data sets have. It becomes a source of
`Pictures`, in Netpbm's format, which costs nothing to write or to read.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset

from corruptions.code import in_one_line
from robustbench_act.datasets.arrays import MOST_CLASSES, as_images, as_labels
from robustbench_act.datasets.class_order import doubt_about
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.normalisations import usual_of_pictures
from robustbench_act.datasets.pictures import MODES, Pictures
from robustbench_act.datasets.request import OnItems, quietly
from robustbench_act.errors import InputError
from robustbench_act.view import View

_IMAGES = ("image", "img", "pixel_values")  # keys of an item, as Hugging Face's data sets call them
_LABELS = ("label", "labels", "fine_label")
_STATED = ("targets", "labels", "_labels")  # where torchvision's data sets keep the labels of all items
_FEW = 8  # items that are read twice before anything else
_WHOLE = 1e-3  # by which 255 times a float may miss a whole number: float32 misses it by 3e-5


def is_map_style(thing: object) -> bool:
    """Tell whether a thing has items by number, and is no array, text, list or dictionary."""
    plain = isinstance(thing, Tensor | np.ndarray | str | bytes | list | tuple | Mapping)
    return hasattr(thing, "__getitem__") and not plain and not why_no_items(thing)


def why_no_items(thing: object) -> str:
    """Return the advice for a loader, stream or dictionary of images, given as a data set; else ""."""
    kind = type(thing).__name__
    if isinstance(thing, DataLoader):
        return f"got a {kind}: give its .dataset, since batches and their order are chosen here"
    if isinstance(thing, IterableDataset) or (hasattr(thing, "__iter__") and not _is_indexed(thing)):
        return f"got {kind}, whose items have no numbers: give a data set with __len__ and __getitem__"
    if isinstance(thing, Mapping):
        keys = ", ".join(map(str, list(thing)[:5]))
        return f"got {kind} with the keys {keys}: give one of its parts"
    return ""


def load_items(data: Any, name: str, *, on_items: OnItems = quietly) -> Dataset:
    """Return a map-style data set as a `Dataset` whose items are read when they are needed.

    Labels are those of its `targets` or `labels`; without these, all items are read once. Class names are its
    `classes`. The size of arrays and tensors must not change; PIL images may be resized and cropped.

    Parameters
    ----------
    data
        Items (image, label) or {"image": image, "label": label}. An image is a PIL image, a uint8 array (H,
        W) or (H, W, C), or a tensor (C, H, W): uint8, or floats k / 255 as of ToTensor. A label is a whole
        number, also in an array of one.
    name
        Its name in tables.
    on_items
        See `request.OnItems`; only called if all items have to be read for their labels.

    Raises
    ------
    InputError
        With the number of the first item that is wrong, or that changes when it is read a second time.

    Examples
    --------
    >>> from torch.utils.data import TensorDataset
    >>> images = torch.arange(2 * 3 * 8 * 8, dtype=torch.uint8).reshape(2, 3, 8, 8)
    >>> data = load_items(TensorDataset(images, torch.tensor([0, 1])), "mine")
    >>> len(data), data.shape, data.labels.tolist(), bool((data.images == images).all())
    (2, (3, 8, 8), [0, 1], True)
    """
    items = Items(data, name)
    labels = items.look(on_items)
    classes, most = _class_names(data), int(labels.max())
    if classes and most >= len(classes):
        raise InputError(
            f"{items.called(int(labels.argmax()))}: expected a label below {len(classes)}, the number of its "
            f"classes, got {most}."
        )
    mean, std = usual_of_pictures(items.channels)
    return Dataset(
        name,
        Pictures(items, View(), items.channels),
        labels,
        torch.arange(len(items)),
        classes or tuple(map(str, range(most + 1))),
        mean,
        std,
        total=len(items),
        open_ended=not classes,
        order_doubt=doubt_about(classes) if list(classes) == sorted(classes) else "",
    )


@dataclass(frozen=True, slots=True)
class Item:
    """One item: see `sources.Source`."""

    items: "Items"
    index: int

    def __str__(self) -> str:
        return f"{self.items.name} item {self.index}"

    @property
    def stem(self) -> str:
        """The name of files that are made from it."""
        return f"{self.index:08d}"

    def read_bytes(self) -> bytes:
        """Return the image in Netpbm's format; an OSError if the data set raises one, or anything else."""
        return self.items.read(self.index)

    def read_head(self) -> bytes:
        """Return the first bytes of the image, which tell its size; it is read only if that is not known."""
        return self.items.head(self.index)


class Items(Sequence[Item]):
    """The items of a data set, read one at a time: it may not be made for threads.

    Attributes
    ----------
    name
        Its name in messages.
    labels
        int64 (N,); None before they are known.
    channels
        1 if the items that were looked at are grey, else 3.
    """

    def __init__(self, data: Any, name: str) -> None:
        self.name, self.channels = name, 3
        self.labels: Tensor | None = None
        self._whose = ""  # labels they are
        self._data, self._count = data, _length(data, name)
        self._lock = threading.Lock()
        self._digests = np.zeros(self._count, dtype=np.uint64)  # 0: not read yet
        self._sizes = np.zeros((self._count, 3), dtype=np.int32)
        self._begun = False  # whether an item has been read
        self._shape: tuple[int, ...] | None = None  # of arrays and tensors

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> "list[Item]": ...
    def __getitem__(self, index: int | slice) -> "Item | list[Item]":
        found = range(self._count)[index]
        return Item(self, found) if isinstance(found, int) else [Item(self, each) for each in found]

    def called(self, index: int) -> str:
        """Return the beginning of an error about an item."""
        return f"Dataset {self.name!r}: item {index}"

    def look(self, on_items: OnItems) -> Tensor:
        """Return the labels after reading a few items twice, and all of them if nothing else tells labels.

        An item that raises has label 0; it is left to those who read it later. An InputError if all raise.
        """
        few = sorted({self._count * place // _FEW for place in range(_FEW)})
        known = {index: label for index in few * 2 if (label := self._label(index)) is not None}
        stated = _stated_labels(self._data, self._count)
        if stated is not None and all(stated[index] == label for index, label in known.items()):
            self._whose, labels = "its targets say", stated
        else:
            self._whose, labels = "had before", torch.zeros(self._count, dtype=torch.int64)
            on_item = on_items("reading labels", self._count)
            for index in range(self._count):
                if (label := self._label(index)) is not None:
                    known[index] = labels[index] = label
                on_item(1)
        if not known:
            self._refuse()
        self.channels, self.labels = int(self._sizes[:, 2].max()), labels
        return labels

    def read(self, index: int) -> bytes:
        """Return an item's image in Netpbm's format; see `Item.read_bytes`.

        An InputError if it is no image with a label, or not the one that it was before.
        """
        image, label = self._read(index)
        if self.labels is not None and label != self.labels[index]:
            known = f"{self._whose} {int(self.labels[index])}"
            raise InputError(f"{self.called(index)}: has label {label}, but {known}.")
        if self.channels == 1 and self.labels is not None and image.startswith(b"P6"):
            raise InputError(
                f"{self.called(index)}: is in colour, those before are grey; make all of them the same, as "
                'by image.convert("RGB").'
            )
        return image

    def head(self, index: int) -> bytes:
        """Return the head of an item's image in Netpbm's format: arrays are all of one size."""
        if self._shape is not None:
            return _head(*self._shape)
        if not self._digests[index]:
            self.read(index)
        return _head(*self._sizes[index])

    def _label(self, index: int) -> int | None:
        """Return the label of an item; None if it cannot be read."""
        try:
            return self._read(index)[1]
        except OSError:
            return None

    def _refuse(self) -> None:
        """Raise what the first item raises."""
        try:
            self._read(0)
        except OSError as error:
            count = f"not one of its {self._count} items can be read"
            raise InputError(f"Dataset {self.name!r}: {count}: item 0 {error}") from error

    def _read(self, index: int) -> tuple[bytes, int]:
        with self._lock:
            try:
                item = self._data[index]
            except Exception as error:  # it is the user's code: anything may go wrong in it
                raise OSError(f"raised {in_one_line(error)}") from error
            where = self.called(index)
            image, label = _pair(item, where)
            pixels = _pixels(image, where)
            self._check_alike(None if isinstance(image, Image.Image) else pixels.shape, where)
            content = _head(*pixels.shape) + np.ascontiguousarray(pixels).tobytes()
            digest = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) | 1
            if self._digests[index] not in (0, digest):
                raise InputError(
                    f"{where}: is not the same when it is read again; leave out random transforms."
                )
            self._digests[index], self._sizes[index] = digest, pixels.shape
            return content, _whole_number(label, where)

    def _check_alike(self, shape: tuple[int, ...] | None, where: str) -> None:
        """Refuse an array of a shape that differs from the first one's, or PIL images (None) with arrays."""
        if not self._begun:
            self._begun, self._shape = True, shape
        if shape == self._shape:
            return
        expected, got = ("a PIL image" if one is None else _size(one) for one in (self._shape, shape))
        raise InputError(
            f"{where}: expected {expected} as those before, got {got}; only PIL images may differ in size, "
            "with --resize and --crop."
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _is_indexed(thing: object) -> bool:
    return hasattr(thing, "__len__") and hasattr(thing, "__getitem__")


def _length(data: Any, name: str) -> int:
    try:
        count = len(data)
    except Exception as error:
        reason = in_one_line(error)
        raise InputError(f"Dataset {name!r}: expected __len__, the number of its items; {reason}.") from error
    if not count:
        raise InputError(f"Dataset {name!r}: expected at least 1 item, got 0.")
    return count


def _stated_labels(data: Any, count: int) -> Tensor | None:
    """Return the labels that a data set keeps apart from its items; None if it keeps none."""
    if isinstance(data, Subset):
        inner = _stated_labels(data.dataset, len(data.dataset))  # type: ignore[arg-type]
        return None if inner is None else inner[torch.as_tensor(list(data.indices))]
    for name in _STATED:
        found = getattr(data, name, None)
        if isinstance(found, list | tuple | np.ndarray | Tensor) and len(found) == count:
            try:
                return as_labels(torch.as_tensor(found), count=count, where=name)
            except (ValueError, TypeError):  # not whole numbers: the items tell
                continue
    return None


def _class_names(data: Any) -> tuple[str, ...]:
    """Return the class names that torchvision or Hugging Face keeps; an empty tuple without any."""
    if isinstance(data, Subset):
        return _class_names(data.dataset)
    features = getattr(data, "features", None)
    known = [features[key] for key in _LABELS if key in features] if isinstance(features, Mapping) else []
    names = getattr(data, "classes", None) or next((getattr(one, "names", None) for one in known), None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str | tuple) for name in names):
        return ()
    return tuple(name if isinstance(name, str) else ", ".join(map(str, name)) for name in names)


def _pair(item: Any, where: str) -> tuple[Any, Any]:
    """Return image and label of an item."""
    if isinstance(item, Mapping):
        image, label = (next((key for key in keys if key in item), None) for keys in (_IMAGES, _LABELS))
        if image is None or label is None:
            got = ", ".join(map(str, item)) or "none"
            raise InputError(f"{where}: expected the keys image and label, got {got}.")
        return item[image], item[label]
    if not isinstance(item, tuple | list) or len(item) != 2:
        things = isinstance(item, tuple | list)
        got = f"{len(item)} things" if things else f"one thing, {type(item).__name__}"
        raise InputError(f"{where}: expected an image and its label, got {got}.")
    return item[0], item[1]


def _whole_number(label: Any, where: str) -> int:
    number = label
    if isinstance(label, Tensor | np.ndarray | np.generic) and label.shape in ((), (1,)):
        number = label.item()
    if not isinstance(number, int) or isinstance(number, bool):
        raise InputError(f"{where}: expected a whole number as label, got {label!r:.60}.")
    if not 0 <= number < MOST_CLASSES:
        raise InputError(f"{where}: expected a label from 0 up, below {MOST_CLASSES:,}, got {number:.6g}.")
    return number


def _pixels(image: Any, where: str) -> NDArray[np.uint8]:
    """Return an image as uint8 (H, W, C), C 1 or 3."""
    if isinstance(image, Image.Image):
        if image.mode not in MODES:
            raise InputError(f"{where}: expected 8 bits per value, got a picture of mode {image.mode}.")
        try:
            shown = image.convert("L" if image.mode in ("1", "L") else "RGB")
        except Exception as error:  # Pillow reads files late; a damaged one makes it raise almost anything
            raise OSError(in_one_line(error)) from error
        return np.asarray(shown, dtype=np.uint8).reshape(shown.height, shown.width, -1)
    if not isinstance(image, Tensor | np.ndarray):
        kind = type(image).__name__
        raise InputError(f"{where}: expected a PIL image, an array or a tensor as image, got {kind}.")
    whole = _bytes(image, where)
    try:
        return as_images(whole[None], where=where)[0].permute(1, 2, 0).numpy()
    except InputError:
        got = f"{image.dtype} {tuple(image.shape)}"
        raise InputError(
            f"{where}: expected a uint8 image, (H, W), (H, W, C) or (C, H, W), C 1 or 3, got {got}."
        ) from None


def _bytes(image: Tensor | NDArray[Any], where: str) -> Tensor | NDArray[Any]:
    """Return floats k / 255 as uint8 k; anything else as it is."""
    if isinstance(image, np.ndarray) and image.dtype.kind != "f":
        return image
    values = image.detach().cpu() if isinstance(image, Tensor) else torch.from_numpy(np.array(image))
    if not values.is_floating_point() or not values.numel():
        return values
    low, high = float(values.min()), float(values.max())
    scaled = values.double() * 255
    inside = low >= 0 and high <= 1
    if inside and bool(((scaled - scaled.round()).abs() < _WHOLE).all()):
        return scaled.round().to(torch.uint8)
    got = f"{low:.4g} to {high:.4g}" if low <= high else "NaN"
    if low < 0:
        got += "; leave out Normalize, since each network has its own mean and std"
    elif inside:
        got += ", not all of them multiples of 1/255; put ToTensor last"
    raise InputError(f"{where}: expected pixels as uint8, or as floats k/255 from 0 to 1, got {got}.")


def _head(height: int, width: int, channels: int) -> bytes:
    return b"P%d %d %d 255\n" % (5 if channels == 1 else 6, width, height)
