"""Images that are decoded when they are needed: pictures of any size, brought to one size by a view."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from robustbench_act.datasets.arrays import channels_first
from robustbench_act.datasets.sources import Files, Source, digest_of, opened
from robustbench_act.errors import InputError, first_line
from robustbench_act.file_kinds import PICTURES, why_unreadable
from robustbench_act.paths import is_hidden
from robustbench_act.view import View

WORKERS = min(os.cpu_count() or 1, 8)
"""Threads that decode by default."""

_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")  # none that an external program would render
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")  # 8 bits per value
_GREY = ("1", "L")
_DEEP = (";16", "65535")  # in Pillow's description of a file's rows: it would cut these values to 8 bits
_SHOWN = 3  # pictures named in a message
_BLOCK = 1024  # pictures that wait for threads at a time

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def is_picture(name: str) -> bool:
    """Tell whether a file's name has the suffix of a picture and is not hidden.

    >>> is_picture("val_1.JPEG"), is_picture("labels.txt")
    (True, False)
    """
    return name.lower().endswith(_SUFFIXES) and not is_hidden(name)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images in a fixed order, uint8 (N, C, H, W) once decoded; indexing decodes nothing.

    Attributes
    ----------
    sources
        Where each picture comes from, or all images as a tensor, uint8 (N, C, H, W).
    view
        How each of them is resized and cropped.
    channels
        1 (grey) or 3: grey pictures are repeated, others become RGB; transparency is dropped.
    workers
        Threads that decode; their number does not change the order.
    """

    sources: Sequence[Source] | Tensor
    view: View
    channels: int = 3
    workers: int = WORKERS
    _checked: dict[Source, str | bytes] = field(default_factory=dict, repr=False)  # shared by all parts

    def __len__(self) -> int:
        return len(self.sources)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_checked": {}}  # it covers all pictures, also if these are a part

    def with_view(self, view: View) -> "Pictures":
        """Return the same pictures through a different view; earlier checks do not hold for it."""
        return replace(self, view=view, _checked={})

    def with_channels(self, channels: int) -> "Pictures":
        """Return the same pictures as grey (1) or RGB (3) ones."""
        return replace(self, channels=channels, _checked={})

    def __getitem__(self, index: slice | Tensor) -> "Pictures":
        if isinstance(self.sources, Tensor):
            return replace(self, sources=self.sources[index])
        if isinstance(index, slice):
            return replace(self, sources=self.sources[index])
        rows = (index.nonzero().flatten() if index.dtype == torch.bool else index).tolist()
        some = (
            self.sources.at(rows) if isinstance(self.sources, Files) else [self.sources[row] for row in rows]
        )
        return replace(self, sources=some)

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W); an InputError if the view leaves several sizes, or one is not a picture."""
        return len(self), self.channels, *self._size()

    def read(self) -> Tensor:
        """Return the images, uint8 (N, C, H, W); an InputError names those that cannot be read."""
        if not len(self):
            return torch.zeros((0, *self.shape[1:]), dtype=torch.uint8)
        found = list(_in_threads(self._decode, self.sources, self.workers))
        problems = [
            (source, answer)
            for source, answer in zip(self.sources, found, strict=True)
            if isinstance(answer, str)
        ]
        if problems:
            raise unreadable(problems, of=len(self))
        return channels_first(np.stack([array for array in found if not isinstance(array, str)]))

    def check(self, on_images: Callable[[int], None] = lambda count: None) -> dict[Source, str]:
        """Read and decode every picture; return those that cannot be used, with the reason. No image is kept.

        A picture is read once, however often this is called, also on parts of these pictures.
        """
        if isinstance(self.sources, Tensor):
            return {}
        new = [source for source in self.sources if source not in self._checked]
        if len(new) < len(self):
            on_images(len(self) - len(new))
        for source, answer in zip(new, _in_threads(self._digest, new, self.workers), strict=True):
            self._checked[source] = answer
            on_images(1)
        answers = ((source, self._checked[source]) for source in self.sources)
        return {source: answer for source, answer in answers if isinstance(answer, str)}

    def digests(self) -> Iterator[bytes]:
        """Yield the SHA-256 of each picture's bytes; those that were checked are not read again."""
        return map(self._known_digest, self.sources)

    def digest(self) -> bytes:
        """Return the SHA-256 of the view and the bytes of all pictures, in order; errors as in `read`."""
        digest = hashlib.sha256(f"{self.view.resize} {self.view.crop} {self.view.interpolation}".encode())
        if isinstance(self.sources, Tensor):
            digest.update(self.sources.contiguous().numpy().tobytes())
            return digest.digest()
        problems = self.check()
        if problems:
            raise unreadable(problems.items(), of=len(self))
        for source in self.sources:
            answer = self._checked[source]
            assert isinstance(answer, bytes)
            digest.update(answer)
        return digest.digest()

    def _size(self) -> tuple[int, int]:
        if isinstance(self.sources, Tensor):
            height, width = self.view.resized(*self.sources.shape[-2:])
            if self.view.crop and min(height, width) < self.view.crop:
                size = f"{height} x {width}"
                raise InputError(f"Images of {size} pixels are smaller than the crop of {self.view.crop}.")
            return self.view.size(*self.sources.shape[-2:])
        if self.view.crop:
            return self.view.crop, self.view.crop
        sizes: dict[tuple[int, int], Source] = {}
        for source, head in zip(self.sources, read_heads(self.sources, self.workers), strict=True):
            if head is not None:  # `check` names those that cannot be read
                sizes.setdefault(self.view.size(*head.size), source)
        if not sizes and len(self):
            raise unreadable(self.check().items(), of=len(self))
        if len(sizes) > 1:
            (one, first), (other, second), *_ = sizes.items()
            raise InputError(
                f"Images of several sizes: {first} has {one[0]} x {one[1]} pixels, {second} has {other[0]} x "
                f"{other[1]}; set a common size, e.g. --resize 256 --crop 224."
            )
        return next(iter(sizes), (0, 0))

    def _decode(self, source: Source | Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | str":
        """Return uint8 (H, W, C), or why it cannot be decoded."""
        if isinstance(source, Tensor):
            try:
                return self._array(_as_picture(source))
            except Exception as error:  # of the view
                return first_line(error)
        try:
            return self._decoded(source.read_bytes())
        except OSError as error:
            return _why_lost(source, error)

    def _digest(self, source: Source) -> bytes | str:
        """Return the SHA-256 of a picture that can be decoded, or why it cannot."""
        try:
            content = source.read_bytes()
        except OSError as error:
            return _why_lost(source, error)
        found = self._decoded(content)
        return found if isinstance(found, str) else hashlib.sha256(content).digest()

    def _known_digest(self, source: Source) -> bytes:
        known = self._checked.get(source)
        return known if isinstance(known, bytes) else digest_of(source)

    def _decoded(self, content: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | str":
        """Return uint8 (H, W, C), or why it cannot be decoded."""
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
                return self._array(picture)
        except Exception as error:  # a damaged picture makes its decoder raise almost anything
            unknown = isinstance(error, UnidentifiedImageError)
            reason = ValueError("not an image of a known format") if unknown else error
            return why_unreadable(content, reason, *PICTURES)

    def _array(self, picture: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        if picture.mode not in MODES or any(deep in repr(getattr(picture, "tile", ())) for deep in _DEEP):
            raise ValueError(f"mode {picture.mode}, more than 8 bits per value")
        shown = self.view.apply(picture.convert("RGB" if self.channels == 3 else "L"))
        return np.asarray(shown, dtype=np.uint8).reshape(shown.height, shown.width, self.channels)


class Head(NamedTuple):
    """The mode (Pillow's) and size (H, W) in the header of a picture."""

    mode: str
    size: tuple[int, int]


def read_heads(sources: Sequence[Source], workers: int) -> Iterator[Head | None]:
    """Yield the header of each picture; None if it is not one."""
    return _in_threads(_head, sources, workers)


def channels_of(sources: Sequence[Source], workers: int) -> int:
    """Return 1 if all pictures that can be read are grey, else 3; the first in colour ends the search."""
    grey = False
    for head in read_heads(sources, workers):
        if head is not None and head.mode not in _GREY:
            return 3
        grey = grey or head is not None
    return 1 if grey else 3


def unreadable(problems: Iterable[tuple[object, object]], *, of: int) -> InputError:
    """Return the error that names pictures that cannot be read, and why."""
    named = [f"{path} ({reason})" for path, reason in problems]
    rest = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return InputError(
        f"{len(named)} of {of} images cannot be read: {', '.join(named[:_SHOWN])}{rest}; "
        "--skip-unreadable leaves them out."
    )


def _head(source: Source) -> Head | None:
    try:
        with opened(source) as file, Image.open(file, formats=_FORMATS) as picture:
            return Head(picture.mode, (picture.height, picture.width))
    except Exception:
        return None


def _why_lost(source: Source, error: OSError) -> str:
    lost = isinstance(source, Path) and source.is_symlink() and not source.exists()
    return "a link to a file that does not exist" if lost else first_line(error)


def _as_picture(image: Tensor) -> Image.Image:
    array = image.permute(1, 2, 0).numpy()
    return Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)


def _in_threads(work: Callable[[_Item], _Answer], items: Iterable[_Item], workers: int) -> Iterator[_Answer]:
    """Yield the answers in the order of the items. Threads pay off: decoders release the interpreter lock."""
    with warnings.catch_warnings(), ThreadPoolExecutor(max(workers, 1)) as pool:
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # more pixels than Pillow thinks safe
        rest = iter(items)
        while block := list(islice(rest, _BLOCK)):  # the pool holds everything it is given
            yield from pool.map(work, block)
