"""Data sets: the embedded excerpt, IDX files, digits, subsets."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from robustbench_act.datasets import Dataset, list_datasets, load_dataset
from robustbench_act.errors import InputError


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file from its definition: magic 0, 0, 8 (uint8), ndim; big-endian sizes; the values."""
    data = path.read_bytes()
    assert data[:3] == b"\0\0\x08"
    shape = np.frombuffer(data, ">i4", data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


@pytest.mark.parametrize(("train", "prefix", "count"), [(False, "t10k", 10_000), (True, "train", 60_000)])
def test_mnist_equals_its_files(train: bool, prefix: str, count: int, shared: Callable[[str], Path]) -> None:
    root = shared("data")
    data = load_dataset(f"mnist:{root}", train=train)
    raw = root / "MNIST" / "raw"
    assert data.shape == (1, 28, 28)
    assert len(data) == data.total == count
    assert np.array_equal(data.images[:, 0].numpy(), read_idx(raw / f"{prefix}-images-idx3-ubyte"))
    assert np.array_equal(data.known_labels.numpy(), read_idx(raw / f"{prefix}-labels-idx1-ubyte"))
    assert data.ids.tolist() == list(range(count))


def test_embedded_excerpt_is_from_the_test_set(shared: Callable[[str], Path]) -> None:
    raw = shared("data/MNIST/raw")
    excerpt = load_dataset("mnist-1k")
    rows = excerpt.ids.numpy()
    assert np.array_equal(excerpt.images[:, 0].numpy(), read_idx(raw / "t10k-images-idx3-ubyte")[rows])
    labels = read_idx(raw / "t10k-labels-idx1-ubyte")
    assert np.array_equal(excerpt.known_labels.numpy(), labels[rows])
    assert len(set(rows.tolist())) == 1000
    share = np.bincount(labels, minlength=10) / 10
    assert np.abs(np.bincount(excerpt.known_labels, minlength=10) - share).max() < 1
    assert excerpt.digest == load_dataset(f"mnist:{raw.parents[1]}").subset(1000).digest


def test_subset_is_stratified_and_spread() -> None:
    data = load_dataset("mnist-1k")
    part = data.subset(100)
    assert len(part) == 100
    assert (
        np.abs(
            np.bincount(part.known_labels, minlength=10) - np.bincount(data.known_labels, minlength=10) / 10
        ).max()
        < 1
    )
    assert part.ids.tolist() == sorted(part.ids.tolist())
    assert set(part.ids.tolist()) <= set(data.ids.tolist())
    assert 0.4 < (part.ids < 5000).float().mean() < 0.6
    assert data.subset(5000) is data
    with pytest.raises(InputError, match="at least 1 image, got 0"):
        data.subset(0)


def test_subset_smaller_than_the_number_of_classes() -> None:
    assert len(load_dataset("mnist-1k").subset(3)) == 3


def test_digits_parts_are_disjoint_and_complete() -> None:
    train, test = load_dataset("digits", train=True), load_dataset("digits")
    assert len(train) + len(test) == 1797
    assert not set(train.ids.tolist()) & set(test.ids.tolist())
    assert test.shape == (1, 8, 8)
    assert int(test.images.max()) == 255
    assert test.total == len(test)
    scaled = train.images.double() / 255
    assert (scaled.mean().item(), scaled.std().item()) == pytest.approx(
        (train.mean[0], train.std[0]), abs=1e-4
    )


def test_digest_sees_images_labels_ids_and_shape() -> None:
    images = torch.zeros(4, 1, 2, 8, dtype=torch.uint8)

    def digest(images: torch.Tensor, labels: list[int], ids: list[int]) -> str:
        return Dataset(
            "x", images, torch.tensor(labels), torch.tensor(ids), ("a", "b"), (0.5,), (0.5,), total=4
        ).digest

    base = digest(images, [0, 1, 0, 1], [0, 1, 2, 3])
    assert base == digest(images.clone(), [0, 1, 0, 1], [0, 1, 2, 3])
    changed = images.clone()
    changed[3, 0, 1, 7] = 1
    others = [
        digest(changed, [0, 1, 0, 1], [0, 1, 2, 3]),
        digest(images, [0, 1, 1, 0], [0, 1, 2, 3]),
        digest(images, [0, 1, 0, 1], [0, 1, 2, 4]),
        digest(images.view(4, 1, 8, 2), [0, 1, 0, 1], [0, 1, 2, 3]),
    ]
    assert len({base, *others}) == 5


def test_chunks_cover_everything_in_order() -> None:
    data = load_dataset("mnist-1k")
    parts = list(data.chunks(300))
    assert [len(part) for part in parts] == [300, 300, 300, 100]
    assert torch.equal(torch.cat([part.ids for part in parts]), data.ids)


def test_names() -> None:
    assert list_datasets() == [
        "cifar-10",
        "cifar-10-c",
        "cifar-100",
        "cifar-100-c",
        "digits",
        "fashion-mnist",
        "folder",
        "imagenet",
        "imagenet-c",
        "kmnist",
        "mnist",
        "mnist-1k",
        "mnist-c",
        "npy",
        "npz",
        "parquet",
        "tar",
        "tiny-imagenet",
        "tiny-imagenet-c",
        "zip",
    ]
    with pytest.raises(InputError, match=r"Unknown dataset 'minst'\. Did you mean 'mnist'"):
        load_dataset("minst")


@pytest.mark.parametrize("spec", ["mnist-1k:/somewhere", "digits:/somewhere"])
def test_embedded_sets_take_no_folder(spec: str) -> None:
    with pytest.raises(InputError, match="takes no folder"):
        load_dataset(spec)


def test_excerpt_is_not_for_training() -> None:
    with pytest.raises(InputError, match="not for training"):
        load_dataset("mnist-1k", train=True)


def test_missing_mnist_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_dataset(f"mnist:{tmp_path}")
    assert str(tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte") in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0, 10, 1000])
@pytest.mark.parametrize("file", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_truncated_mnist_is_one_line(
    file: str, keep: int, tmp_path: Path, shared: Callable[[str], Path]
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    shutil.copytree(shared("data/MNIST/raw"), raw, ignore=lambda _, names: [n for n in names if "train" in n])
    raw.chmod(0o755)
    (raw / file).chmod(0o644)
    (raw / file).write_bytes((raw / file).read_bytes()[:keep])
    with pytest.raises(InputError, match="not a complete IDX file") as error:
        load_dataset(f"mnist:{tmp_path}")
    assert "\n" not in str(error.value)


def test_mnist_with_too_few_labels(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    raw = tmp_path / "MNIST" / "raw"
    shutil.copytree(shared("data/MNIST/raw"), raw, ignore=lambda _, names: [n for n in names if "train" in n])
    labels = raw / "t10k-labels-idx1-ubyte"
    raw.chmod(0o755)
    labels.chmod(0o644)
    labels.write_bytes(b"\0\0\x08\x01" + (5).to_bytes(4, "big") + bytes(5))
    with pytest.raises(InputError, match=r"N labels .* got \(10000, 28, 28\) and \(5,\)"):
        load_dataset(f"mnist:{tmp_path}")
