"""ImageNet-C, Tiny-ImageNet-C and MNIST-C: each corrupted image is paired with its clean one."""

import hashlib
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from corruptions import get_suite
from robustbench_act.datasets import (
    Dataset,
    Pictures,
    StoredSuite,
    layouts,
    load_dataset,
    pair_corrupted,
    precomputed,
)
from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate, execution
from robustbench_act.evaluation.executors import run_here
from robustbench_act.evaluation.work import Job, Progress, Result, Task
from robustbench_act.evaluation.worker import Worker
from robustbench_act.generation import Generation, Layout, generate
from robustbench_act.view import View
from tests.references.layouts import (
    picture,
    write_imagenet,
    write_imagenet_c,
    write_mnist_c,
    write_tiny_imagenet,
    write_tiny_imagenet_c,
)


def stored(data: Dataset) -> StoredSuite:
    assert data.stored is not None
    return data.stored


@pytest.mark.parametrize("groups", [False, True], ids=["corruption", "group/corruption"])
def test_imagenet_c_as_published(groups: bool, tmp_path: Path) -> None:
    write_imagenet_c(write_imagenet(tmp_path), "ImageNet-C", groups=groups)
    data = load_dataset(f"imagenet-c:{tmp_path}")
    suite = stored(data)
    assert suite.name == "files:ImageNet-C"
    assert suite.corruptions == ("fog", "shot_noise")
    assert suite.severities == (1, 2, 3, 4, 5)
    assert suite.codec == "jpeg"
    assert suite.resolve_table(224, 224) == "jpeg files"
    cell = next(cell for cell in suite.cells if (cell.corruption, cell.severity) == ("fog", 4))
    assert cell.group == "weather"
    rows = torch.tensor([5, 0, 3])
    found = cell.apply(data.images[rows], ids=data.ids[rows], seed=0)
    paths = [
        next((tmp_path / "ImageNet-C").rglob(f"fog/4/*/{data.names()[row]}.JPEG")) for row in rows.tolist()
    ]
    for image, path in zip(found, paths, strict=True):
        with Image.open(path) as opened:
            assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(opened))


