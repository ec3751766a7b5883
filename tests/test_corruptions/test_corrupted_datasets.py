"""Corrupted data sets: the same pixels in any worker, order, epoch and restart."""

import copy
import hashlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import v2

import corruptions
from corruptions import Corrupt, Corrupted, RandomCorruption
from corruptions.registry import forget
from corruptions.transforms import epoch_seed

from .conftest import make_images

COUNT = 24
MODULE = """
import corruptions
def dust(image, rng, share):
    dusty = image.copy()
    dusty[rng.random(image.shape[:2]) < share] = 0
    return dusty
corruptions.from_function(dust, name="dust", severities={"share": (0.01, 0.02, 0.05, 0.1, 0.2)})
"""


class Pictures(torch.utils.data.Dataset[Any]):
    """PIL images with their numbers, through a transform of its own: as torchvision's data sets are."""

    def __init__(self, transform: Any = None) -> None:
        images = make_images(count=COUNT, channels=3, dtype=torch.uint8)
        self.images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.images[index])
        return (self.transform(image) if self.transform else image), index


def expected_items(transform: RandomCorruption, epoch: int) -> Tensor:
    """Return what each item should be, made one by one by `corrupt`."""
    images = make_images(count=COUNT, channels=3, dtype=torch.uint8)
    made = []
    for place in range(COUNT):
        cell = transform.draw(place, epoch=epoch)
        seed = epoch_seed(transform.seed, epoch)
        assert cell is not None
        one: Any = {"severity": cell.severity, "seed": seed, "ids": torch.tensor([place])}
        made.append(corruptions.corrupt(images[place : place + 1], cell.corruption, **one))
    return torch.cat(made)


RANDOM = RandomCorruption("c15", seed=2)


def piped(where: str) -> Corrupted:
    pipeline = v2.Compose([RANDOM, v2.ToImage()])
    return Corrupted(Pictures(pipeline)) if where == "inside" else Corrupted(Pictures(), pipeline)


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_items_are_read_under_their_index(where: str) -> None:
    data = piped(where)
    assert len(data) == COUNT
    assert data.epoch == 0
    for epoch in (0, 3):
        data.set_epoch(epoch)
        expected = expected_items(RANDOM, epoch)
        for place in (5, 0, -1, torch.tensor(7), np.int64(3)):
            image, label = data[place]  # type: ignore[index]
            assert torch.equal(image, expected[int(place)])
            assert label == int(place) % COUNT
    assert [label for _, label in data] == list(range(COUNT))  # type: ignore[attr-defined]
    with pytest.raises(IndexError):
        data[COUNT]


def test_a_subset_reads_items_in_batches_and_still_gets_its_index() -> None:
    """A DataLoader asks `Subset` for whole batches (`__getitems__`), which a wrapper must not hand on."""
    chosen = [9, 4, 17, 2]
    inner = Subset(piped("inside"), chosen)
    (made, labels) = next(iter(DataLoader(inner, batch_size=4)))
    assert labels.tolist() == chosen
    assert torch.equal(made, expected_items(RANDOM, 0)[chosen])
    subset = Subset(Pictures(), chosen)
    assert hasattr(subset, "__getitems__")
    outer = Corrupted(subset, v2.Compose([RANDOM, v2.ToImage()]), ids=chosen)
    (made, _) = next(iter(DataLoader(outer, batch_size=4)))
    assert torch.equal(made, expected_items(RANDOM, 0)[chosen])


@pytest.mark.slow
def test_data_sets_of_hugging_face() -> None:
    import datasets

    columns = {"image": [image for image, _ in Pictures()], "label": list(range(COUNT))}  # type: ignore[attr-defined]
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    pipeline = v2.Compose([RANDOM, v2.ToImage()])

    def transform(batch: dict[str, Any]) -> dict[str, Any]:
        return {**batch, "image": [pipeline(image) for image in batch["image"]]}

    data = Corrupted(datasets.Dataset.from_dict(columns, features=kinds).with_transform(transform))
    found = list(DataLoader(data, batch_size=5))
    assert torch.equal(torch.cat([batch["image"] for batch in found]), expected_items(RANDOM, 0))
    assert torch.cat([batch["label"] for batch in found]).tolist() == list(range(COUNT))


def test_the_place_is_forgotten_after_an_item_also_after_an_error() -> None:
    def broken(image: Image.Image) -> Image.Image:
        raise OSError("the disk")

    noise = Corrupt("gaussian_noise", severity=3)
    image = Image.fromarray(Pictures().images[0])
    usual = noise(image)
    with pytest.raises(OSError, match="the disk"):
        Corrupted(Pictures(broken))[3]
    assert noise(image) == usual
    Corrupted(Pictures(noise))[3]
    assert noise(image) == usual
    assert Corrupted(Pictures(noise))[0][0] != usual


