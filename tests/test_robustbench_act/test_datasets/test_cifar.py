"""CIFAR in the published format and as Python 3 writes it; all else in a pickle is refused, never run."""

import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from robustbench_act.datasets import load_dataset
from robustbench_act.datasets.pickles import read_pickle
from robustbench_act.errors import InputError
from tests.references.cifar import python_2_pickle

N = 12
NAMES_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def batch(seed: int, labels: str, classes: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "batch_label": f"batch {seed}",
        labels: random.integers(0, classes, N).tolist(),
        "data": random.integers(0, 256, (N, 3072), dtype=np.uint8),
        "filenames": [f"{place}.png" for place in range(N)],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with both sets, N images a file."""
    ten, hundred = tmp_path / "cifar-10-batches-py", tmp_path / "cifar-100-python"
    ten.mkdir()
    hundred.mkdir()
    for seed, name in enumerate(["test_batch", *(f"data_batch_{number}" for number in range(1, 6))]):
        (ten / name).write_bytes(python_2_pickle(batch(seed, "labels", 10)))
    (ten / "batches.meta").write_bytes(python_2_pickle({"label_names": NAMES_10, "num_vis": 3072}))
    for seed, name in enumerate(["test", "train"]):
        content = batch(seed, "fine_labels", 100)
        (hundred / name).write_bytes(python_2_pickle({**content, "coarse_labels": [0] * N}))
    return tmp_path


def test_equal_to_the_batches(root: Path) -> None:
    data = load_dataset(f"cifar-10:{root}")
    expected = batch(0, "labels", 10)
    assert data.shape == (3, 32, 32)
    assert data.images.dtype == torch.uint8
    assert np.array_equal(data.images.numpy().reshape(N, -1), expected["data"])
    assert data.known_labels.tolist() == expected["labels"]
    assert data.classes == tuple(NAMES_10)
    assert load_dataset(f"cifar-10:{root / 'cifar-10-batches-py'}").digest == data.digest
    train = load_dataset(f"cifar-10:{root}", train=True)
    assert len(train) == 5 * N
    assert train.known_labels[N : 2 * N].tolist() == batch(2, "labels", 10)["labels"]
    hundred = load_dataset(f"cifar-100:{root}")
    assert hundred.known_labels.tolist() == batch(0, "fine_labels", 100)["fine_labels"]
    assert len(hundred.classes) == 100


def test_torchvision_reads_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own reader takes these files for CIFAR once it is not asked for their checksums."""
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(CIFAR10, "_load_meta", lambda self: None)
    for name, kind in (("cifar-10", CIFAR10), ("cifar-100", CIFAR100)):
        theirs = kind(root, train=False)
        ours = load_dataset(f"{name}:{root}")
        assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), theirs.data)
        assert ours.known_labels.tolist() == theirs.targets


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_python_3_pickled_is_read(protocol: int, root: Path) -> None:
    content = batch(0, "labels", 10)
    file = root / "cifar-10-batches-py" / "test_batch"
    before = load_dataset(f"cifar-10:{root}").digest
    file.write_bytes(pickle.dumps({key.encode(): value for key, value in content.items()}, protocol))
    assert load_dataset(f"cifar-10:{root}").digest == before


