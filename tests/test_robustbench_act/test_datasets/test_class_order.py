"""The order of classes, against the libraries that networks are trained with, and a network that knows it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from torchvision.datasets import ImageFolder

from robustbench_act import evaluate, load_run
from robustbench_act.comparison import compare_runs
from robustbench_act.datasets import Dataset, load_dataset, with_class_order
from robustbench_act.errors import InputError
from tests.references.layouts import picture

NAMES = {
    "numbers": ["0", "1", "2", "9", "10", "11", "100"],
    "words and numbers": ["class_2", "class_10", "class_1", "class_10b", "class_9"],
    "leading zeros": ["a010", "a9", "a08", "a1"],
    "cases": ["Zebra", "ant", "Bee", "cat"],
    "dates": ["2021-2-1", "2021-10-1", "2021-2-10"],
    "none that differ": ["ant", "bee", "n01", "n02"],
}


def write_folder(root: Path, names: Sequence[str]) -> Path:
    for place, name in enumerate(names):
        (root / name).mkdir(parents=True)
        picture(place, 8, 8).save(root / name / "a.png")
    return root


def labels_of(data: Dataset) -> dict[str, int]:
    """Return the label of each class folder."""
    assert not hasattr(data.pixels, "device")
    return {
        path.parent.name: label
        for path, label in zip(data.pixels.sources, data.known_labels.tolist(), strict=True)
    }


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_orders_are_those_of_the_libraries(names: list[str], tmp_path: Path) -> None:
    timm_readers = pytest.importorskip("timm.data.readers.reader_image_folder")
    spec = f"folder:{write_folder(tmp_path / 'root', names)}"
    torchvision = ImageFolder(str(tmp_path / "root")).class_to_idx
    _, timm = timm_readers.find_images_and_targets(str(tmp_path / "root"))
    default, string = load_dataset(spec), load_dataset(spec, class_order="string")
    natural = load_dataset(spec, class_order="natural")
    assert labels_of(default) == labels_of(string) == torchvision
    assert labels_of(natural) == timm
    assert [natural.classes[label] for label in labels_of(natural).values()] == list(labels_of(natural))
    assert (default.class_order, string.class_order, natural.class_order) == ("string", "string", "natural")
    assert bool(default.order_doubt) == (torchvision != timm)
    assert string.order_doubt == natural.order_doubt == ""
    assert natural.ids.tolist() == default.ids.tolist()  # the images are the same: so are their corruptions


def test_a_file_gives_the_order(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", ["cat", "dog", "été"])
    order = tmp_path / "order.txt"
    order.write_bytes("\ufeffété\r\nowl\r\ndog\r\ncat\r\n\r\n".encode())
    data = load_dataset(f"folder:{root}", class_order=order)
    assert labels_of(data) == {"cat": 3, "dog": 2, "été": 0}
    assert data.classes == ("été", "owl", "dog", "cat")
    assert data.class_order == "order.txt"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"id2label": {"3": "cat", "0": "été", "1": "owl", "2": "dog"}}))
    assert labels_of(load_dataset(f"folder:{root}", class_order=config)) == labels_of(data)
    config.write_text(json.dumps({"id2label": {"1": "a"}}))
    with pytest.raises(InputError, match=r"config\.json: expected JSON with id2label"):
        load_dataset(f"folder:{root}", class_order=config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"cat\nowl\n", r"order\.txt: expected a line for the class 'dog', found none"),
        (
            b"cat\ndog\ncat\n",
            r"order\.txt: line 3: expected the name of one more .*, got 'cat', as in line 1",
        ),
        (b"cat\n\ndog\n", r"order\.txt: line 2: expected the name of one more class, got an empty line"),
        (b"", r"order\.txt: line 1: .* got an empty line"),
        (b"cat\n\xff\n", r"order\.txt: cannot be read as text: save it in UTF-8"),
        (
            None,
            r"--class-order: expected string, natural or a file .*, got '.*order\.txt': no such",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(text: bytes | None, message: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "root", ["cat", "dog"])
    if text is not None:
        (tmp_path / "order.txt").write_bytes(text)
    with pytest.raises(InputError, match=message):
        load_dataset(f"folder:{root}", class_order=tmp_path / "order.txt")


def test_numbers_are_ordered_by_a_file_alone(tmp_path: Path) -> None:
    """Labels 1 and 11 of a network that saw the folders 0 to 11, sorted as strings."""
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 8, 8), np.uint8), labels=np.array([1, 11, 1]))
    order = tmp_path / "order.txt"
    order.write_text("0\n1\n10\n11\n" + "".join(f"{number}\n" for number in range(2, 10)))
    found = load_dataset(f"npz:{tmp_path / 'a.npz'}", class_order=order)
    assert found.known_labels.tolist() == [1, 3, 1]
    assert (found.known_class_count, found.classes[3], found.open_ended) == (12, "11", False)
    order.write_text("0\n1\n")
    with pytest.raises(InputError, match="expected a line for the class '11', found none"):
        load_dataset(f"npz:{tmp_path / 'a.npz'}", class_order=order)
    message = "labels of .a. are numbers; give a file with the number of a class in each line"
    with pytest.raises(InputError, match=message):
        load_dataset(f"npz:{tmp_path / 'a.npz'}", class_order="natural")


def test_names_are_needed_once_each() -> None:
    digits = load_dataset("digits")
    with pytest.raises(InputError, match="expected labels, but data set 'digits' has none"):
        with_class_order(replace(digits, labels=None), "natural")
    with pytest.raises(InputError, match="'digits' has a name twice"):
        with_class_order(replace(digits, classes=("a",) * 10), "natural")


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Return digits as pictures in the folders 5 to 14: sorted as strings, 10 comes first."""
    digits = load_dataset("digits").subset(60)
    for number, (image, label) in enumerate(zip(digits.images, digits.known_labels.tolist(), strict=True)):
        folder = tmp_path / "numbered" / str(5 + label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(folder / f"{number}.png")
    return tmp_path / "numbered"


def test_a_run_has_the_order_that_is_asked_for(checkpoints: Path, numbered: Path, tmp_path: Path) -> None:
    """In natural order a network is as accurate as on the digits themselves; runs of two orders are apart."""
    notes: list[str] = []

    def clean(out: str, dataset: str | Dataset, order: str | None = None) -> float:
        run = evaluate(
            [checkpoints / "relu_1.safetensors"],
            dataset=dataset,
            class_order=order,
            suites=["light"],
            severities=[1],
            probes=False,
            out=tmp_path / out,
            on_note=notes.append,
        )
        return float(run.cells.loc[run.cells["severity"] == 0, "accuracy"].iloc[0])

    right = clean("digits", load_dataset("digits").subset(60))
    assert right > 0.8
    assert notes == []
    assert clean("natural", f"folder:{numbered}", "natural") == right
    assert notes == []
    assert clean("string", f"folder:{numbered}") < 0.3
    assert [note.partition(" --")[0] for note in notes] == [
        "numbered: classes are in string order (10, ...), as in ImageFolder; in natural order (5, ...), as "
        "in timm, labels differ."
    ]
    natural, string = (load_run(tmp_path / name) for name in ("natural", "string"))
    assert (natural.info.dataset.class_order, string.info.dataset.class_order) == ("natural", "string")
    assert natural.info.dataset.classes == tuple(map(str, range(5, 15)))
    with pytest.raises(InputError, match="class order 'natural' against 'string'"):
        compare_runs(natural, string)
    with pytest.raises(InputError, match="dataset"):
        clean("natural", f"folder:{numbered}", "string")
    (tmp_path / "sorted.txt").write_text("\n".join(sorted(map(str, range(5, 15)))))
    clean("string", f"folder:{numbered}", str(tmp_path / "sorted.txt"))  # the same order: the same run


def test_the_command_line_and_manifests_set_it(
    checkpoints: Path, numbered: Path, tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    (tmp_path / "order.txt").write_text("\n".join(map(str, range(5, 15))))
    options = (
        'suite = ["light"]\nseverity = [1]\nprobes = false\nreport = "none"\ndataset = "folder:numbered"\n'
    )
    (tmp_path / "study.toml").write_text(f'{options}class_order = "order.txt"\n')  # relative to the manifest
    line = ["evaluate", checkpoints / "relu_1.safetensors", "--manifest", tmp_path / "study.toml", "--out"]
    assert "order" not in actrobust(*line, "a").stderr
    assert load_run("a").info.dataset.class_order == "order.txt"
    actrobust(*line, "b", "--class-order", "natural")
    assert load_run("b").info.dataset.class_order == "natural"
    assert load_run("b").info.dataset.digest == load_run("a").info.dataset.digest
    (tmp_path / "study.toml").write_text(f'{options}class_order = "string"\n')
    assert "order" not in actrobust(*line, "c").stderr
    assert load_run("c").info.dataset.classes[0] == "10"
    (tmp_path / "study.toml").write_text(options)
    assert "warning: numbered: classes are in string order (10, ...)" in actrobust(*line, "d").stderr
