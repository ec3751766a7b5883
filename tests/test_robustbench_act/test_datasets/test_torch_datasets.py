"""Map-style data sets of torch, torchvision and one's own: the same images and labels, or one line."""

import io
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset
from torchvision import datasets as torchvision_datasets
from torchvision import transforms

from robustbench_act import train
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import Dataset, as_dataset, load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import DataRequest, evaluate
from robustbench_act.evaluation.work import Chunk
from robustbench_act.run import load_run

DIGITS = load_dataset("digits").subset(40)
IMAGES, LABELS = DIGITS.images, DIGITS.known_labels


class Items(torch.utils.data.Dataset[Any]):
    """A data set of any items, which counts how often each is read."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items, self.read = items, [0] * len(items)
        self.targets: list[int] | None = None
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.read[index] += 1
        item = self.items[index]
        if isinstance(item, Exception):
            raise item
        return item() if callable(item) else item


def digits(form: Callable[[torch.Tensor], Any], **attributes: Any) -> Items:
    """Return the digits, each image (1, 8, 8) in a form of its own, with labels."""
    pairs = zip(IMAGES, LABELS.tolist(), strict=True)
    return Items([(form(image), label) for image, label in pairs], **attributes)


def as_picture(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image[0].numpy())


FORMS: dict[str, Callable[[torch.Tensor], Any]] = {
    "tensor": lambda image: image,
    "array (H, W)": lambda image: image[0].numpy(),
    "array (H, W, C)": lambda image: image.permute(1, 2, 0).numpy(),
    "picture": as_picture,
    "floats of ToTensor": lambda image: transforms.ToTensor()(as_picture(image)),
    "float64 array": lambda image: image[0].numpy() / 255,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_is_the_same_image(form: str) -> None:
    found = as_dataset(digits(FORMS[form]), "mine")
    assert (found.name, len(found), found.total, found.shape) == ("mine", 40, 40, (1, 8, 8))
    assert torch.equal(found.images, IMAGES)
    assert torch.equal(found.known_labels, LABELS)
    assert found.open_ended
    assert found.classes == DIGITS.classes
    assert found.view is None
    assert torch.equal(found.subset(20).images, DIGITS.subset(20).images)
    assert found.digest == as_dataset(digits(FORMS["tensor"]), "mine").digest
    assert found.with_channels(3).shape == (3, 8, 8)
    assert found.names()[3] == "00000003"


@pytest.mark.parametrize(
    "label",
    [np.int64, np.array, lambda n: np.array([n]), lambda n: torch.tensor(n, dtype=torch.uint8)],
)
def test_labels_are_whole_numbers_of_any_kind(label: Callable[[int], Any]) -> None:
    found = as_dataset(Items([(IMAGES[place], label(place)) for place in (0, 2, 1)]))
    assert (found.name, found.known_labels.tolist()) == ("Items", [0, 2, 1])


def test_items_may_be_dictionaries() -> None:
    """As Hugging Face's data sets have them, with the names of the classes in their features."""

    class Names:
        names = ("cat", "dog")

    for image, label in (("image", "label"), ("img", "fine_label"), ("pixel_values", "labels")):
        items = [{"id": 7, label: place, image: as_picture(IMAGES[place])} for place in (0, 1)]
        found = as_dataset(Items(items, features={label: Names(), image: None}))
        assert torch.equal(found.images, IMAGES[:2])
        assert (found.classes, found.open_ended) == (("cat", "dog"), False)


