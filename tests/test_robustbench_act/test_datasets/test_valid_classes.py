"""A part of the classes: numbers are those of logits that are restricted by hand."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from torch.nn import functional as F

from corruptions import corrupt, get_suite
from reports.sections.provenance import recorded_settings
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.comparison import compare_runs
from robustbench_act.datasets import Dataset, load_dataset, with_class_order, with_valid_classes
from robustbench_act.datasets.folders import imagenet_synsets
from robustbench_act.doctor import examine_data, examine_networks
from robustbench_act.errors import InputError
from robustbench_act.evaluation import DataRequest, evaluate
from robustbench_act.evaluation.work import Chunk
from robustbench_act.manifest import read_manifest
from robustbench_act.run import Run
from robustbench_act.training import train

VALID = [1, 3, 7]
QUICK = {"suites": ["light"], "severities": [3], "probes": False}


def restricted_run(checkpoints: Path, out: Path, dataset: str | Dataset = "digits", **options: object) -> Run:
    options = {"valid_classes": "1,3,7", **QUICK, **options}
    return evaluate([checkpoints / "relu_1.safetensors"], dataset=dataset, out=out, **options)  # type: ignore[arg-type]


def logits_of(checkpoint: Path, images: torch.Tensor) -> torch.Tensor:
    """Return the logits of all ten digits."""
    loaded = load_checkpoint(checkpoint)
    with torch.inference_mode():
        logits: torch.Tensor = loaded.model(loaded.preprocessing((1, 8, 8))(images))
        return logits


def test_numbers_are_those_of_logits_restricted_by_hand(checkpoints: Path, tmp_path: Path) -> None:
    run = restricted_run(checkpoints, tmp_path / "run")
    digits = load_dataset("digits")
    mine = torch.isin(digits.known_labels, torch.tensor(VALID))
    images, ids, labels = digits.images[mine], digits.ids[mine], digits.known_labels[mine]
    places = torch.tensor([VALID.index(label) for label in labels.tolist()])
    assert run.images["label"].tolist().count(2) == int((labels == 7).sum())
    name = get_suite("light").corruptions[0]
    for corruption, severity, pixels in (
        ("clean", 0, images),
        (name, 3, corrupt(images, name, severity=3, seed=0, ids=ids)),
    ):
        logits = logits_of(checkpoints / "relu_1.safetensors", pixels)[:, VALID]
        p = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
        cell = run.cells[(run.cells["corruption"] == corruption) & (run.cells["severity"] == severity)].iloc[
            0
        ]
        assert cell["n"] == len(images)
        assert cell["correct"] == int((logits.argmax(1) == places).sum())
        assert cell["top5"] == 1
        assert cell["loss"] == pytest.approx(float(-p[range(len(p)), places].log().mean()), rel=1e-5)
        brier = (p - F.one_hot(places, 3)).square().sum(1).mean()
        assert cell["brier"] == pytest.approx(float(brier), rel=1e-5)


def test_a_restricted_run_says_so_and_is_a_run_of_its_own(checkpoints: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    run = restricted_run(checkpoints, tmp_path / "a", limit=40, on_note=notes.append)
    assert notes == ["digits: images and answers are restricted to 3 of 10 classes."]
    found = run.info.dataset
    assert ("dataset: valid_classes", "3 of 10") in recorded_settings(run.info).settings
    assert (found.classes, found.columns, found.valid_classes) == (("1", "3", "7"), (1, 3, 7), "3 of 10")
    other = restricted_run(checkpoints, tmp_path / "b", limit=40, valid_classes=[1, 3, 8])
    with pytest.raises(
        InputError, match=r"valid classes: 3 of 10 \(1, 3 and 7\) against 3 of 10 \(1, 3 and 8\)"
    ):
        compare_runs(run, other)
    whole = restricted_run(checkpoints, tmp_path / "c", limit=40, valid_classes=None)
    with pytest.raises(InputError, match=r"valid classes: 3 of 10 \(1, 3 and 7\) against all"):
        compare_runs(run, whole)
    with pytest.raises(InputError, match="dataset"):
        restricted_run(checkpoints, tmp_path / "a", limit=40, valid_classes=[1, 3, 8])


def test_the_columns_alone_make_another_run(checkpoints: Path, tmp_path: Path) -> None:
    """The same images of two classes, in two orders of all ten: labels are 0 and 1 in both."""
    digits = load_dataset("digits").subset(40)
    order = tmp_path / "order.txt"
    order.write_text("\n".join(["1", "0", *map(str, range(2, 10))]))
    one, other = (with_valid_classes(data, "2,5") for data in (digits, with_class_order(digits, order)))
    assert one.digest == other.digest
    order.write_text("\n".join(["2", "0", "1", *map(str, range(3, 10))]))
    moved = with_valid_classes(with_class_order(digits, order), "2,5")
    assert moved.digest == one.digest
    run = restricted_run(checkpoints, tmp_path / "a", one, valid_classes=None)
    with pytest.raises(InputError, match="dataset"):
        restricted_run(checkpoints, tmp_path / "a", moved, valid_classes=None)
    with pytest.raises(InputError, match="valid classes: 2 of 10"):
        compare_runs(run, restricted_run(checkpoints, tmp_path / "b", moved, valid_classes=None))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Return digits 7, 1 and 3 as pictures in folders with these names."""
    digits = with_valid_classes(load_dataset("digits"), "1,3,7").subset(30)
    for image, label, number in zip(digits.images, digits.known_labels, digits.ids, strict=True):
        folder = tmp_path / "three" / digits.classes[int(label)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(folder / f"{number:04d}.png")
    return tmp_path / "three"


def test_a_folder_of_some_classes_before_a_network_that_knows_more(
    checkpoints: Path, three: Path, tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    """The command line and manifests; the numbers are those of the same images in memory."""
    (tmp_path / "all.txt").write_text("\n".join(map(str, range(10))))
    (tmp_path / "some.txt").write_text("7\n1\n3\n")
    folder, order = f"folder:{three}", tmp_path / "all.txt"
    message = "has 10 classes, dataset 'three' has 3; if these are some of its classes, --class-order"
    with pytest.raises(InputError, match=message):
        restricted_run(checkpoints, tmp_path / "run", folder, valid_classes="present")
    run = restricted_run(checkpoints, tmp_path / "run", folder, valid_classes="present", class_order=order)
    study = tmp_path / "study.toml"
    study.write_text('class_order = "all.txt"\nvalid_classes = "some.txt"\ndataset = "folder:three"\n')
    flags = ["evaluate", checkpoints / "relu_1.safetensors", "--manifest", study, "--suite", "light"]
    flags += ["--severity", 3, "--no-probes", "--report", "none", "--out", tmp_path / "run"]
    for more in ((), ("--valid-classes", "3,1,7")):  # the same run each time
        found = actrobust(*flags, *more)
        assert found.exit_code == 0, found.output
        assert "three: images and answers are restricted to 3 of 10 classes." in found.stderr
    data = with_valid_classes(load_dataset("digits"), "1,3,7").subset(30)
    other = restricted_run(checkpoints, tmp_path / "memory", data, valid_classes=None)
    for one, same in zip(
        run.cells.iloc[0][["n", "correct"]], other.cells.iloc[0][["n", "correct"]], strict=True
    ):
        assert one == same
    assert run.cells["loss"][0] == pytest.approx(other.cells["loss"][0], rel=1e-5)


@pytest.mark.parametrize("value", ['["3", "1", "7"]', "[1, 3, 7]", '"present"'])
def test_a_manifest_holds_names_labels_or_a_word(tmp_path: Path, value: str) -> None:
    (tmp_path / "study.toml").write_text(f"valid_classes = {value}\n")
    assert read_manifest(tmp_path / "study.toml").options["valid_classes"] == json.loads(value)


def test_synsets_are_classes_of_a_network_that_knows_all_of_imagenet(tmp_path: Path) -> None:
    synsets = imagenet_synsets()
    for place in (900, 7, 310):
        folder = tmp_path / "imagenet-r" / synsets[place]
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((30 + place % 7, 32, 3), np.uint8)).save(folder / "1.jpg")
    (tmp_path / "synsets.txt").write_text("\n".join([synsets[900], synsets[7], synsets[310]]))
    request = DataRequest(
        dataset=f"folder:{tmp_path / 'imagenet-r'}", valid_classes=tmp_path / "synsets.txt", crop=8
    )
    seen: list[int | None] = []
    found = request.choose(request.open(lambda data: seen.append(data.class_count)))
    assert (found.class_count, seen) == (1000, [1000])  # libraries show pictures by the number of classes
    assert found.columns is not None
    assert found.columns.tolist() == [7, 310, 900]
    assert found.known_labels.tolist() == [0, 1, 2]
    assert [path.parent.name for path in found.pixels.sources] == [synsets[place] for place in (7, 310, 900)]  # type: ignore[union-attr]


def test_labels_that_count_from_one_are_counted_from_zero(checkpoints: Path, tmp_path: Path) -> None:
    """Names are the numbers of the file: 2, 4 and 8 are the network's columns 1, 3 and 7."""
    digits = load_dataset("digits").subset(60)
    np.savez(tmp_path / "a.npz", images=digits.images.numpy(), labels=digits.known_labels.numpy() + 1)
    found = restricted_run(checkpoints, tmp_path / "run", f"npz:{tmp_path / 'a.npz'}", valid_classes="2,4,8")
    info = found.info.dataset
    assert (info.labels_from, info.columns, info.classes) == (1, (1, 3, 7), ("2", "4", "8"))
    expected = restricted_run(checkpoints, tmp_path / "plain", digits)
    pixels = ["corruption", "correct", "loss"]
    assert found.cells[pixels].equals(expected.cells[pixels])


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        ("Sandel,Bag", r"Unknown class 'Sandel'\. Did you mean 'Sandal'\?"),
        ("10,1", r"Unknown class '10'\. Choose from: Ankle boot, Bag, "),
        ("Bag, Bag", "expected each class once, got 'Bag' twice"),
        (["Bag", 8], "expected each class once, got 'Bag' twice"),
        (["Bag"], "expected at least 2 classes, got 1"),
        ("Bag", "expected present, a file of class names, .* got 'Bag': no such file"),
        (Path("a,b"), "got 'a,b': no such file"),
        ("Coat,Dress", "'digits' has no images of these classes"),
    ],
)
def test_what_cannot_be_restricted_to_is_named(valid: object, message: str) -> None:
    names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    digits = replace(load_dataset("digits"), classes=names)
    digits = digits[(digits.known_labels != 3) & (digits.known_labels != 4)]
    with pytest.raises(InputError, match=f"--valid-classes: .*{message}"):
        with_valid_classes(digits, valid)  # type: ignore[arg-type]


