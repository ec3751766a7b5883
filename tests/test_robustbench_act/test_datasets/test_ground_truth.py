"""ImageNet's validation pictures in one folder, with lists of their labels as they are found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from robustbench_act.datasets import load_dataset
from robustbench_act.datasets.folders import imagenet_synsets
from robustbench_act.datasets.ground_truth import devkit_order
from robustbench_act.errors import InputError
from tests.references.layouts import SYNSETS, picture, write_imagenet

DEVKIT = (490, 361, 171, 822, 297, 482, 13, 704, 599, 164)
"""The first lines of the development kit's ILSVRC2012_validation_ground_truth.txt."""

CAFFE = (65, 970, 230, 809, 516, 57, 334, 415, 674, 332)
"""The labels of the first lines of Caffe's val.txt."""


def of_sorted(labels: tuple[int, ...]) -> list[str]:
    """Return the WordNet ids of labels."""
    return [imagenet_synsets()[label] for label in labels]


def name(number: int) -> str:
    """Return the name of a picture."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


LISTS: dict[str, tuple[str, Callable[[], str]]] = {
    "devkit": (
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
        lambda: "\n".join(map(str, [*DEVKIT, *([1] * 49_990)])),
    ),
    "its file alone": (
        "val/ILSVRC2012_validation_ground_truth.txt",
        lambda: "".join(f"{number}\r\n" for number in [*DEVKIT, *([1000] * 49_990)]),
    ),
    "synsets": (
        "imagenet_2012_validation_synset_labels.txt",
        lambda: "\n".join(of_sorted(CAFFE + (0,) * 49_990)),
    ),
    "caffe": (
        "val.txt",
        lambda: "".join(f"{name(place)} {label}\n" for place, label in enumerate(CAFFE, start=1)),
    ),
    "caffe, under the other name": (
        "ILSVRC2012_validation_ground_truth.txt",
        lambda: "".join(f"val/{name(place)} {label}\n" for place, label in enumerate(CAFFE, start=1)),
    ),
    "kaggle": (
        "LOC_val_solution.csv",
        lambda: (
            "ImageId,PredictionString\n"
            + "".join(
                f"{name(place)[:-5]},{synset} 1 2 3 4 {synset} 5 6 7 8 \n"
                for place, synset in reversed(list(enumerate(of_sorted(CAFFE), start=1)))
            )
        ),
    ),
}


def flat(root: Path, kind: str, numbers: range = range(1, 11)) -> Path:
    """Write pictures into one folder, with a list of their labels."""
    val = root / ("ILSVRC/Data/CLS-LOC/val" if kind == "kaggle" else "val")
    val.mkdir(parents=True)
    for number in numbers:
        picture(number, 40, 40).save(val / name(number), format="JPEG")
    path, text = LISTS[kind]
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text().encode())
    return root


@pytest.mark.parametrize("kind", LISTS)
def test_labels_are_those_of_the_development_kit(kind: str, tmp_path: Path) -> None:
    data = load_dataset(f"imagenet:{flat(tmp_path, kind)}")
    found = dict(zip(data.ids.tolist(), data.known_labels.tolist(), strict=True))
    assert found == dict(enumerate(CAFFE, start=1))
    assert data.known_labels.tolist() == sorted(CAFFE)


def test_a_part_of_the_pictures_is_the_same_as_in_class_folders(tmp_path: Path) -> None:
    sorted_ = load_dataset(f"imagenet:{write_imagenet(tmp_path / 'sorted')}")
    (tmp_path / "flat").mkdir()
    lines = []
    for path in (tmp_path / "sorted" / "val").glob("*/*"):
        path.rename(tmp_path / "flat" / path.name)
        lines.append(f"{path.name} {path.parent.name}\n")
    (tmp_path / "flat" / "val.txt").write_text("".join(lines))
    data = load_dataset(f"imagenet:{tmp_path / 'flat'}")
    assert data.ids.tolist() == sorted_.ids.tolist()
    assert data.known_labels.tolist() == sorted_.known_labels.tolist()
    assert data.names() == sorted_.names()


def test_the_orders_have_the_same_classes() -> None:
    assert sorted(devkit_order()) == list(imagenet_synsets())
    assert [devkit_order()[number - 1] for number in DEVKIT] == of_sorted(CAFFE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"expected class folders .*, named like n01440764, or their labels in .*ground_truth\.txt"),
        ("490\n361\n", "expected the labels of all 50,000 pictures, .*, got 2 lines"),
        ("", "got 0 lines"),
        (f"{name(1)} 1000\n", "expected a picture and its label of ImageNet, got 'ILSVRC2012_val_00000001"),
        (
            f"{name(1)} {SYNSETS[0]}\ncat n01440764\n",
            "expected a picture and its label of ImageNet, got 'cat",
        ),
        (f"{name(2)} 3\n", r"val_00000001\.JPEG: expected a picture with a label in .*, found none"),
    ],
)
def test_lists_that_do_not_fit_are_refused(text: str | None, message: str, tmp_path: Path) -> None:
    path = flat(tmp_path, "caffe", range(1, 2)) / "val.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_dataset(f"imagenet:{tmp_path}")
    assert "\n" not in str(error.value)


def test_every_picture_needs_the_archives_name(tmp_path: Path) -> None:
    root = flat(tmp_path, "caffe")
    (root / "val" / name(1)).rename(root / "val" / "cat.jpg")
    with pytest.raises(InputError, match=r"cat\.jpg: expected a picture with a label in"):
        load_dataset(f"imagenet:{root}")
