"""Corrupted images from files: the same numbers as on the fly, rows and labels paired or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corruptions import get_suite
from robustbench_act.datasets import Dataset, load_dataset, pair_corrupted
from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate
from robustbench_act.generation import Generation, generate
from tests.references.cifar import python_2_pickle

COLUMNS = ["corruption", "severity", "accuracy", "loss", "agreement", "pixels"]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def made(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the noises of digits at two severities."""
    out = tmp_path_factory.mktemp("stored") / "digits-c"
    return generate(Generation(digits, get_suite("noise").with_severities([2, 4]), seed=7), out)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "digits-c"))


def test_equal_to_corruptions_on_the_fly(
    checkpoints: Path, digits: Dataset, made: Path, tmp_path: Path
) -> None:
    facts: dict[str, Any] = {"device": "cpu", "limit": 80}
    stored = evaluate([checkpoints], dataset=pair_corrupted(digits, made), out=tmp_path / "a", **facts)
    facts |= {"suites": ["noise"], "severities": [2, 4], "seed": 7}
    live = evaluate([checkpoints], dataset=digits, out=tmp_path / "b", **facts)
    assert set(stored.cells["suite"]) == {"clean", "files:digits-c"}
    assert set(stored.cells["table"]) == {"", "npy files"}
    by = ["checkpoint", "corruption", "severity"]
    ours, theirs = (run.cells.sort_values(by, ignore_index=True) for run in (stored, live))
    assert ours[COLUMNS].equals(theirs[COLUMNS])
    assert ours["group"].equals(theirs["group"])
    assert len(stored.layers) == len(live.layers)
    assert stored.info.suites[0].corruptions == tuple(sorted(get_suite("noise").corruptions))
    with pytest.raises(InputError, match="suite 'files:digits-c' only in the first"):
        stored.compare(live)


def test_rows_go_by_the_ids_of_the_clean_images(digits: Dataset, made: Path) -> None:
    data = pair_corrupted(digits, made)
    assert data.stored is not None
    cell = next(cell for cell in data.stored.cells if (cell.corruption, cell.severity) == ("shot_noise", 4))
    array = np.load(made / "shot_noise.npy")[len(digits) :]
    rows = torch.tensor([5, 0, 17])
    found = cell.apply(data.images[rows], ids=data.ids[rows], seed=0)
    assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), array[rows])
    assert found.is_contiguous()
    assert cell.group == "noise"


def test_hash_is_that_of_the_content(digits: Dataset, folder: Path, made: Path) -> None:
    def found(path: Path) -> str:
        stored = pair_corrupted(digits, path).stored
        assert stored is not None
        return stored.hash

    assert found(folder) == found(made)
    array = np.load(folder / "shot_noise.npy")
    array[0, 0, 0, 0] ^= 1
    np.save(folder / "shot_noise.npy", array)
    assert found(folder) != found(made)
    stored = pair_corrupted(digits, made).stored
    assert stored is not None
    assert stored.with_severities([2]).hash != stored.hash


def spoil_labels(folder: Path) -> None:
    labels = np.load(folder / "labels.npy")
    np.save(folder / "labels.npy", np.roll(labels, 1))


def spoil_shape(folder: Path) -> None:
    np.save(folder / "shot_noise.npy", np.load(folder / "shot_noise.npy")[:-1])


def spoil_type(folder: Path) -> None:
    np.save(folder / "shot_noise.npy", np.load(folder / "shot_noise.npy").astype(np.float32))


def cut(folder: Path) -> None:
    path = folder / "shot_noise.npy"
    path.write_bytes(path.read_bytes()[:-1000])


def objects(folder: Path) -> None:
    np.save(folder / "shot_noise.npy", np.array([{}], dtype=object), allow_pickle=True)


