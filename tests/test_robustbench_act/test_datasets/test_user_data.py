"""Arrays and functions that users bring."""

import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError

RANDOM = np.random.default_rng(0)
LABELS = np.array([3, 0, 1, 2, 5])
IMAGES = np.zeros((5, 8, 8), np.uint8)


@pytest.mark.parametrize("shape", [(5, 9, 11), (5, 9, 11, 1), (5, 9, 11, 3), (5, 3, 9, 11), (5, 1, 9, 11)])
def test_npz_in_any_order_of_dimensions(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = RANDOM.integers(256, size=shape, dtype=np.uint8)
    np.savez_compressed(tmp_path / "mine.npz", images=array, labels=LABELS.astype(np.int32))
    data = load_dataset(f"npz:{tmp_path / 'mine.npz'}")
    assert data.name == "mine"
    assert data.shape[1:] == (9, 11)
    assert data.known_labels.tolist() == LABELS.tolist()
    assert data.open_ended
    assert data.class_count == 6
    assert data.subset(2).class_count == 6
    assert sorted(data.images.flatten().tolist()) == sorted(array.flatten().tolist())
    if shape == (5, 9, 11, 3):
        assert np.array_equal(data.images.permute(0, 2, 3, 1).numpy(), array)


def test_kerass_names_and_its_column_of_labels(tmp_path: Path) -> None:
    images = RANDOM.integers(256, size=(5, 8, 8, 3), dtype=np.uint8)
    arrays = {"x_train": images[:2], "y_train": LABELS[:2, None], "x_test": images, "y_test": LABELS[:, None]}
    np.savez(tmp_path / "c.npz", allow_pickle=False, **arrays)
    assert load_dataset(f"npz:{tmp_path / 'c.npz'}").known_labels.tolist() == LABELS.tolist()
    assert len(load_dataset(f"npz:{tmp_path / 'c.npz'}", train=True)) == 2


def test_medmnists_names_and_its_column_of_labels(tmp_path: Path) -> None:
    arrays = {}
    for place, part in enumerate(("train", "val", "test"), start=2):
        arrays[f"{part}_images"] = np.full((5, 8, 8, 3), place, np.uint8)
        arrays[f"{part}_labels"] = ((LABELS + place) % 5)[:, None].astype(np.uint8)
    path = tmp_path / "pathmnist.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs of NumPy name allow_pickle alone
    data, train = load_dataset(f"npz:{path}"), load_dataset(f"npz:{path}", train=True)
    assert (data.name, data.shape, int(data.images.max()), int(train.images.max())) == (
        "pathmnist",
        (3, 8, 8),
        4,
        2,
    )
    assert data.known_labels.tolist() == arrays["test_labels"].flatten().tolist()
    assert train.known_labels.tolist() == arrays["train_labels"].flatten().tolist()
    arrays["test_labels"] = np.zeros((5, 14), np.uint8)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"got uint8 \(5, 14\); an image must have one label: choose a column"
    ):
        load_dataset(f"npz:{path}")