class Evil:
    """Leaves a mark where it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("ran",)


def global_of(module: str, name: str, argument: bytes) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + argument + b"tR."


BOMBS = {
    "a call": pickle.dumps(Evil()),
    "a call inside": pickle.dumps({"data": [Evil()]}),
    "eval": global_of("builtins", "eval", b"U\x11__import__('os')\n"),
    "numpy's loads": global_of("numpy.core.multiarray", "scalar", b"K\x01"),
    "an attribute": b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__reduce__\x93.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"\x80\x02Pname\n.",
    "an object": b"(inumpy\nndarray\n.",
    "newobj": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "memo": b"\x80\x02]r" + struct.pack("<I", 2**31 - 1) + b".",
    "a long string": b"\x80\x02T" + struct.pack("<i", 2**31 - 1) + b"x.",
    "cut": python_2_pickle(batch(0, "labels", 10))[:-100],
    "empty": b"",
    "no pickle": b"\x89PNG\r\n\x1a\n",
    "no end": b"\x80\x02}",
    "shape": python_2_pickle(batch(0, "labels", 10)).replace(struct.pack("<i", 3072), struct.pack("<i", 7)),
    "float": pickle.dumps({"data": np.zeros((2, 3072))}),
    "objects": pickle.dumps({"data": np.array([Evil()], dtype=object)}),
    "codec": global_of("_codecs", "encode", b"U\x01xU\x06rot_13"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_and_run_nothing(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    file = root / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(BOMBS[name])
    with pytest.raises(InputError) as caught:
        load_dataset(f"cifar-10:{root}")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (root / "ran").exists()


def test_the_bombs_are_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(BOMBS["a call"])
    assert (tmp_path / "ran").is_dir()


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_changed_bytes_raise_nothing_else(mask: int, tmp_path: Path) -> None:
    content = batch(0, "labels", 10)
    data = python_2_pickle({**content, "data": content["data"][:, :16]})
    path = tmp_path / "x"
    refused = 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
        try:
            read_pickle(path)
        except InputError:
            refused += 1
    assert refused > 100


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"data": None}, "expected data, uint8 (N, 3072), got NoneType"),
    ({"data": np.zeros((N, 10), dtype=np.uint8)}, "expected data, uint8 (N, 3072), got (12, 10)"),
    ({"labels": None}, "expected labels, a list of whole numbers"),
    ({"labels": [1.5] * N}, "expected labels, a list of whole numbers"),
    ({"labels": [0] * (N - 1)}, "expected 12 labels from 0 to 9, got 11"),
    ({"labels": [10] * N}, "expected 12 labels from 0 to 9, got 12"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_other_content_is_said(change: dict[str, Any], message: str, root: Path) -> None:
    file = root / "cifar-10-batches-py" / "test_batch"
    file.write_bytes(pickle.dumps({**batch(0, "labels", 10), **change}))
    with pytest.raises(InputError) as caught:
        load_dataset(f"cifar-10:{root}")
    assert message in str(caught.value)


def test_missing_files_are_named(root: Path) -> None:
    (root / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(
        InputError, match=r"expected .*data_batch_3, which does not exist; name the folder as"
    ):
        load_dataset(f"cifar-10:{root}", train=True)
    with pytest.raises(InputError, match=r"nowhere.cifar-100-python.test, which does not exist"):
        load_dataset("cifar-100:/nowhere")
    (root / "cifar-10-batches-py" / "batches.meta").write_bytes(python_2_pickle({"label_names": ["a"]}))
    with pytest.raises(InputError, match="expected label_names, 10 of them"):
        load_dataset(f"cifar-10:{root}")
    (root / "cifar-10-batches-py" / "batches.meta").unlink()
    assert load_dataset(f"cifar-10:{root}").classes == tuple("0123456789")


def test_the_reference_writes_what_python_reads() -> None:
    content = batch(0, "labels", 10)
    found = pickle.loads(python_2_pickle(content), encoding="latin1")
    assert np.array_equal(found.pop("data"), content.pop("data"))
    assert found == content
    assert "SHORT_BINSTRING" in {op.name for op, _, _ in pickletools.genops(python_2_pickle(content))}


def test_the_binary_version_is_the_same(root: Path, tmp_path: Path) -> None:
    """Rows of a label (CIFAR-100: coarse, fine) and 3,072 pixels, as the authors' page describes them."""
    binary = tmp_path / "binary"
    for folder, head in (("cifar-10-batches-bin", 1), ("cifar-100-binary", 2)):
        (binary / folder).mkdir(parents=True)
        python = root / ("cifar-10-batches-py" if head == 1 else "cifar-100-python")
        for path in python.glob("*t*_batch*" if head == 1 else "t*"):
            content = read_pickle(path)
            labels = np.array(content["labels" if head == 1 else "fine_labels"], np.uint8)
            coarse = np.full((N, head - 1), 7, np.uint8)
            rows = np.concatenate([coarse, labels[:, None], content["data"]], axis=1)
            (binary / folder / f"{path.name}.bin").write_bytes(rows.tobytes())
    (binary / "cifar-10-batches-bin" / "batches.meta.txt").write_text("\n".join(NAMES_10) + "\n\n")
    for name in ("cifar-10", "cifar-100"):
        for train in (False, True):
            ours, theirs = (load_dataset(f"{name}:{home}", train=train) for home in (binary, root))
            assert ours.digest == theirs.digest
            assert ours.classes == theirs.classes
    batch = binary / "cifar-10-batches-bin" / "test_batch.bin"
    whole = batch.read_bytes()
    for damaged, message in (
        (whole[:-1], "expected rows of 3073 bytes, got 36,875 bytes"),
        (b"", r"got 0 bytes \(it is an empty file"),
        (b"\x0a" + whole[1:], "expected labels from 0 to 9, got 10"),
    ):
        batch.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            load_dataset(f"cifar-10:{batch.parent}")


def test_a_class_name_that_is_not_utf_8(root: Path) -> None:
    names = [*NAMES_10[:-1], b"caf\xe9"]
    (root / "cifar-10-batches-py" / "batches.meta").write_bytes(
        pickle.dumps({"label_names": names}, protocol=2)
    )
    assert load_dataset(f"cifar-10:{root}").classes[-1] == "caf\\xe9"