def test_numbers_are_names_if_classes_are_called_by_numbers() -> None:
    digits = replace(load_dataset("digits"), classes=tuple(map(str, range(5, 15))))
    assert with_valid_classes(digits, "5,14").columns.tolist() == [0, 9]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"Unknown class '3'\. Did you mean '13'"):
        with_valid_classes(digits, "3,5")


def test_labels_and_distinct_names_are_needed_and_all_classes_are_no_restriction() -> None:
    digits = load_dataset("digits")
    with pytest.raises(InputError, match="expected labels, but data set 'digits' has none"):
        with_valid_classes(replace(digits, labels=None), "1,2")
    with pytest.raises(InputError, match="'digits' has a name twice"):
        with_valid_classes(replace(digits, classes=("a",) * 10), "present")
    assert with_valid_classes(digits, "present") is digits
    with pytest.raises(InputError, match="Unknown option of train 'valid_classes'"):
        train("digits", valid_classes="1,2")


def test_columns_travel_to_workers_and_labels_count_all_classes_again() -> None:
    digits = load_dataset("digits")
    some = with_valid_classes(digits, VALID)
    assert pickle.loads(pickle.dumps(Chunk(some[:5]))).columns.tolist() == VALID
    whole = some.among_all()
    assert set(whole.known_labels.tolist()) == set(VALID)
    assert (whole.classes, whole.columns) == (digits.classes, None)