def huge(folder: Path) -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 8, 8, 1), }"
    text = header.ljust(117).encode() + b"\n"
    (folder / "shot_noise.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)


def other_json(folder: Path) -> None:
    (folder / "generated.json").write_text("[]")


def no_images(folder: Path) -> None:
    for path in folder.glob("*_noise.npy"):
        path.unlink()


SPOILT: list[tuple[Callable[[Path], object], str]] = [
    (spoil_labels, "labels do not pair with those of digits, first row 0: "),
    (spoil_shape, "shot_noise.npy: expected uint8 (720, 8, 8, 1) (2 severities x 360 images of digits), got"),
    (spoil_type, "got float32 (720, 8, 8, 1)"),
    (cut, "shot_noise.npy: not a complete .npy file"),
    (objects, "shot_noise.npy: not a complete .npy file"),
    (huge, "shot_noise.npy: not a complete .npy file"),
    (other_json, "expected a file that `actrobust generate` wrote"),
    (no_images, "expected NAME.npy for each corruption, or folders NAME/SEVERITY/CLASS"),
    (lambda folder: (folder / "labels.npy").unlink(), "labels.npy: no such file"),
    (
        lambda folder: (folder / "generated.json").unlink(),
        "labels.npy: expected 5 x 360 labels, got",
    ),
    (lambda folder: (folder / "labels.npy").write_bytes(b"x"), "labels.npy: not a complete .npy file"),
    (shutil.rmtree, "expected a folder of corrupted images"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT, ids=[message[:40] for _, message in SPOILT])
def test_what_does_not_fit_is_refused(
    spoil: Callable[[Path], object], message: str, digits: Dataset, folder: Path
) -> None:
    spoil(folder)
    with pytest.raises(InputError) as caught:
        pair_corrupted(digits, folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_severities_that_are_not_stored_are_refused(
    checkpoints: Path, digits: Dataset, made: Path, tmp_path: Path
) -> None:
    data = pair_corrupted(digits, made)
    with pytest.raises(InputError, match="files:digits-c: has severities 2, 4, not 3"):
        evaluate([checkpoints], dataset=data, severities=[3], out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_cifar_10_c_as_published(tmp_path: Path) -> None:
    """Five severities, labels repeated, the clean test set beside it; a name of its own is in group other."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (6, 3072), dtype=np.uint8), [3, 1, 4, 1, 5, 9]
    (tmp_path / "cifar-10-batches-py").mkdir()
    batch = python_2_pickle({"labels": labels, "data": images})
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(batch)
    corrupted = tmp_path / "CIFAR-10-C"
    corrupted.mkdir()
    stacks = {name: random.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8) for name in ("fog", "rain")}
    for name, stack in stacks.items():
        np.save(corrupted / f"{name}.npy", stack)
    np.save(corrupted / "labels.npy", np.tile(labels, 5))
    data = load_dataset(f"cifar-10-c:{tmp_path}")
    assert data.stored is not None
    assert data.stored.severities == (1, 2, 3, 4, 5)
    assert {cell.corruption: cell.group for cell in data.stored.cells} == {"fog": "weather", "rain": "other"}
    cell = data.stored.cells[3]
    found = cell.apply(data.images, ids=data.ids, seed=0)
    assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), stacks["fog"][18:24])
    with pytest.raises(InputError, match="'cifar-10-c' is a test set read from files; train on cifar-10"):
        load_dataset(f"cifar-10-c:{tmp_path}", train=True)
    for row in (0, 6, 12, 18, 29):  # one label, of each severity in turn
        wrong = np.tile(labels, 5)
        wrong[row] = 7
        np.save(corrupted / "labels.npy", wrong)
        with pytest.raises(InputError, match=rf"1 of 30 labels do not pair .*, first row {row}: 7, not "):
            load_dataset(f"cifar-10-c:{tmp_path}")


def test_names_are_in_the_manifest(made: Path) -> None:
    assert json.loads((made / "generated.json").read_text())["suite"]["severities"] == [2, 4]
