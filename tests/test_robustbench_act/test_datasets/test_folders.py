"""Folders as published: ImageNet, Tiny-ImageNet; anybody's, with labels and without."""

from pathlib import Path

import pytest
import torch
from torchvision.datasets import ImageFolder
from torchvision.models import ResNet18_Weights

from robustbench_act.datasets import load_dataset
from robustbench_act.datasets.folders import imagenet_synsets
from robustbench_act.errors import InputError
from tests.references.layouts import (
    LABELS,
    SYNSETS,
    picture,
    write_imagenet,
    write_tiny_imagenet,
)


def test_synsets_are_in_the_order_of_the_networks() -> None:
    """By timm's words of each WordNet id against the names of torchvision's classes."""
    timm_data = pytest.importorskip("timm.data")
    info = timm_data.ImageNetInfo("imagenet-1k")
    synsets, names = imagenet_synsets(), ResNet18_Weights.DEFAULT.meta["categories"]
    assert list(synsets) == sorted(set(synsets))
    assert len(synsets) == 1000
    alike = sum(
        name.lower() in info.label_name_to_description(synset, detailed=False).lower()
        for synset, name in zip(synsets, names, strict=True)
    )
    assert alike > 950


def test_imagenet_as_published(tmp_path: Path) -> None:
    data = load_dataset(f"imagenet:{write_imagenet(tmp_path)}")
    assert data.name == "imagenet"
    assert data.shape == (3, 224, 224)
    assert data.known_labels.tolist() == [label for label in LABELS for _ in range(2)]
    assert data.ids.tolist() == [7, 12, 17, 22, 27, 32]
    assert len(data.classes) == 1000
    assert data.classes[281] == "n02123045"
    theirs = ImageFolder(str(tmp_path / "val"))
    assert [Path(path).stem for path, _ in theirs.samples] == data.names()
    assert [theirs.classes[label] for _, label in theirs.samples] == [SYNSETS[i] for i in (0, 0, 1, 1, 2, 2)]
    assert str(data.view) == "resized to 256, centre of 224 x 224, bilinear"


def test_a_part_of_imagenet_shows_the_same_ids(tmp_path: Path) -> None:
    whole = load_dataset(f"imagenet:{write_imagenet(tmp_path)}")
    (tmp_path / "val" / SYNSETS[0]).rename(tmp_path / "elsewhere")
    part = load_dataset(f"imagenet:{tmp_path / 'val'}")
    assert part.ids.tolist() == whole.ids.tolist()[2:]
    assert part.known_labels.tolist() == whole.known_labels.tolist()[2:]


def test_imagenet_without_class_folders_is_refused(tmp_path: Path) -> None:
    picture(1, 30, 30).save(tmp_path / "ILSVRC2012_val_00000001.JPEG", format="JPEG")
    with pytest.raises(InputError, match=r"expected class folders of pictures in .*, named like n01440764"):
        load_dataset(f"imagenet:{tmp_path}")
    (tmp_path / "cats").mkdir()
    picture(1, 30, 30).save(tmp_path / "cats" / "a.png")
    with pytest.raises(InputError, match="got the class 'cats'"):
        load_dataset(f"imagenet:{tmp_path}")
    with pytest.raises(
        InputError, match="expected the folder nowhere, which does not exist; name it as imagenet"
    ):
        load_dataset("imagenet:nowhere")


@pytest.mark.parametrize(
    ("home_of", "annotated"),
    [
        ("images", True),
        ("{}", False),
        ("{}", True),
        ("{}/images", False),
        ("{}/images", True),
        ("images/{}", True),
    ],
)
def test_tiny_imagenet_as_published_and_as_scripts_sort_it(
    home_of: str, annotated: bool, tmp_path: Path
) -> None:
    """Some scripts remove the annotations, some leave them; some leave an empty folder `images`."""
    root = write_tiny_imagenet(tmp_path, home_of=home_of, annotated=annotated)
    if annotated:
        (root / "tiny-imagenet-200" / "val" / "images").mkdir(exist_ok=True)
    data = load_dataset(f"tiny-imagenet:{root}")
    assert data.shape == (3, 64, 64)
    assert len(data.classes) == 200
    assert list(data.classes) == sorted(data.classes)
    assert data.known_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.ids.tolist() == list(range(6))
    assert data.names() == [f"val_{number}" for number in range(6)]
    assert torch.equal(data.images[3, 0], data.images[3, 1])  # a grey JPEG becomes RGB
    train = load_dataset(f"tiny-imagenet:{tmp_path / 'tiny-imagenet-200'}", train=True)
    assert train.known_labels.tolist() == [0]