def test_listing_stored_pictures_is_told(tmp_path: Path) -> None:
    write_imagenet_c(write_imagenet(tmp_path), "ImageNet-C", groups=False)
    told: list[tuple[str, int] | int] = []

    def on_items(what: str, count: int) -> Callable[[int], None]:
        told.append((what, count))
        return told.append

    data = load_dataset(f"imagenet-c:{tmp_path}", on_items=on_items)
    assert told == [("listing pictures", 2 * 5 * len(data))] + [len(data)] * 2 * 5


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "in threads"])
@pytest.mark.parametrize("whole", [True, False], ids=["by content", "by size"])
def test_the_hash_of_pictures(
    slow: bool, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By definition: the cells, then name and content of each file, or its size if there are too many."""
    monkeypatch.setattr(layouts, "_SLOW", -1 if slow else 1)
    monkeypatch.setattr(precomputed, "_WHOLE", 2**32 if whole else 0)
    write_imagenet_c(write_imagenet(tmp_path), "ImageNet-C", groups=True)
    suite = stored(load_dataset(f"imagenet-c:{tmp_path}")).with_severities([2, 5])
    cells = [(name, float(level)) for name in ("fog", "shot_noise") for level in (2, 5)]
    digest = hashlib.sha256(repr(cells).encode())
    files = [
        file
        for name, level in cells
        for file in sorted((tmp_path / "ImageNet-C").glob(f"*/{name}/{level:g}/*/*"))
    ]
    for file in files:
        content = file.read_bytes() if whole else str(file.stat().st_size).encode()
        digest.update(f"{file.parent.name}/{file.name}\n".encode() + hashlib.sha256(content).digest())
    assert suite.hash == digest.hexdigest()
    assert suite.size == sum(file.stat().st_size for file in files)


@pytest.mark.parametrize("prefix", ["val", "test"])
def test_tiny_imagenet_c_pairs_by_the_number_in_the_name(prefix: str, tmp_path: Path) -> None:
    write_tiny_imagenet_c(write_tiny_imagenet(tmp_path), prefix)
    data = load_dataset(f"tiny-imagenet-c:{tmp_path}")
    cell = stored(data).cells[2]
    assert (cell.corruption, cell.severity) == ("brightness", 3)
    assert cell.ids.tolist() == data.ids.tolist()
    found = cell.apply(data.images[[4]], ids=data.ids[[4]], seed=0)
    path = tmp_path / "Tiny-ImageNet-C" / "brightness" / "3" / "n90000003" / f"{prefix}_4.JPEG"
    with Image.open(path) as opened:
        assert np.array_equal(found[0].permute(1, 2, 0).numpy(), np.asarray(opened))


def test_mnist_c_as_published(tmp_path: Path) -> None:
    clean, corrupted = write_mnist_c(tmp_path)
    data = load_dataset(f"mnist-c:{tmp_path}")
    assert data.name == "mnist"
    assert np.array_equal(data.images[:, 0].numpy(), clean[..., 0])
    suite = stored(data)
    assert suite.name == "files:mnist_c"
    assert {cell.corruption: cell.group for cell in suite.cells} == {"shot_noise": "noise", "zigzag": "other"}
    assert suite.severities == (1,)
    found = suite.cells[1].apply(data.images[[3]], ids=data.ids[[3]], seed=0)
    assert np.array_equal(found[0, 0].numpy(), corrupted["zigzag"][3, ..., 0])
    np.save(tmp_path / "mnist_c" / "zigzag" / "test_labels.npy", np.zeros(12, dtype=np.int64))
    with pytest.raises(InputError, match=r"zigzag/test_labels\.npy: 10 of 12 labels do not pair"):
        load_dataset(f"mnist-c:{tmp_path}")
    with pytest.raises(InputError, match="is a test set read from files; train on mnist"):
        load_dataset(f"mnist-c:{tmp_path}", train=True)


def test_what_generate_writes_as_folders_gives_the_numbers_of_corruptions_on_the_fly(
    checkpoints: Path, tmp_path: Path
) -> None:
    digits = load_dataset("digits").subset(40)
    made = Generation(digits, get_suite("light").with_severities([2, 4.5]), seed=7, layout="folders")
    folder = generate(made, tmp_path / "digits-c")
    data = pair_corrupted(digits, folder)
    assert stored(data).codec == "png"
    files = evaluate([checkpoints], dataset=data, device="cpu", out=tmp_path / "a")
    live = evaluate(
        [checkpoints],
        dataset=digits,
        suites=["light"],
        severities=[2, 4.5],
        seed=7,
        device="cpu",
        out=tmp_path / "b",
    )
    columns = ["checkpoint", "corruption", "severity", "accuracy", "loss", "pixels"]
    ours, theirs = (run.cells.sort_values(columns[:3], ignore_index=True)[columns] for run in (files, live))
    assert ours.equals(theirs)
    assert files.info.suites[0].source == "files"
    assert files.info.suites[0].codec == "png"
    assert live.info.suites[0].source == "on the fly"
    with pytest.raises(InputError, match="suite 'files:digits-c' only in the first"):
        files.compare(live)
    with pytest.raises(InputError, match="no corrupted cell is in both runs"):
        files.compare(live, force=True)


def _as_elsewhere(job: Job, tasks: Iterator[Task], on_images: Progress) -> Iterator[Result]:
    """Do units as a process does that is sent them one by one."""
    worker = Worker(job)
    yield from (worker.run(pickle.loads(pickle.dumps(task)), on_images) for task in tasks)


@pytest.mark.parametrize("run_units", [run_here, _as_elsewhere])
def test_a_stored_picture_is_decoded_once_for_all_networks(
    run_units: Callable[..., Iterator[Result]],
    checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digits = load_dataset("digits").subset(20)
    made = Generation(digits, get_suite("light").with_severities([1, 3]), layout="folders")
    data = pair_corrupted(digits, generate(made, tmp_path / "digits-c"))
    decoded = list[object]()
    decode = Pictures._decode

    def counted(self: Pictures, source: Path) -> object:
        decoded.append(source)
        return decode(self, source)

    monkeypatch.setattr(Pictures, "_decode", counted)
    monkeypatch.setattr(execution, "run_here", run_units)
    evaluate([checkpoints], dataset=data, device="cpu", out=tmp_path / "run")
    assert len(list((tmp_path / "run" / "parts").iterdir())) == 4  # one for each network
    assert len(decoded) == len(set(decoded)) == 20 * 2 * 2


@pytest.mark.parametrize("layout", ["folders", "npy"])
def test_stored_images_are_found_from_a_different_folder(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a process on Ray's nodes, if the path was relative."""
    digits = load_dataset("digits").subset(12)
    made = Generation(digits, get_suite("light").with_severities([3]), layout=layout)
    generate(made, tmp_path / "digits-c")
    monkeypatch.chdir(tmp_path)
    cell = stored(pair_corrupted(digits, "digits-c")).cells[1].of(digits.ids[3:9])
    expected = cell.apply(digits.images[3:5], ids=digits.ids[3:5], seed=0)
    sent = pickle.dumps(cell)
    monkeypatch.chdir("/")
    found = pickle.loads(sent).apply(digits.images[3:5], ids=digits.ids[3:5], seed=0)
    assert torch.equal(found, expected)


def test_images_without_labels_are_generated_and_paired(tmp_path: Path) -> None:
    write_imagenet(tmp_path)
    for path in list((tmp_path / "val").glob("*/*")):
        path.rename(tmp_path / path.name)
    shutil.rmtree(tmp_path / "val")
    data = load_dataset(f"folder:{tmp_path}", view=View(32, 32))
    suite = get_suite("light").with_severities([3])
    folder = generate(Generation(data, suite, layout="folders"), tmp_path.parent / "photos-c")
    assert (folder / "contrast" / "3" / "unlabelled" / "ILSVRC2012_val_00000007.png").is_file()
    cell = stored(pair_corrupted(data, folder)).cells[1]
    assert cell.corruption == "contrast"
    expected = suite.cells[1].apply(data.images, ids=data.ids, seed=0)
    assert torch.equal(cell.apply(data.images, ids=data.ids, seed=0), expected)


@pytest.fixture
def imagenet_c(tmp_path: Path) -> Path:
    write_imagenet_c(write_imagenet(tmp_path), "ImageNet-C", groups=False)
    return tmp_path


def remove(root: Path) -> None:
    next((root / "ImageNet-C" / "fog" / "2" / "n02123045").iterdir()).unlink()


def move(root: Path) -> None:
    home = root / "ImageNet-C" / "fog" / "2"
    next((home / "n02123045").iterdir()).rename(home / "n01440764" / "ILSVRC2012_val_00000099.JPEG")


def double(root: Path) -> None:
    home = root / "ImageNet-C" / "fog" / "2" / "n02123045"
    shutil.copy(next(home.iterdir()), home / "copy_00000017.JPEG")


LOST = "fog/2: expected a picture for each of the 6 images .* found 5, missing n02123045/ILSVRC"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove, LOST),
        (move, LOST),
        (double, "one of them is there twice"),
        (lambda root: shutil.rmtree(root / "ImageNet-C"), "expected a folder of corrupted images"),
    ],
)
def test_what_does_not_pair_is_refused(
    spoil: Callable[[Path], object], message: str, imagenet_c: Path
) -> None:
    spoil(imagenet_c)
    with pytest.raises(InputError, match=message):
        load_dataset(f"imagenet-c:{imagenet_c}")


