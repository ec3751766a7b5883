"""What networks are shown: images, corrupted where each corruption acts, normalised."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corruptions import Cell
from robustbench_act.datasets import StoredCell
from robustbench_act.devices import is_out_of_memory
from robustbench_act.errors import first_line
from robustbench_act.evaluation.units import Series
from robustbench_act.evaluation.work import Job, Task
from robustbench_act.preprocessing import Preprocessing

ROOM = 2**30
"""Bytes of the images of a unit, in all versions, that are in memory at once."""


class OutOfMemoryError(Exception):
    """A unit needs more memory at once than there is."""


class CorruptionError(Exception):
    """Images could not be corrupted: no network is at fault."""

    def __init__(self, error: Exception, series: Series) -> None:
        super().__init__(str(error))
        self.error, self.series = error, series


def change(cell: Cell | StoredCell, images: Tensor, clean: Tensor, *, ids: Tensor, seed: int) -> Tensor:
    """Apply a cell where it acts: to uint8 images (N, C, H, W), or to the inputs that are made of them."""
    return cell.apply(images if cell.domain == "pixels" else clean, ids=ids, seed=seed)


def corrupt(
    cell: Cell | StoredCell,
    images: Tensor,
    clean: Tensor,
    *,
    ids: Tensor,
    seed: int,
    preprocessing: Preprocessing,
) -> tuple[Tensor, Tensor]:
    """Return what `change` makes of images, and the network's inputs for it."""
    changed = change(cell, images, clean, ids=ids, seed=seed)
    return changed, preprocessing(changed) if cell.domain == "pixels" else changed


class Versions:
    """Some images in several versions, the clean one first, each as small as it was made.

    Parameters
    ----------
    pixels
        uint8 (p, n, C, H, W): versions that are preprocessed when they are asked for.
    inputs
        float (q, n, C, H, W): versions that are inputs of the network already.
    order
        For each version, whether it is one of `pixels`.
    preprocessing
        From pixels to inputs.
    """

    def __init__(
        self,
        pixels: Tensor | None,
        inputs: Tensor | None,
        order: Sequence[bool],
        preprocessing: Callable[[Tensor], Tensor],
    ) -> None:
        self._pixels, self._inputs, self._preprocessing = pixels, inputs, preprocessing
        counts = {True: 0, False: 0}
        self._places = list[tuple[bool, int]]()
        for is_pixels in order:
            self._places.append((is_pixels, counts[is_pixels]))
            counts[is_pixels] += 1

    @classmethod
    def of(cls, inputs: Tensor) -> "Versions":
        """Return versions that are inputs already."""
        return cls(None, inputs, [False] * len(inputs), lambda images: images)

    def __len__(self) -> int:
        """Return the number of images."""
        one = self._pixels if self._pixels is not None else self._inputs
        assert one is not None
        return one.shape[1]

    def inputs(self, versions: Sequence[int], rows: slice) -> Tensor:
        """Return the network's inputs for some versions of some images, (versions, n, C, H, W)."""
        parts = []
        for is_pixels, chosen in groupby((self._places[version] for version in versions), key=itemgetter(0)):
            places = [place for _, place in chosen]
            if is_pixels:
                assert self._pixels is not None
                images = self._pixels[:, rows][places]
                flat = self._preprocessing(images.flatten(0, 1))
                parts.append(flat.view(*images.shape[:2], *flat.shape[1:]))
            else:
                assert self._inputs is not None
                parts.append(self._inputs[:, rows][places])
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class Inputs:
    """The images of a unit in its versions.

    Iterating yields them in portions of at most `portion` images, and of ROOM bytes. A single portion is made
    once and kept; several are made again each time, since they do not fit into memory together.
    """

    def __init__(self, task: Task, preprocessing: Preprocessing, job: Job, portion: int) -> None:
        self.preprocessing = preprocessing
        self._task, self._job = task, job
        self._portion = max(1, min(portion, ROOM // self._bytes_of_image()))
        self._kept: Versions | None = None
        self.digests: list[str] = []  # SHA-256 of the pixels of each version, once they have been made

    def __len__(self) -> int:
        return len(self._task.chunk.ids)

    def __iter__(self) -> Iterator[Versions]:
        if self._kept is not None:
            yield self._kept
            return
        hashes = [hashlib.sha256() for _ in range(self._task.unit.versions)]
        for start in range(0, len(self), self._portion):
            portion = self._make(slice(start, start + self._portion), hashes)
            if len(self) <= self._portion:
                self._kept = portion
                self.digests = [digest.hexdigest() for digest in hashes]
            yield portion
        self.digests = [digest.hexdigest() for digest in hashes]

    def _bytes_of_image(self) -> int:
        """Return the bytes of an image in all versions."""
        pixels = self._task.chunk.images.shape[1:]
        size = self.preprocessing.size or pixels[1:]
        inputs = len(self.preprocessing.mean) * math.prod(size)
        each = [one.bytes_of(math.prod(pixels), inputs) for one in self._task.unit.series]
        return math.prod(pixels) + sum(each)

    def _make(self, rows: slice, hashes: Sequence[Any]) -> Versions:
        chunk, unit, device = self._task.chunk, self._task.unit, self._job.device
        try:
            images, ids = _moved(chunk.images[rows], device), _moved(chunk.ids[rows], device)
            clean = self.preprocessing(images)
            order = [True, *(cell.domain == "pixels" for cell in unit.cells)]
            pixels = images.new_empty((sum(order), *images.shape))
            shifted = clean.new_empty((len(order) - sum(order), *clean.shape))
            stores = {True: iter(pixels), False: iter(shifted)}
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemoryError(first_line(error)) from error
            raise
        next(stores[True]).copy_(images)
        hashes[0].update(_bytes(images))
        digests, kinds = iter(hashes[1:]), iter(order[1:])
        for one in unit.series:
            for cell in one.cells:
                try:
                    changed = change(cell, images, clean, ids=ids, seed=self._job.seed)
                except Exception as error:
                    if is_out_of_memory(error):
                        raise OutOfMemoryError(first_line(error)) from error
                    raise CorruptionError(error, one) from error
                next(stores[next(kinds)]).copy_(changed)
                next(digests).update(_bytes(changed))
        return Versions(pixels, shifted, order, self.preprocessing)


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device; to a GPU from pinned memory, while other work continues."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _bytes(images: Tensor) -> Any:
    return np.ascontiguousarray(images.cpu().numpy()).data
