"""Corrupted data sets on disk, in the layouts of CIFAR-C and ImageNet-C."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from PIL import Image

from corruptions import Cell, Suite
from robustbench_act.atomic_files import publish, sync_tree, write_atomically
from robustbench_act.datasets import Dataset
from robustbench_act.datasets.layouts import GENERATED, LABELS, stored_names
from robustbench_act.devices import free_bytes
from robustbench_act.errors import InputError
from robustbench_act.version import __version__

Layout: TypeAlias = Literal["npy", "folders"]

CHUNK = 256
"""Images that are corrupted and held in memory at once."""


@dataclass(frozen=True)
class Generation:
    """A corrupted copy of a data set, to be written.

    Attributes
    ----------
    dataset
        The clean images.
    suite
        Its corruptions must act on pixels.
    seed
        Seed of the corruptions; an evaluation with it has the same pixels.
    layout
        "npy", as in CIFAR-10-C: NAME.npy for each corruption, uint8 (severities x N, H, W, C), severity by
        severity, and labels.npy, int64 (severities x N,). "folders", as in ImageNet-C, but lossless (not JPEG
        of quality 85): NAME/SEVERITY/CLASS/FILE.png, FILE the clean file's name or the id.
    """

    dataset: Dataset
    suite: Suite
    seed: int = 0
    layout: Layout = "npy"

    def __post_init__(self) -> None:
        if self.layout not in get_args(Layout):
            raise InputError(f"Expected layout npy or folders, got {self.layout!r}.")
        if self.layout == "npy":
            _ = self.dataset.known_labels  # they are stored next to the images
        else:
            stored_names(self.dataset)
        shifts = [cell.corruption for cell in self.suite.cells if cell.domain != "pixels"]
        if shifts:
            raise InputError(
                f"Suite {self.suite.name!r}: {shifts[0]} acts on the normalised input of a network; "
                "expected corruptions of pixels: only these can be stored."
            )

    @property
    def size(self) -> int:
        """Bytes of the pixels; the folder layout is compressed and takes less."""
        return len(self.suite.cells) * len(self.dataset) * math.prod(self.dataset.shape)

    def describe(self) -> dict[str, Any]:
        """Return everything the pixels depend on, as plain values."""
        _, height, width = self.dataset.shape
        return {
            "product": "actrobust",
            "version": __version__,
            "dataset": self.dataset.name,
            "dataset_digest": self.dataset.digest,
            "images": len(self.dataset),
            "suite": {
                "name": self.suite.name,
                "hash": self.suite.hash,
                "table": self.suite.resolve_table(height, width),
                "corruptions": list(self.suite.corruptions),
                "severities": sorted({cell.severity for cell in self.suite.cells}),
            },
            "seed": self.seed,
            "layout": self.layout,
        }


def generate(
    generation: Generation,
    out: str | Path,
    *,
    device: torch.device | None = None,
    on_images: Callable[[int], None] = lambda count: None,
) -> Path:
    """Write a corrupted data set into the folder `out`; a call that repeats a killed one continues it.

    A file (layout "npy") or the folder of a cell (layout "folders") appears once it is complete, and is not
    made again. `generated.json` describes the files.

    Parameters
    ----------
    generation
        What to write.
    out
        An absent or empty folder, or one of the same generation.
    device
        Where to corrupt; by default the CPU.
    on_images
        Called with the number of images in each finished batch.

    Raises
    ------
    InputError
        If `out` holds something else or a different generation, or the disk has too little room.

    Examples
    --------
    >>> import tempfile
    >>> from corruptions import get_suite
    >>> from robustbench_act.datasets import load_dataset
    >>> wanted = Generation(load_dataset("mnist-1k").subset(10), get_suite("light").with_severities([1, 5]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = generate(wanted, folder)
    ...     sorted(file.name for file in path.iterdir()), np.load(path / "contrast.npy").shape
    (['brightness.npy', 'contrast.npy', 'generated.json', 'labels.npy'], (20, 28, 28, 1))
    """
    folder = Path(out)
    _open(folder, generation)
    where = device or torch.device("cpu")
    write = _write_arrays if generation.layout == "npy" else _write_folders
    for name in generation.suite.corruptions:
        cells = [cell for cell in generation.suite.cells if cell.corruption == name]
        write(generation, cells, folder, where, on_images)
    return folder


def _open(folder: Path, generation: Generation) -> None:
    manifest = folder / GENERATED
    wanted = json.dumps(generation.describe(), indent=1)
    if manifest.is_file():
        if manifest.read_text() != wanted:
            raise InputError(
                f"{folder}: holds a different generated data set (see {GENERATED}); choose another --out."
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists but is not a generated data set; choose another --out.")
    free = free_bytes(folder)
    if generation.size > free:
        raise InputError(f"{folder}: needs {generation.size:,} bytes, but the disk has {free:,} left.")
    write_atomically(manifest, wanted.encode())


def _corrupted(
    generation: Generation, cell: Cell, device: torch.device, on_images: Callable[[int], None]
) -> Iterator[tuple[Dataset, np.ndarray[Any, np.dtype[np.uint8]]]]:
    """Yield the chunks of the data set with their corrupted images, uint8 (n, H, W, C)."""
    for chunk in generation.dataset.chunks(CHUNK):
        images = cell.apply(chunk.images.to(device), ids=chunk.ids.to(device), seed=generation.seed)
        yield chunk, images.permute(0, 2, 3, 1).cpu().numpy()
        on_images(len(chunk))


def _write_arrays(
    generation: Generation,
    cells: list[Cell],
    folder: Path,
    device: torch.device,
    on_images: Callable[[int], None],
) -> None:
    path = folder / f"{cells[0].corruption}.npy"
    count = len(generation.dataset)
    labels = folder / LABELS
    if not labels.exists():
        _save_array(labels, np.tile(generation.dataset.known_labels.numpy(), len(cells)))
    if path.exists():
        on_images(count * len(cells))
        return
    channels, height, width = generation.dataset.shape
    temporary = folder / f".{path.name}.part"
    shape = (count * len(cells), height, width, channels)
    array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
    start = 0
    for cell in cells:
        for chunk, images in _corrupted(generation, cell, device, on_images):
            array[start : start + len(chunk)] = images
            start += len(chunk)
    array.flush()
    del array
    publish(temporary, path)


def _save_array(path: Path, array: np.ndarray[Any, Any]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    publish(temporary, path)


def _write_folders(
    generation: Generation,
    cells: list[Cell],
    folder: Path,
    device: torch.device,
    on_images: Callable[[int], None],
) -> None:
    for cell in cells:
        path = folder / cell.corruption / f"{cell.severity:g}"
        if path.exists():
            on_images(len(generation.dataset))
            continue
        temporary = path.with_name(f".{path.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        for chunk, images in _corrupted(generation, cell, device, on_images):
            for image, (label, name) in zip(images, stored_names(chunk), strict=True):
                file = temporary / label / f"{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file)
        sync_tree(temporary)
        publish(temporary, path)