def test_npy_pairs(tmp_path: Path) -> None:
    images = RANDOM.integers(256, size=(5, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    assert load_dataset(f"npy:{tmp_path}").labels is None
    np.save(tmp_path / "labels.npy", LABELS.astype(">i8"))
    data = load_dataset(f"npy:{tmp_path}")
    assert data.known_labels.tolist() == LABELS.tolist()
    assert np.array_equal(data.images[:, 0].numpy(), images)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((5, 8, 8))}, r"expected images as uint8 .* got float64 \(5, 8, 8\)"),
        ({"images": np.zeros((5, 8, 8, 2), np.uint8)}, r"C 1 or 3, got uint8 \(5, 8, 8, 2\)"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, r"got uint8 \(0, 8, 8\)"),
        (
            {"images": np.zeros((5, 8, 8), np.uint8), "labels": LABELS[:4]},
            r"expected 5 labels, .* int64 \(4,\)",
        ),
        ({"images": np.zeros((5, 8, 8), np.uint8), "labels": LABELS * 1.0}, "whole numbers, got float64"),
        ({"images": np.zeros((5, 8, 8), np.uint8), "labels": LABELS - 1}, "labels from 0 up, got -1"),
        (
            {"images": np.zeros((5, 8, 8), np.uint8), "labels": np.array(list("abcde"))},
            "whole numbers, got <U1",
        ),
        (
            {"pictures": np.zeros((5, 8, 8), np.uint8)},
            "expected the arrays images and labels, .* got pictures",
        ),
        ({"images": np.zeros((5, 0, 8), np.uint8)}, r"got uint8 \(5, 0, 8\)"),
        (
            {"images": np.zeros((1, 8, 8), np.uint8), "labels": np.array(3)},
            r"expected 1 labels, .* int64 \(\)",
        ),
        (
            {"images": np.zeros((5, 8, 8), np.uint8), "labels": LABELS * 10**12},
            "expected labels below 1,000,000",
        ),
        ({"images": np.array([{}], dtype=object)}, "not a complete .npz file of arrays"),
    ],
)
def test_arrays_that_do_not_fit(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", allow_pickle=True, **arrays)
    with pytest.raises(InputError, match=message):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(
            member, {"descr": "|u1", "fortran_order": False, "shape": (300, 1024, 1024)}
        )
        for _ in range(300):
            member.write(bytes(2**20))
    with pytest.raises(InputError, match="unpacks to 314,572,928 bytes from"):
        load_dataset(f"npz:{path}")


def test_members_are_never_written_anywhere(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((5, 8, 8), np.uint8))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("../../escape.npy", (tmp_path / "x.npz").read_bytes()[:10])
    before = sorted(tmp_path.parent.rglob("*"))
    with suppress(InputError):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_file_or_folder_that_is_not_there(tmp_path: Path) -> None:
    for spec, message in [
        ("npz", "name the file as npz:FILE"),
        ("npz:nowhere.npz", "nowhere.npz: no such file"),
        ("npy:nowhere", "expected the folder nowhere, which does not exist"),
        (f"npy:{tmp_path}", r"images\.npy: no such file"),
    ]:
        with pytest.raises(InputError, match=message):
            load_dataset(spec)


def test_a_function_of_the_users_own(module: Callable[[str, str], str]) -> None:
    module(
        "my_data_for_a_test",
        "import numpy as np, torch\n"
        "from robustbench_act.datasets import load_dataset\n"
        "def arrays(train=False): return np.zeros((4, 8, 8, 3), np.uint8), [0, 1, 2, 3]\n"
        "def tensors(train=False): return torch.full((2 + train, 1, 8, 8), 7, dtype=torch.uint8), None\n"
        "def whole(): return load_dataset('digits').subset(10)\n"
        "def wrong(): return 3\n"
        "def fails(): raise KeyError('x')\n"
        "number = 3\n"
        "def ragged(): return [[1], [1, 2]], None\n"
        "def beyond():\n"
        "    from dataclasses import replace\n"
        "    data = load_dataset('digits').subset(10)\n"
        "    return replace(data, labels=data.labels + 5)\n"
        "def twins():\n"
        "    from dataclasses import replace\n"
        "    data = load_dataset('digits').subset(10)\n"
        "    return replace(data, ids=data.ids * 0)\n",
    )
    assert len(load_dataset("my_data_for_a_test:arrays")) == 4
    data = load_dataset("my_data_for_a_test:tensors")
    assert data.labels is None
    assert data.name == "tensors"
    assert torch.equal(data.images, torch.full((2, 1, 8, 8), 7, dtype=torch.uint8))
    assert len(load_dataset("my_data_for_a_test:tensors", train=True)) == 3
    assert load_dataset("my_data_for_a_test:whole").total == 360
    for name, message in [
        ("wrong", "expected a Dataset, images and labels as arrays, or a map-style data set, got int"),
        ("fails", r"the call with \(\) raised KeyError: 'x'"),
        ("number", "number is not a function"),
        ("ragged", "expected arrays, got a ragged list"),
        ("beyond", "expected labels from 0 to 9, got 5 to 14"),
        ("twins", "expected a unique id for each image"),
        ("absent", "has no attribute 'absent'"),
    ]:
        with pytest.raises(InputError, match=message):
            load_dataset(f"my_data_for_a_test:{name}")
    with pytest.raises(InputError, match="No module named 'no_such_module_for_a_test'"):
        load_dataset("no_such_module_for_a_test:data")


def test_modules_that_fail_to_load_are_one_line(module: Callable[[str, str], str]) -> None:
    for text, message in (
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ):
        name = module(f"broken_{len(text)}_for_a_test", text)
        with pytest.raises(InputError, match=f"importing {name} raised {message}"):
            load_dataset(f"{name}:f")


def test_what_was_nearly_right_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for spec, message in [
        ("mine.npz", "put the kind first, as in npz:mine.npz"),
        ("photos", "put the kind first, as in folder:photos"),
        ("my/images.npy", r"expected a folder with images\.npy, as in npy:my"),
        ("folders:photos", "Did you mean 'folder'"),
        ("mine.py:data", "Write mine:data"),
    ]:
        with pytest.raises(InputError, match=message):
            load_dataset(spec)
