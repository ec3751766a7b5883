"""What networks are shown: images, corrupted where each corruption acts, normalised."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corruptions import Cell
from robustbench_act.datasets import StoredCell
from robustbench_act.devices import is_out_of_memory
from robustbench_act.errors import first_line
from robustbench_act.evaluation.work import Job, Task
from robustbench_act.preprocessing import Preprocessing


class OutOfMemoryError(Exception):
    """A unit needs more memory at once than there is."""


class CorruptionError(Exception):
    """Images could not be corrupted: no network is at fault."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def corrupt(
    cell: Cell | StoredCell,
    images: Tensor,
    clean: Tensor,
    *,
    ids: Tensor,
    seed: int,
    preprocessing: Preprocessing,
) -> tuple[Tensor, Tensor]:
    """Apply a cell where it acts: to the pixels before preprocessing, or to the normalised input.

    Takes uint8 images (N, C, H, W), and the inputs that preprocessing makes of them; returns the images or
    inputs as the cell makes them, and the network's inputs.
    """
    if cell.domain == "pixels":
        corrupted = cell.apply(images, ids=ids, seed=seed)
        return corrupted, preprocessing(corrupted)
    shifted = cell.apply(clean, ids=ids, seed=seed)
    return shifted, shifted


class Inputs:
    """The inputs of a unit: (k + 1, n, C, H, W), normalised, the clean version first.

    Iterating yields them in portions of at most `portion` images along n. A single portion is made once and
    kept; several are made again each time, since they do not fit into memory together.
    """

    def __init__(self, task: Task, preprocessing: Preprocessing, job: Job, portion: int) -> None:
        self._task, self._preprocessing, self._job, self._portion = task, preprocessing, job, portion
        self._kept: Tensor | None = None
        self.digests: list[str] = []  # SHA-256 of the pixels of each version, once they have been made

    def __len__(self) -> int:
        return len(self._task.chunk.ids)

    def __iter__(self) -> Iterator[Tensor]:
        if self._kept is not None:
            yield self._kept
            return
        hashes = [hashlib.sha256() for _ in self._task.unit.severities]
        for start in range(0, len(self), self._portion):
            try:
                portion, pixels = self._make(slice(start, start + self._portion))
            except Exception as error:
                if is_out_of_memory(error):
                    raise OutOfMemoryError(first_line(error)) from error
                raise CorruptionError(error) from error
            for digest, data in zip(hashes, pixels, strict=True):
                digest.update(data)
            if len(self) <= self._portion:
                self._kept = portion
                self.digests = [digest.hexdigest() for digest in hashes]
            yield portion
        self.digests = [digest.hexdigest() for digest in hashes]

    def _make(self, rows: slice) -> tuple[Tensor, list[Any]]:
        """Return the inputs of some images, and the bytes of their pixels, version by version."""
        chunk, unit, device = self._task.chunk, self._task.unit, self._job.device
        images, ids = _moved(chunk.images[rows], device), _moved(chunk.ids[rows], device)
        clean = self._preprocessing(images)
        inputs = clean.new_empty((len(unit.severities), *clean.shape))
        inputs[0] = clean
        pixels = [_bytes(images)]
        for place, cell in enumerate(unit.cells, start=1):
            corrupted, inputs[place] = corrupt(
                cell, images, clean, ids=ids, seed=self._job.seed, preprocessing=self._preprocessing
            )
            pixels.append(_bytes(corrupted))
        return inputs, pixels


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device; to a GPU from pinned memory, while other work continues."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _bytes(images: Tensor) -> Any:
    return np.ascontiguousarray(images.cpu().numpy()).data