def test_doctor_finds_the_order_of_all_classes(checkpoints: Path, tmp_path: Path) -> None:
    """In a wrong order the valid classes are other columns; accuracy is that among the valid ones."""
    loaded, digits = load_checkpoint(checkpoints / "relu_1.safetensors"), load_dataset("digits")
    some = with_valid_classes(digits, VALID)
    findings, _ = examine_networks([loaded], some, torch.device("cpu"))
    assert examine_data(some)[1].text == "labels of 3 of 3 classes, of 10 that networks know"
    (accuracy,) = [finding for finding in findings if "accuracy" in finding.text]
    assert "33.3% by chance" in accuracy.text
    assert accuracy.good
    order = tmp_path / "order.txt"
    order.write_text("\n".join(["9", *map(str, range(9))]))  # the network's column 1 is called 0
    moved = with_valid_classes(with_class_order(digits, order), VALID)
    findings, _ = examine_networks([loaded], moved, torch.device("cpu"))
    assert any("1 as 0" in one.text and "set --class-order string" in one.text for one in findings)


def test_probed_gradients_and_generated_labels(
    checkpoints: Path, tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    """The loss is that among the valid classes; files number all classes."""
    network = checkpoints / "relu_1.safetensors"
    flags = ["--valid-classes", "1,3,7", "--limit", 30, "--gradients", "--json"]
    found = actrobust("probe", network, "--dataset", "digits", *flags)
    last = next(row for row in json.loads(found.stdout)[0]["layers"] if row["version"] == 0)
    some = with_valid_classes(load_dataset("digits"), VALID).subset(30)
    loaded = load_checkpoint(network)
    layer = loaded.model.get_submodule(last["layer"])
    kept: list[torch.Tensor] = []
    layer.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    inputs = loaded.preprocessing((1, 8, 8))(some.images).requires_grad_()
    logits = loaded.model(inputs)[:, VALID]
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, some.known_labels, reduction="sum"), kept[0])
    assert last["gradient_variance"] == pytest.approx(float(gradient.var(unbiased=False)), rel=1e-3)
    line = [
        "generate",
        "digits",
        "--valid-classes",
        "1,3,7",
        "--limit",
        9,
        "--suite",
        "light",
        "--severity",
        1,
    ]
    assert actrobust(*line, "--out", tmp_path / "made").exit_code == 0
    assert set(np.load(tmp_path / "made" / "labels.npy").tolist()) == set(VALID)