def test_stored_pictures_are_not_resized_unless_asked(imagenet_c: Path) -> None:
    view = View(resize=80, crop=64)
    data = load_dataset(f"imagenet-c:{imagenet_c}", view=view)
    cell = stored(data).cells[0]
    with pytest.raises(
        InputError, match=r"has 224 x 224 pixels, the clean images have 64 x 64; .* --resize-corrupted"
    ):
        cell.apply(data.images, ids=data.ids, seed=0)
    asked = load_dataset(f"imagenet-c:{imagenet_c}", view=view, resize_corrupted=True)
    found = stored(asked).cells[0].apply(asked.images, ids=asked.ids, seed=0)
    assert found.shape == (6, 3, 64, 64)
    arrays = pair_corrupted(load_dataset("digits").subset(9), make_arrays(imagenet_c))
    with pytest.raises(InputError, match="--resize-corrupted does not apply to arrays"):
        arrays.with_view(view, corrupted=True)


def make_arrays(root: Path) -> Path:
    return generate(Generation(load_dataset("digits").subset(9), get_suite("light")), root / "arrays")


def test_an_unreadable_stored_picture_takes_its_image_out_everywhere(
    imagenet_c: Path, tmp_path: Path
) -> None:
    bad = next((imagenet_c / "ImageNet-C" / "fog" / "2" / "n02123045").iterdir())
    bad.write_bytes(bad.read_bytes()[:500])
    data = load_dataset(f"imagenet-c:{imagenet_c}")
    cell = next(cell for cell in stored(data).cells if (cell.corruption, cell.severity) == ("fog", 2))
    with pytest.raises(InputError, match=f"1 of 6 images cannot be read: {bad}"):
        cell.apply(data.images, ids=data.ids, seed=0)
    kept = data.readable()
    assert kept.unreadable == (str(bad),)
    assert len(kept) == 5
    assert int(bad.stem[-8:]) not in kept.ids.tolist()
    assert cell.apply(kept.images, ids=kept.ids, seed=0).shape == (5, 3, 224, 224)