def test_pictures_of_any_mode_and_size_go_through_the_view() -> None:
    """As files do: grey if all are, else RGB; sizes differ until --resize and --crop make them one."""
    modes = ("RGB", "L", "P", "RGBA", "1", "CMYK")
    colours = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    pictures = [Image.fromarray(colours).convert(mode) for mode in modes]
    found = as_dataset(Items([(picture, 0) for picture in pictures]))
    assert found.shape == (3, 12, 16)
    for image, picture in zip(found.images, pictures, strict=True):
        assert np.array_equal(image.permute(1, 2, 0), np.asarray(picture.convert("RGB")))
    assert as_dataset(Items([(picture.convert("L"), 0) for picture in pictures])).shape == (1, 12, 16)
    some = Items([(picture.resize((20, 12 + place)), 0) for place, picture in enumerate(pictures)])
    message = "several sizes: Items item 0 has 12 x 20 pixels, Items item 1 has 13 x 20; set a common size"
    with pytest.raises(InputError, match=message):
        _ = as_dataset(some).shape
    request = DataRequest(dataset=some, resize=10, crop=8)
    shown = request.choose(request.open())
    assert shown.shape == (3, 8, 8)
    shrink = transforms.Compose([transforms.Resize(10), transforms.CenterCrop(8), transforms.PILToTensor()])
    assert torch.equal(shown.images[1], shrink(some[1][0].convert("RGB")))
    assert shown.view is not None
    assert DataRequest(dataset=digits(FORMS["tensor"]), resize=16).open().shape == (1, 16, 16)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """Return a folder with three batches of CIFAR-10's layout, 12 images in all, and no checksums."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        batch = {"data": random.integers(0, 256, (12, 3072), dtype=np.uint8), "labels": [*range(10), 0, 1]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {n}" for n in range(10)]}))
    return tmp_path


def test_torchvisions_sets_are_what_we_read_from_the_same_files(
    cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision_datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision_datasets.CIFAR10, "_load_meta", _load_meta)
    ours = load_dataset(f"cifar-10:{cifar}")
    for transform in (None, transforms.ToTensor(), transforms.PILToTensor()):
        theirs = torchvision_datasets.CIFAR10(cifar, train=False, transform=transform)
        found = as_dataset(theirs)
        assert (found.name, found.classes, found.open_ended) == ("CIFAR10", ours.classes, False)
        assert torch.equal(found.images, ours.images)
        assert torch.equal(found.known_labels, ours.known_labels)
    some = as_dataset(Subset(theirs, [7, 0, 11]))
    assert (some.name, some.known_labels.tolist(), some.classes) == ("CIFAR10", [7, 0, 1], ours.classes)
    assert torch.equal(some.images, ours.images[[7, 0, 11]])
    for number, image in enumerate(IMAGES[:6]):
        folder = tmp_path / "pets" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        as_picture(image).save(folder / f"{number}.png")
    pets = as_dataset(torchvision_datasets.ImageFolder(tmp_path / "pets"))
    files = load_dataset(f"folder:{tmp_path / 'pets'}")
    assert pets.shape == (3, 8, 8)  # ImageFolder makes all of them RGB
    assert torch.equal(pets.images, files.with_channels(3).images)
    assert (found.order_doubt, pets.order_doubt) == ("", "")
    for place in ("10", "9"):
        shutil.copytree(tmp_path / "pets" / "cat", tmp_path / "numbers" / place)
    doubt = as_dataset(torchvision_datasets.ImageFolder(tmp_path / "numbers")).order_doubt
    assert doubt == load_dataset(f"folder:{tmp_path / 'numbers'}").order_doubt != ""
    assert (pets.classes, pets.known_labels.tolist()) == (files.classes, files.known_labels.tolist())


def _load_meta(self: Any) -> None:
    self.classes = list(load_dataset(f"cifar-10:{self.root}").classes)


def test_labels_come_from_targets_if_the_items_agree_and_from_one_pass_if_not() -> None:
    """A few items are read twice; the rest is not read for a subset that does not need it."""
    told: list[int] = []

    def on_items(what: str, count: int) -> Callable[[int], None]:
        assert what == "reading labels"
        told.append(count)
        return lambda done: told.append(-done)

    stated = digits(FORMS["tensor"], targets=LABELS.tolist())
    _ = as_dataset(stated, on_items=on_items).subset(10).images
    assert told == []
    assert sum(stated.read) == 2 * 8 + 10
    for other in ({}, {"targets": (LABELS + 1).tolist()}, {"labels": list("abcd") * 10}, {"targets": [1]}):
        told.clear()
        unstated = digits(FORMS["tensor"], **other)
        assert torch.equal(as_dataset(unstated, on_items=on_items).known_labels, LABELS)
        assert told == [40] + [-1] * 40
    pictures = digits(as_picture)
    assert as_dataset(pictures).shape == (1, 8, 8)  # sizes are known by then
    assert sum(pictures.read) == 2 * 8 + 40
    assert as_dataset(Subset(pictures, [3, 1])).known_labels.tolist() == LABELS[[3, 1]].tolist()


def flaky(values: Iterator[Any]) -> Callable[[], Any]:
    return lambda: next(values)


IMAGE = IMAGES[0]
BAD: dict[str, tuple[Any, str]] = {
    "one thing": (IMAGE, "expected an image and its label, got one thing, Tensor"),
    "three things": ((IMAGE, 0, 1), "expected an image and its label, got 3 things"),
    "no label": ((IMAGE, None), "expected a whole number as label, got None"),
    "a text as label": ((IMAGE, "cat"), "expected a whole number as label, got 'cat'"),
    "a float as label": ((IMAGE, 1.0), r"expected a whole number as label, got 1\.0"),
    "one-hot label": ((IMAGE, torch.eye(3)[0]), "expected a whole number as label, got tensor"),
    "negative label": ((IMAGE, -1), "expected a label from 0 up, below 1,000,000, got -1"),
    "a huge label": ((IMAGE, 10**30), r"expected a label from 0 up, below 1,000,000, got 1e\+30"),
    "other keys": ({"pixels": IMAGE, "label": 0}, "expected the keys image and label, got pixels, label"),
    "no image": (("cat.png", 0), "expected a PIL image, an array or a tensor as image, got str"),
    "deep picture": (
        (Image.new("I;16", (8, 8)), 0),
        r"expected 8 bits per value, got a picture of mode I;16",
    ),
    "whole numbers": ((IMAGE.long(), 0), r"expected a uint8 image, .*, got torch\.int64 \(1, 8, 8\)"),
    "four channels": (
        (IMAGE.expand(4, 8, 8), 0),
        r"expected a uint8 image, .*, got torch\.uint8 \(4, 8, 8\)",
    ),
    "NaN": ((torch.full((1, 8, 8), torch.nan), 0), "expected pixels as uint8, or as floats .*, got NaN"),
    "0 to 255": ((IMAGE.float(), 0), r"expected pixels as uint8, or as floats k/255 from 0 to 1, got 0 to"),
    "normalised": (
        (IMAGE / 255 - 0.5, 0),
        r"expected .* got -0\.5 to .*; leave out Normalize, since each network has",
    ),
    "resampled": (
        (IMAGE / 256, 0),
        "expected .* 0.9961, not all of them multiples of 1/255; put ToTensor last",
    ),
    "a different size": ((torch.zeros(1, 8, 9, dtype=torch.uint8), 0), "expected 8 x 8 x 1 as those before"),
    "colours": ((IMAGE.expand(3, 8, 8), 0), "expected 8 x 8 x 1 as those before, got 8 x 8 x 3"),
    "a picture beside arrays": ((as_picture(IMAGE), 0), "expected 8 x 8 x 1 as .*, got a PIL image"),
    "random pixels": (
        flaky((IMAGE + step, 0) for step in range(99)),
        "is not the same when it is read again; leave out random transforms",
    ),
    "random labels": (
        flaky((IMAGE, step) for step in range(99)),
        "has label [0-9], but (its targets say|had before) [0-9]",
    ),
    "a label beyond": ((IMAGE, 10), "expected a label below 10, the number of its classes, got 10"),
}


def look_twice(items: Items) -> None:
    data = as_dataset(items, "photos")
    _ = data.digest, data.images


@pytest.mark.parametrize("targets", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_with_a_label_is_one_line(name: str, targets: bool) -> None:
    """Item 7 is not among those that are looked at first: with targets it is found when it is read."""
    bad, message = BAD[name]
    items = digits(FORMS["tensor"], classes=[f"class {number}" for number in range(10)])
    if not callable(bad):
        items.items[7] = bad
    elif "pixels" in name:
        items.items[7] = flaky((IMAGE + step, int(LABELS[7])) for step in range(99))
    else:
        items.items[7] = flaky((IMAGES[7], step % 10) for step in range(99))
    if targets:
        items.targets = LABELS.tolist()
        items.targets[7] = bad[1] if name == "a label beyond" else items.targets[7]
    with pytest.raises(InputError, match=f"^Dataset 'photos': item 7: {message}") as caught:
        look_twice(items)
    assert "\n" not in str(caught.value)


def test_an_array_beside_pictures_is_named() -> None:
    items = digits(as_picture)
    items.items[7] = IMAGE, 0
    with pytest.raises(InputError, match="item 7: expected a PIL image as those before, got 8 x 8 x 1"):
        as_dataset(items)


def test_pictures_whose_files_are_damaged_cannot_be_read() -> None:
    """Pillow opens a file and reads it late, when nobody but us is there to catch the error."""
    noise, file = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8), io.BytesIO()
    Image.fromarray(noise).save(file, "png")
    whole, damaged = file.getvalue(), file.getvalue()[:2000]
    items = [lambda content=content: (Image.open(io.BytesIO(content)), 0) for content in (whole, damaged)]
    data = as_dataset(Items(items))
    with pytest.raises(
        InputError, match=r"1 of 2 images cannot be read: Items item 1 \(OSError: .*truncated"
    ):
        _ = data.digest
    assert data.readable().ids.tolist() == [0]


def test_pictures_in_colour_among_grey_ones_are_named() -> None:
    items = digits(as_picture, targets=LABELS.tolist())
    items.items[7] = as_picture(IMAGES[7]).convert("RGB"), int(LABELS[7])
    with pytest.raises(InputError, match="item 7: is in colour, those before are grey; make all of them the"):
        _ = as_dataset(items).digest
    items.targets = None  # all are read first
    assert as_dataset(items).shape == (3, 8, 8)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield IMAGE, 0


class Plain:
    def __getitem__(self, index: int) -> Any:
        return IMAGE, 0


WRONG: dict[str, tuple[Any, str]] = {
    "loader": (DataLoader(digits(FORMS["tensor"])), "got a DataLoader: give its .dataset, since batches"),
    "iterable": (Endless(), "got Endless, whose items have no numbers: give a data set with __len__ and"),
    "generator": (iter([(IMAGE, 0)]), "got list_iterator, whose items have no numbers"),
    "parts": ({"train": [], "test": []}, "got dict with the keys train, test: give one of its parts"),
    "no length": (Plain(), r"Dataset 'Plain': expected __len__, the number of its items; TypeError: object"),
    "empty": (Items([]), "Dataset 'Items': expected at least 1 item, got 0"),
    "abstract": (
        type("Base", (torch.utils.data.Dataset,), {"__len__": lambda self: 2})(),
        "Dataset 'Base': not one of its 2 items can be read: item 0 raised NotImplementedError: ",
    ),
    "list": ([IMAGE, 0], "images and labels as arrays, or a map-style data set, got list"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_map_style_data_set_is_told_apart(name: str) -> None:
    thing, message = WRONG[name]
    with pytest.raises(InputError, match=message) as caught:
        as_dataset(thing)
    assert "\n" not in str(caught.value)


def test_items_that_raise_are_named_or_left_out(tmp_path: Path, checkpoints: Path) -> None:
    items = digits(as_picture)
    items.items[7] = ValueError("a damaged\nfile")
    message = (
        r"^1 of [0-9]+ images cannot be read: Items item 7 \(raised ValueError: a damaged.*\); --skip-unre"
    )
    options: dict[str, Any] = {
        "suites": ["light"],
        "severities": [1],
        "probes": False,
        "out": tmp_path / "run",
    }
    with pytest.raises(InputError, match=message):
        evaluate([checkpoints / "relu_1.safetensors"], dataset=items, **options)
    run = evaluate([checkpoints / "relu_1.safetensors"], dataset=items, skip_unreadable=True, **options)
    assert run.info.dataset.unreadable == ("Items item 7",)
    assert run.images["id"].sort_values().tolist() == [number for number in range(40) if number != 7]


FACTORY = """
import torch
from torch.utils.data import Dataset
from robustbench_act.datasets import load_dataset