def test_what_the_call_says_goes_before_what_is_read() -> None:
    data = Corrupted(Pictures(), lambda item: RANDOM(item, index=5, epoch=1))
    data.set_epoch(2)
    images = make_images(count=COUNT, channels=3, dtype=torch.uint8)
    assert torch.equal(v2.functional.pil_to_tensor(data[3][0]), RANDOM(images[3], index=5, epoch=1))


def test_copies_have_epochs_of_their_own() -> None:
    data = piped("inside")
    data.set_epoch(2)
    for other in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert other.epoch == 2
        other.set_epoch(5)
        assert data.epoch == 2
        assert other._epoch.is_shared()


def batches_of(data: Corrupted, *, order: list[int], workers: int, method: str | None) -> DataLoader[Any]:
    return DataLoader(
        data,
        batch_size=5,
        sampler=order,
        num_workers=workers,
        multiprocessing_context=method,
        persistent_workers=workers > 0,
    )


def check_epochs(loader: DataLoader[Any], data: Corrupted, epochs: list[int]) -> None:
    for epoch in epochs:
        data.set_epoch(epoch)
        images, labels = map(torch.cat, zip(*loader, strict=True))
        assert torch.equal(images, expected_items(RANDOM, epoch)[labels])


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(
    ("workers", "method"), [(0, None), (2, "fork"), pytest.param(2, "spawn", marks=pytest.mark.slow)]
)
def test_any_loader_gives_the_same_pixels_in_each_epoch_and_after_a_restart(
    workers: int, method: str | None, shuffled: bool
) -> None:
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(COUNT, generator=generator).tolist() if shuffled else list(range(COUNT))
    data = piped("inside" if shuffled else "outside")
    check_epochs(batches_of(data, order=order, workers=workers, method=method), data, [0, 1])
    # Killed in epoch 1 after 10 images, started again in a new process with other workers:
    again = pickle.loads(pickle.dumps(piped("inside")))
    check_epochs(batches_of(again, order=order[10:], workers=workers, method=method), again, [1, 2])


@pytest.fixture
def dust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A corruption of another package."""
    (tmp_path / "dustmodule.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("dustmodule")
    yield "dust"
    forget("dust")
    sys.modules.pop("dustmodule")


@pytest.mark.slow
def test_workers_that_are_spawned_know_your_own_corruptions(dust: str) -> None:
    transform = RandomCorruption([dust, "fog"], severities=[5])
    data = Corrupted(Pictures(v2.Compose([transform, v2.ToImage()])))
    loader = batches_of(data, order=list(range(COUNT)), workers=1, method="spawn")
    images, _ = map(torch.cat, zip(*loader, strict=True))
    assert torch.equal(images, expected_items(transform, 0))


@pytest.mark.parametrize("own", [False, True])
def test_a_fresh_process_can_read_a_pickled_transform(own: bool, dust: str, tmp_path: Path) -> None:
    name = dust if own else "fog"
    data = pickle.dumps([Corrupt(name, severity=3), RandomCorruption([name], p=0.5)])
    code = f"""if True:
        import pickle, sys
        sys.path.insert(0, {str(tmp_path)!r})
        fixed, drawn = pickle.loads({data!r})
        import torch
        black = torch.full((3, 32, 32), 200, dtype=torch.uint8)
        print(fixed, drawn.draw(4), fixed(black, index=2).sum().item(), "torchvision" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fixed = Corrupt(name, severity=3)
    total = fixed(torch.full((3, 32, 32), 200, dtype=torch.uint8), index=2).sum().item()
    assert done.stdout.strip() == f"{fixed} {RandomCorruption([name], p=0.5).draw(4)} {total} False"


def test_pixels_are_those_of_an_evaluation(tmp_path: Path) -> None:
    from robustbench_act import evaluate

    images = make_images(count=COUNT, channels=1, dtype=torch.uint8)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(270, 10))
    options: Any = {"mean": 0.3, "std": 0.4, "out": tmp_path / "run", "progress": False, "probes": False}
    data = images, torch.arange(COUNT) % 10
    run = evaluate(net, dataset=data, corruptions=["snow"], severities=[2], seed=4, **options)
    transform = v2.Compose([Corrupt("snow", severity=2, seed=4)])
    items = Corrupted([Image.fromarray(image[0].numpy()) for image in images], transform)
    content = b"".join(np.asarray(items[place]).tobytes() for place in range(COUNT))
    of_chunk = hashlib.sha256(content).hexdigest()
    shown = run.cells.set_index("corruption")["pixels"]["snow"]
    assert hashlib.sha256(of_chunk.encode()).hexdigest() == shown