def test_tiny_imagenet_with_lines_or_files_missing_is_refused(tmp_path: Path) -> None:
    write_tiny_imagenet(tmp_path)
    home = tmp_path / "tiny-imagenet-200"
    annotations = home / "val" / "val_annotations.txt"
    whole = annotations.read_text()
    annotations.write_text(whole + "../../secret.JPEG\tn90000001\t0\t0\t1\t1\n")
    with pytest.raises(InputError, match="line 7: expected a file and its class"):
        load_dataset(f"tiny-imagenet:{tmp_path}")
    annotations.write_text(whole + "val_77.JPEG\tn90000001\t0\t0\t1\t1\n")
    with pytest.raises(InputError, match=r"names images/val_77\.JPEG, which does not exist"):
        load_dataset(f"tiny-imagenet:{tmp_path}")
    annotations.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        load_dataset(f"tiny-imagenet:{tmp_path}")
    (home / "wnids.txt").unlink()
    with pytest.raises(InputError, match=r"expected .*wnids\.txt, which does not exist"):
        load_dataset(f"tiny-imagenet:{tmp_path}")


def write_classes(root: Path) -> Path:
    for place, name in enumerate(("ant", "bee", "cow/images", ".hidden")):
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(2):
            picture(10 * place + number, 20, 20).save(folder / f"{number}.png")
    return root


def test_a_folder_of_classes(tmp_path: Path) -> None:
    data = load_dataset(f"folder:{write_classes(tmp_path / 'animals')}")
    assert data.name == "animals"
    assert data.classes == ("ant", "bee", "cow")
    assert data.known_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.subset(3).known_labels.tolist() == [0, 1, 2]


def test_a_folder_without_labels(tmp_path: Path) -> None:
    for number in range(9):
        picture(number, 16, 16).save(tmp_path / f"{number}.png")
    data = load_dataset(f"folder:{tmp_path}")
    assert data.labels is None
    assert data.class_count is None
    assert data.classes == ()
    assert data.subset(3).ids.tolist() == [1, 4, 7]
    with pytest.raises(InputError, match="has no labels, but they are needed here"):
        _ = data.known_labels


def test_both_or_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found neither"):
        load_dataset(f"folder:{tmp_path}")
    write_classes(tmp_path)
    picture(1, 20, 20).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="found both"):
        load_dataset(f"folder:{tmp_path}")


def test_links_in_a_circle_are_not_followed(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "animals")
    (root / "ant" / "again").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to(root / "self")
    linked = tmp_path / "linked"
    linked.mkdir()
    (root / "cat").symlink_to(linked, target_is_directory=True)
    picture(1, 20, 20).save(linked / "0.png")
    data = load_dataset(f"folder:{root}")
    assert data.classes == ("ant", "bee", "cat", "cow")
    assert len(data) == 7


def test_a_link_to_nowhere_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "animals")
    (root / "bee" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    data = load_dataset(f"folder:{root}")
    assert data.known_labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    with pytest.raises(
        InputError, match=r"1 of 7 images cannot be read: .*gone\.png \(a link to a file that does"
    ):
        data.check()
    assert len(data.readable()) == 6


def test_pictures_deeper_in_a_class_are_not_left_out(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "animals")
    (root / "ant" / ".thumbnails" / "a").mkdir(parents=True)
    picture(1, 8, 8).save(root / "ant" / ".thumbnails" / "a" / "0.png")
    (root / "cow" / "masks").mkdir()
    picture(1, 20, 20).save(root / "cow" / "masks" / "0.png")  # `images` says which
    assert len(load_dataset(f"folder:{root}")) == 6
    (root / "bee" / "2024" / "may").mkdir(parents=True)
    picture(1, 20, 20).save(root / "bee" / "2024" / "may" / "7.png")
    with pytest.raises(InputError, match=r"may/7\.png: expected the pictures of class 'bee' in .*bee itself"):
        load_dataset(f"folder:{root}")


def test_a_class_without_pictures_would_shift_the_labels(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "animals")
    (root / "bat").mkdir()
    (root / "bat" / "0.gif").touch()
    with pytest.raises(InputError, match=r"animals/bat: expected pictures of this class, found none"):
        load_dataset(f"folder:{root}")


def test_pictures_in_a_class_and_in_its_images_both_count(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "animals")
    picture(1, 20, 20).save(root / "cow" / "z.png")
    (root / "cow" / "._z.png").write_bytes(b"what a Mac leaves")
    assert load_dataset(f"folder:{root}").known_labels.tolist() == [0, 0, 1, 1, 2, 2, 2]