class Photos(Dataset):
    def __init__(self):
        self.data = load_dataset("digits").subset(60)
    def __len__(self):
        return len(self.data)
    def __getitem__(self, index):
        return self.data.images[index], self.data.labels[index]

def photos(train=False):
    return Photos()
"""
QUICK: dict[str, Any] = {"suites": ["light"], "severities": [3], "probes": False}


def in_memory(count: int, name: str) -> Dataset:
    """Return the same images as arrays; ids are the numbers of the items."""
    data = load_dataset("digits").subset(count)
    return as_dataset((data.images, data.labels), name)


def test_a_function_may_return_one(
    checkpoints: Path, module: Callable[[str, str], str], actrobust: Callable[..., Result], tmp_path: Path
) -> None:
    """Numbers are those of the same images in memory, also if the run is continued."""
    module("mine_photos", FACTORY)
    flags = ["evaluate", checkpoints, "--dataset", "mine_photos:photos", "--suite", "light", "--severity", 3]
    flags += ["--no-probes", "--report", "none", "--out", tmp_path / "run"]
    assert actrobust(*flags).exit_code == 0
    run = load_run(tmp_path / "run")
    assert (run.info.dataset.name, run.info.dataset.view) == ("photos", None)
    expected = evaluate([checkpoints], dataset=in_memory(60, "photos"), out=tmp_path / "same", **QUICK)
    assert run.cells.equals(expected.cells)
    parts = sorted((tmp_path / "run" / "parts").glob("*.zip"))
    for part in (parts[0], parts[-1]):
        part.unlink()
    for table in ("cells", "layers"):
        for file in (tmp_path / "run" / table).iterdir():
            file.unlink()
    found = actrobust(*flags)
    assert found.exit_code == 0, found.output
    assert f"Continuing: {len(parts) - 2} of {len(parts)} units are done." in found.stderr
    assert load_run(tmp_path / "run").cells.equals(run.cells)


def test_workers_get_pixels_not_the_data_set() -> None:
    items = digits(as_picture, secret=lambda: "cannot be sent")
    sent = pickle.loads(pickle.dumps(Chunk(as_dataset(items)[8:12])))
    assert torch.equal(sent.images, IMAGES[8:12])


def test_hugging_faces_data_sets_are_map_style() -> None:
    """Pictures and names of classes as they keep them; a dictionary of parts is told apart."""
    import datasets

    pictures = [as_picture(image) for image in IMAGES[:6]]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    table = datasets.Dataset.from_dict({"image": pictures, "label": [0, 1] * 3}, features=features)
    for form in (table, table.with_format("torch"), table.with_format("numpy")):
        found = as_dataset(form)
        assert torch.equal(found.images, IMAGES[:6])
        assert (found.classes, found.known_labels.tolist()) == (("a", "b"), [0, 1] * 3)
    with pytest.raises(InputError, match="got DatasetDict with the keys test: give one of its parts"):
        as_dataset(datasets.DatasetDict(test=table))
    with pytest.raises(InputError, match="got IterableDataset, whose items have no numbers"):
        as_dataset(table.to_iterable_dataset())


def test_networks_are_trained_on_one(tmp_path: Path) -> None:
    """As on the same images in memory; labels are read once though there are two parts."""
    told: list[int] = []

    def on_items(what: str, count: int) -> Callable[[int], None]:
        told.append(count)
        return lambda done: None

    settings: dict[str, Any] = {"arch": "cifar:resnet8?width=4", "epochs": 1, "batch_size": 16}
    (file,) = train(digits(FORMS["tensor"]), out=tmp_path / "items", on_items=on_items, **settings)
    data = as_dataset((IMAGES, LABELS), "Items")
    (other,) = train(data, out=tmp_path / "arrays", **settings)
    assert told == [40]
    ours, theirs = (load_checkpoint(path).model.state_dict() for path in (file, other))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_images_and_labels_may_be_given_as_arrays() -> None:
    found = DataRequest(dataset=(IMAGES.numpy(), LABELS.numpy())).open()
    assert (found.name, len(found)) == ("arrays", 40)
    assert torch.equal(found.images, IMAGES)


def test_the_command_line_says_what_is_wrong(
    module: Callable[[str, str], str], actrobust: Callable[..., Result]
) -> None:
    module("bad_photos", FACTORY.replace("self.data.labels[index]", "str(index)"))
    for command in ("evaluate", "train"):
        found = actrobust(command, "--dataset", "bad_photos:photos")
        assert found.exit_code == 2
        *_, last = found.stderr.splitlines()
        assert "Dataset 'photos': item 0: expected a whole number as label, got '0'." in last
