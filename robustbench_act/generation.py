"""Corrupted data sets on disk, in the layouts of CIFAR-C and ImageNet-C."""

import io
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
from corruptions.random import check_seed
from robustbench_act.atomic_files import publish, sync_tree, write_atomically
from robustbench_act.datasets import Dataset
from robustbench_act.datasets.layouts import GENERATED, LABELS, stored_names
from robustbench_act.devices import free_bytes
from robustbench_act.errors import InputError
from robustbench_act.option_kinds import use_plain_numbers
from robustbench_act.paths import expand, is_hidden
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
        use_plain_numbers(self)
        check_seed(self.seed)
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
    folder = expand(out)
    _open(folder, generation)
    writer = _Writer(generation, folder, device or torch.device("cpu"), on_images)
    write = writer.arrays if generation.layout == "npy" else writer.folders
    for name in generation.suite.corruptions:
        write([cell for cell in generation.suite.cells if cell.corruption == name])
    return folder


def _open(folder: Path, generation: Generation) -> None:
    manifest = folder / GENERATED
    wanted = json.dumps(generation.describe(), indent=1)
    if manifest.is_file():
        if manifest.read_text() != wanted:
            raise InputError(
                f"{folder}: holds a different generated data set (see {GENERATED}); choose a different --out."
            )
        return
    if folder.exists() and (
        not folder.is_dir() or not all(is_hidden(each.name) for each in folder.iterdir())
    ):
        raise InputError(f"{folder}: exists but is not a generated data set; choose a different --out.")
    free = free_bytes(folder)
    if generation.size > free:
        raise InputError(f"{folder}: needs {generation.size:,} bytes, but the disk has {free:,} left.")
    write_atomically(manifest, wanted.encode())


@dataclass(frozen=True)
class _Writer:
    """Writes the cells of one corruption, each file or folder unless it exists; see `generate`."""

    generation: Generation
    folder: Path
    device: torch.device
    on_images: Callable[[int], None]

    def arrays(self, cells: list[Cell]) -> None:
        path, labels = self.folder / f"{cells[0].corruption}.npy", self.folder / LABELS
        data = self.generation.dataset
        if not labels.exists():
            buffer = io.BytesIO()
            np.save(buffer, np.tile(data.known_labels.numpy(), len(cells)), allow_pickle=False)
            write_atomically(labels, buffer.getvalue())
        if path.exists():
            self.on_images(len(data) * len(cells))
            return
        channels, height, width = data.shape
        temporary = self.folder / f".{path.name}.part"
        shape = (len(data) * len(cells), height, width, channels)
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        start = 0
        for cell in cells:
            for chunk, images in self._corrupted(cell):
                array[start : start + len(chunk)] = images
                start += len(chunk)
        array.flush()
        del array
        publish(temporary, path)

    def folders(self, cells: list[Cell]) -> None:
        for cell in cells:
            path = self.folder / cell.corruption / f"{cell.severity:g}"
            if path.exists():
                self.on_images(len(self.generation.dataset))
                continue
            temporary = path.with_name(f".{path.name}.part")
            shutil.rmtree(temporary, ignore_errors=True)
            for chunk, images in self._corrupted(cell):
                for image, (label, name) in zip(images, stored_names(chunk), strict=True):
                    file = temporary / label / f"{name}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file)
            sync_tree(temporary)
            publish(temporary, path)

    def _corrupted(self, cell: Cell) -> Iterator[tuple[Dataset, np.ndarray[Any, np.dtype[np.uint8]]]]:
        """Yield the chunks of the data set with their corrupted images, uint8 (n, H, W, C)."""
        for chunk in self.generation.dataset.chunks(CHUNK):
            ids = chunk.ids.to(self.device)
            images = cell.apply(chunk.images.to(self.device), ids=ids, seed=self.generation.seed)
            yield chunk, images.permute(0, 2, 3, 1).cpu().numpy()
            self.on_images(len(chunk))