def test_hash_sees_names_sizes_and_the_cells_chosen(imagenet_c: Path) -> None:
    def found() -> str:
        return stored(load_dataset(f"imagenet-c:{imagenet_c}")).hash

    first = found()
    assert found() == first
    some = next((imagenet_c / "ImageNet-C" / "fog" / "2" / "n02123045").iterdir())
    content = bytearray(some.read_bytes())
    content[-3] ^= 1  # of the same size
    some.write_bytes(content)
    assert found() != first
    suite = stored(load_dataset(f"imagenet-c:{imagenet_c}"))
    assert suite.with_severities([1]).hash != suite.hash


def test_cells_share_the_names_of_their_files(imagenet_c: Path) -> None:
    """A published set has millions of files: their names are held once."""
    cells = stored(load_dataset(f"imagenet-c:{imagenet_c}")).cells
    names = {id(cell.images.sources.names) for cell in cells if isinstance(cell.images, Pictures)}  # type: ignore[union-attr]
    assert len(names) == 1


def folders(root: Path) -> Path:
    """Write digits with two corruptions at two severities as folders."""
    suite = get_suite("light").with_severities([1, 2])
    return generate(Generation(load_dataset("digits").subset(8), suite, layout="folders"), root / "digits-c")


def twice(folder: Path) -> None:
    shutil.copytree(folder / "contrast", folder / "noise" / "contrast")


def unfinished(folder: Path) -> None:
    shutil.rmtree(folder / "contrast")


def half(folder: Path) -> None:
    shutil.rmtree(folder / "contrast" / "2")


def clean(folder: Path) -> None:
    shutil.copytree(folder / "contrast", folder / "clean")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (twice, "contrast at severity 1 is there twice"),
        (unfinished, "contrast is unfinished; run `actrobust generate` again"),
        (half, "contrast has no severity 2, but others do"),
        (clean, "the name 'clean' is reserved"),
    ],
)
def test_folders_that_are_not_a_grid_are_refused(
    spoil: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    folder = folders(tmp_path)
    data = load_dataset("digits").subset(8)
    assert len(stored(pair_corrupted(data, folder)).cells) == 4
    spoil(folder)
    with pytest.raises(InputError, match=message):
        pair_corrupted(data, folder)


def test_severities_named_twice_are_refused(tmp_path: Path) -> None:
    folder = generate(
        Generation(load_dataset("digits").subset(9), get_suite("light").with_severities([1, 2])),
        tmp_path / "c",
    )
    manifest = folder / "generated.json"
    manifest.write_text(manifest.read_text().replace("1.0,\n   2.0", "1.0,\n   1.0"))
    with pytest.raises(InputError, match="brightness at severity 1 is there twice"):
        pair_corrupted(load_dataset("digits").subset(9), folder)


def test_images_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    for name in ("p.png", "p.bmp", "q.png"):
        picture(1, 16, 16).save(tmp_path / name)
    data = load_dataset(f"folder:{tmp_path}")
    with pytest.raises(InputError, match="two images are called unlabelled/p"):
        Generation(data, get_suite("light"), layout="folders")


def test_arrays_need_no_labels_where_there_are_none(tmp_path: Path) -> None:
    digits = load_dataset("digits").subset(9)
    folder = generate(Generation(digits, get_suite("light")), tmp_path / "c")
    (folder / "labels.npy").unlink()
    assert pair_corrupted(replace(digits, labels=None, classes=()), folder).stored is not None
