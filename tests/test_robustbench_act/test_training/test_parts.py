"""No clean accuracy comes from training images: networks that refuse to be tested on what they have seen."""

import importlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from torchvision.datasets import ImageFolder

from robustbench_act.checkpoints import load_checkpoint, read_spec
from robustbench_act.datasets import Dataset, Pictures, load_dataset, shared_images
from robustbench_act.errors import InputError
from robustbench_act.evaluation import DataRequest
from robustbench_act.training import Parts, Recipe, open_parts, plan_grid, train_checkpoint
from tests.references.layouts import SYNSETS

MEMORY = """
import torch
from torch import nn

SEEN, TESTED = set(), set()

class Network(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.act, self.fc = nn.ReLU(), nn.LazyLinear(classes)

    def forward(self, x):
        images = {image.numpy().tobytes() for image in x if image.any()}  # lazy layers are shown one of zeros
        if self.training:
            SEEN.update(images)
        else:
            TESTED.update(images)
        return self.fc(self.act(x.flatten(1)))

def build(classes, channels):
    SEEN.clear()
    TESTED.clear()
    return Network(classes)
"""
LINEAR = """
from torch import nn

def build(classes, channels):
    return nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(64 * channels, classes))
"""
IMAGES = np.random.default_rng(0).integers(1, 256, (60, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3
NAMES = ("ant", "bee", "cat")


def write_pictures(
    root: Path, numbers: Sequence[int], classes: Sequence[str] = ("ant", "bee", "cat")
) -> None:
    for number in numbers:
        home = root / classes[LABELS[number]]
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(home / f"{number}.png")


def write_parts(root: Path, *parts: str) -> None:
    for place, part in enumerate(parts):
        write_pictures(root / part, range(20 * place, 20 * place + 20))


def folder(root: Path) -> str:
    write_pictures(root / "photos", range(60))
    return "folder:photos"


def folder_with_val(root: Path) -> str:
    write_parts(root / "photos", "train", "val")
    return "folder:photos"


def folder_with_three_parts(root: Path) -> str:
    write_parts(root / "photos", "train", "test", "val")
    return "folder:photos"


def its_training_part(root: Path) -> str:
    write_parts(root / "photos", "train", "val")
    return "folder:photos/train"


def npz(root: Path) -> str:
    np.savez(root / "photos.npz", images=IMAGES, labels=LABELS)
    return "npz:photos.npz"


def npz_with_test(root: Path) -> str:
    file, (train, test) = root / "photos.npz", (slice(20), slice(20, None))
    np.savez(file, x_train=IMAGES[train], y_train=LABELS[train], x_test=IMAGES[test], y_test=LABELS[test])
    return "npz:photos.npz"


def npz_with_unlabelled_test(root: Path) -> str:
    np.savez(root / "photos.npz", x_train=IMAGES[:40], y_train=LABELS[:40], x_test=IMAGES[40:])
    return "npz:photos.npz"


def npy(root: Path) -> str:
    (root / "photos").mkdir()
    np.save(root / "photos" / "images.npy", IMAGES)
    np.save(root / "photos" / "labels.npy", LABELS)
    return "npy:photos"


def function(root: Path) -> str:
    npy(root)
    (root / "mine.py").write_text(
        "import numpy as np\n"
        "def data(train=False):\n"
        "    return np.load('photos/images.npy'), np.load('photos/labels.npy')\n"
    )
    return "mine:data"


def synsets_without_parts(root: Path) -> str:
    write_pictures(root / "photos", range(60), SYNSETS[:3])
    return "imagenet:photos"


TRAINED_AND_TESTED: dict[Callable[[Path], str], tuple[int, int]] = {
    folder: (54, 6),
    folder_with_val: (20, 20),
    folder_with_three_parts: (20, 20),
    its_training_part: (18, 2),
    npz: (54, 6),
    npz_with_test: (20, 40),
    npz_with_unlabelled_test: (36, 4),
    npy: (54, 6),
    function: (54, 6),
    synsets_without_parts: (54, 6),
}


def names_of(data: Dataset) -> set[str]:
    assert isinstance(data.pixels, Pictures)
    return {Path(str(source)).name for source in data.pixels.sources}


@pytest.mark.parametrize("write", TRAINED_AND_TESTED, ids=lambda write: write.__name__)
def test_networks_are_tested_on_what_they_have_not_seen(
    write: Callable[[Path], str],
    tmp_path: Path,
    actrobust: Callable[..., Result],
    module: Callable[[str, str], str],
) -> None:
    name = module(f"memory_{write.__name__}", MEMORY)
    spec = write(tmp_path)
    trained, tested = TRAINED_AND_TESTED[write]
    shown = ("--crop", 8, "--resize", 8) if spec.startswith("imagenet") else ()
    quick = ("--epochs", 1, "--batch-size", 2, "--out", "nets")
    done = actrobust("train", "--dataset", spec, "--arch", f"{name}:build", *shown, *quick)
    assert done.exit_code == 0, done.output
    memory = importlib.import_module(name)
    assert (len(memory.SEEN), len(memory.TESTED)) == (trained, tested)
    assert not memory.SEEN & memory.TESTED
    split = f"{tested} of {trained + tested} images, drawn in each class, seed 0"
    own_part = write in (folder_with_val, folder_with_three_parts, npz_with_test)
    assert read_spec(Path("nets/relu_1.safetensors")).recipe.get("held_out") == (None if own_part else split)
    assert (split in done.stderr) == (not own_part)


def test_the_accuracy_is_that_of_images_held_out(
    tmp_path: Path, actrobust: Callable[..., Result], module: Callable[[str, str], str]
) -> None:
    """Noise is learnt by heart; computed again by hand, from the files that are no training images."""
    name = module("linear", LINEAR)
    write_pictures(tmp_path / "photos", range(60))
    data = f"folder:{tmp_path / 'photos'}"
    arguments = (
        "--arch",
        f"{name}:build",
        "--epochs",
        60,
        "--batch-size",
        9,
        "--lr",
        0.02,
        "--device",
        "cpu",
    )
    done = actrobust("train", "--dataset", data, *arguments, "--out", "nets")
    assert done.exit_code == 0, done.output
    checkpoint = load_checkpoint(Path("nets/relu_1.safetensors"), model=f"{name}:build")
    parts = open_parts(DataRequest(dataset=data))
    assert parts.test is not None
    files = [names_of(part) for part in (parts.train, parts.test)]
    assert not files[0] & files[1]
    right = {}
    for number in range(60):
        x = (
            torch.from_numpy(IMAGES[number]).permute(2, 0, 1) / 255
            - torch.tensor(parts.train.mean)[:, None, None]
        )
        x = x / torch.tensor(parts.train.std)[:, None, None]
        with torch.no_grad():
            right[f"{number}.png"] = int(checkpoint.model(x[None]).argmax()) == LABELS[number]
    by_part = [np.mean([right[name] for name in names]) for names in files]
    assert by_part[0] == 1
    assert checkpoint.spec.clean_accuracy == by_part[1] < 0.8


def test_sets_with_a_test_part_are_as_they_were() -> None:
    parts = open_parts(DataRequest(dataset="digits", limit=100))
    assert parts.test is not None
    assert parts.held_out == parts.doubt == ""
    assert parts.train.digest == load_dataset("digits", train=True).subset(100).digest
    assert parts.test.digest == load_dataset("digits").digest


def test_the_limit_is_on_the_images_to_train_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    parts = open_parts(DataRequest(dataset=f"npz:{tmp_path / 'a.npz'}", limit=12))
    assert parts.test is not None
    assert (len(parts.train), len(parts.test)) == (12, 6)


def test_a_test_part_that_is_half_trained_on_is_refused(module: Callable[[str, str], str]) -> None:
    name = module(
        "leaky",
        "import numpy as np\n"
        "images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)\n"
        "def data(train=False):\n"
        "    return (images[:20] if train else images[10:]), np.arange(20) % 2\n",
    )
    message = r"expected test images that are not trained on, but 10 of 20 \(such as image 0\) are"
    with pytest.raises(InputError, match=message):
        open_parts(DataRequest(dataset=f"{name}:data"))


def test_copies_in_both_parts_of_a_folder_are_said(tmp_path: Path, actrobust: Callable[..., Result]) -> None:
    write_parts(tmp_path / "photos", "train", "val")
    trained, copy = (tmp_path / "photos" / part / "bee" for part in ("train", "val"))
    shutil.copy(trained / "1.png", copy / "x.png")
    line = ("train", "--dataset", f"folder:{tmp_path / 'photos'}", "--arch", "resnet8?width=2", "--epochs", 1)
    done = actrobust(*line, "--out", "nets")
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[0] == (
        f"note: photos: of its test images, 1 of 21 (such as {copy / 'x.png'}) are training images too; "
        "the clean accuracy counts them."
    )
    shutil.copy(trained / "4.png", copy / "y.png")
    shutil.copy(trained / "7.png", copy / "z.png")
    refused = actrobust(*line, "--out", "other")
    assert refused.exit_code == 2
    assert "but 3 of 23 (such as" in refused.stderr
    assert not Path("other").exists()


def test_python_refuses_to_test_on_training_images(tmp_path: Path) -> None:
    (job,) = plan_grid(["relu"], [1], tmp_path)
    data, recipe, cpu = load_dataset("digits").subset(40), Recipe(epochs=1), torch.device("cpu")
    known: dict[str, Any] = {"architecture": "resnet8?width=2", "recipe": recipe, "device": cpu}
    with pytest.raises(InputError, match="expected test images, got training images"):
        train_checkpoint(job, Parts(data, data), **known)
    assert not job.path.exists()
    assert train_checkpoint(job, Parts(data), **known).clean_accuracy is None


def test_without_an_image_to_spare_there_is_no_clean_accuracy(
    tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    write_pictures(tmp_path / "photos", range(3))
    line = (
        "--dataset",
        f"folder:{tmp_path / 'photos'}",
        "--arch",
        "resnet8?width=2",
        "--epochs",
        1,
        "--out",
        "nets",
    )
    done = actrobust("train", *line)
    assert done.exit_code == 0, done.output
    assert "there is no clean accuracy" in done.stderr
    assert "no clean accuracy" in done.stdout
    assert read_spec(Path("nets/relu_1.safetensors")).clean_accuracy is None


def test_both_parts_of_a_folder_have_the_classes_of_training(tmp_path: Path) -> None:
    """Labels of a part that lacks a class must not shift."""
    write_parts(tmp_path / "photos", "train", "val")
    for path in (tmp_path / "photos" / "val" / "ant").iterdir():
        path.unlink()
    (tmp_path / "photos" / "val" / "ant").rmdir()
    data = load_dataset(f"folder:{tmp_path / 'photos'}")
    trained = ImageFolder(str(tmp_path / "photos" / "train")).class_to_idx
    assert data.classes == tuple(trained)
    assert isinstance(data.pixels, Pictures)
    named = [trained[Path(str(source)).parent.name] for source in data.pixels.sources]
    assert data.known_labels.tolist() == named
    write_pictures(tmp_path / "photos" / "val", [0], ["dog"])
    with pytest.raises(InputError, match=r"val/dog: expected a class of .*train, which lacks it"):
        load_dataset(f"folder:{tmp_path / 'photos'}")


def test_a_folder_of_training_images_alone_says_what_to_do(tmp_path: Path) -> None:
    write_parts(tmp_path / "photos", "train")
    with pytest.raises(
        InputError, match=r"expected class folders in .*photos/test, next to train, found none; name"
    ):
        load_dataset(f"folder:{tmp_path / 'photos'}")


def test_validation_images_are_split_off_from_those_to_train_on() -> None:
    without = open_parts(DataRequest(dataset="digits"))
    parts = open_parts(DataRequest(dataset="digits", limit=100), validation=0.2)
    assert without.validation is None
    assert parts.validation is not None
    assert len(parts.validation) == round(0.2 * len(without.train)) == 287
    assert parts.held_out_for_validation == "287 of 1437 images, drawn in each class, seed 0"
    assert len(parts.train) == 100
    assert shared_images(parts.validation, parts.train) == []
    sizes = torch.bincount(parts.validation.known_labels).float()
    whole = torch.bincount(without.train.known_labels).float()
    assert (sizes - 0.2 * whole).abs().max() < 1


def test_validation_images_are_not_those_to_test_on(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", range(60))
    parts = open_parts(DataRequest(dataset=f"folder:{tmp_path / 'photos'}"), validation=0.25)
    assert parts.test is not None
    assert parts.validation is not None
    assert [len(part) for part in (parts.train, parts.test, parts.validation)] == [40, 6, 14]
    assert shared_images(parts.test, parts.validation) == []


def test_too_few_images_to_split_validation_images_off(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos" / "train", range(3))
    write_pictures(tmp_path / "photos" / "val", range(3, 9))
    with pytest.raises(InputError, match=r"expected several images of a class, .* got 3 images of 3 classes"):
        open_parts(DataRequest(dataset=f"folder:{tmp_path / 'photos'}"), validation=0.5)
