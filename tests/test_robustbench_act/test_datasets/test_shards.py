"""Class folders, their zip, their tar and their Parquet file give the same numbers."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import Result
from PIL import Image

from robustbench_act.datasets import Dataset, Pictures, hold_out, load_dataset, shared_images
from robustbench_act.datasets.layouts import stored_names
from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate
from robustbench_act.view import View
from tests.references.archives import ARCHIVES, Classes, write_folder, write_parquet, write_tar
from tests.references.layouts import picture
from tests.test_robustbench_act.test_fuzz import saved

CLASSES = {
    name: [saved(picture(10 * place + number, 17 + number % 2, 11), "JPEG") for number in range(5)]
    for place, name in enumerate(("ant", "bee", "cow"))
}
VIEW = View(resize=11, crop=11)


def write(root: Path, classes: Classes = CLASSES) -> dict[str, str]:
    """Write a set in all forms; return each form's data set."""
    write_folder(root / "photos", classes)
    for kind, write_archive in ARCHIVES.items():
        with (root / f"photos.{kind}").open("wb") as file:
            write_archive(file, classes)
    return {"folder": f"folder:{root}/photos", **{kind: f"{kind}:{root}/photos.{kind}" for kind in ARCHIVES}}


def same(one: Dataset, other: Dataset) -> bool:
    return one.digest == other.digest and torch.equal(one.images, other.images)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_every_form_of_a_set_shows_the_same(kind: str, tmp_path: Path) -> None:
    specs = write(tmp_path)
    folder, data = (load_dataset(specs[name], view=VIEW) for name in ("folder", kind))
    assert same(folder, data)
    assert data.known_labels.tolist() == folder.known_labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert data.classes == (("0", "1", "2") if kind == "tar" else ("ant", "bee", "cow"))
    assert data.open_ended == (kind == "tar")
    assert data.name == "photos"
    some = torch.tensor([13, 2, 7])
    assert torch.equal(data[some].images, folder.images[some])
    assert same(data.subset(4), folder.subset(4))
    assert same(pickle.loads(pickle.dumps(data[4:9])), folder[4:9])
    many = load_dataset(specs[kind], view=VIEW, workers=7)
    assert same(many, folder)
    assert len(set(stored_names(data))) == len(data)
    assert shared_images(folder, data) == list(map(str, data.pixels.sources))  # type: ignore[union-attr]
    assert shared_images(*hold_out(data)) == []


@pytest.mark.parametrize("kind", ARCHIVES)
def test_what_cannot_be_read_is_left_out_as_from_a_folder(kind: str, tmp_path: Path) -> None:
    classes = {**CLASSES, "bee": [*CLASSES["bee"][:3], b"no picture", CLASSES["bee"][4]]}
    specs = write(tmp_path, classes)
    folder, data = (load_dataset(specs[name], view=VIEW) for name in ("folder", kind))
    where = {
        "parquet": "photos.parquet row 8",
        "tar": "photos.tar: 000008.jpg",
        "zip": "photos.zip: photos/bee/3.jpg",
    }
    with pytest.raises(
        InputError, match=rf"1 of 15 images cannot be read: \S*{where[kind]} \(it is a text that"
    ):
        data.check()
    assert data.readable().unreadable == (f"{tmp_path}/{where[kind]}",)
    assert same(data.readable(), folder.readable())


def test_cells_are_the_same(checkpoints: Path, tmp_path: Path) -> None:
    digits = load_dataset("digits").subset(20)
    encoded: dict[str, list[bytes]] = {str(label): [] for label in range(10)}
    for image, label in zip(digits.images, digits.known_labels.tolist(), strict=True):
        encoded[str(label)].append(saved(Image.fromarray(image[0].numpy()), "PNG"))
    asked: dict[str, Any] = {"suites": ["brightness"], "severities": [2], "device": "cpu", "probes": False}
    specs = write(tmp_path, encoded)
    folder, *others = (
        evaluate(
            checkpoints / "relu_1.safetensors", dataset=spec, limit=15, out=tmp_path / name, **asked
        ).cells
        for name, spec in specs.items()
    )
    assert len(folder) == 2
    for cells in others:
        pd.testing.assert_frame_equal(cells, folder)


def write_parts(root: Path, write_archive: Callable[..., None], kind: str, *parts: str) -> None:
    root.mkdir(parents=True)
    for part in parts:
        (root / f"{part}.{kind}").parent.mkdir(exist_ok=True)
        with (root / f"{part}.{kind}").open("wb") as file:
            write_archive(file, {name: own[: 1 + len(part)] for name, own in CLASSES.items()})


WRITERS = {"parquet": write_parquet, "tar": write_tar}


@pytest.mark.parametrize("kind", WRITERS)
def test_files_of_a_set(kind: str, tmp_path: Path) -> None:
    """A folder with parts, a pattern, braces: which files, and in which order."""
    root = tmp_path / "set"
    parts = ("train-00", "train-01", "my-val_00", "test/00")
    write_parts(root, WRITERS[kind], kind, *parts)

    def files(spec: str, *, train: bool = False) -> list[str]:
        data = load_dataset(f"{kind}:{spec}", train=train)
        assert isinstance(data.pixels, Pictures)
        found = [re.sub(r"(\.\w+)[ :].*", r"\1", str(source)) for source in data.pixels.sources]
        return [str(Path(file).relative_to(root).with_suffix("")) for file in dict.fromkeys(found)]

    assert files(f"{root}") == ["test/00"]
    assert files(f"{root}", train=True) == ["train-00", "train-01"]
    assert files(f"{root}/train*", train=True) == files(f"{root}/train*") == ["train-00", "train-01"]
    assert files(f"{root}/{{my-val_00,train-01}}.{kind}") == ["my-val_00", "train-01"]
    assert files(f"{root}/train-{{00..01}}.{kind}") == ["train-00", "train-01"]
    assert load_dataset(f"{kind}:{root}/train*").name == "set"
    (root / f"extra.{kind}").write_bytes((root / f"train-00.{kind}").read_bytes())
    with pytest.raises(InputError, match=rf"extra\.{kind}: expected the word train or test in its path"):
        load_dataset(f"{kind}:{root}")
    for file in ("extra", "test/00", "my-val_00"):
        (root / f"{file}.{kind}").unlink()
    with pytest.raises(
        InputError, match=rf"expected files of the part test, .* as in {kind}:{root}/\*\.{kind}\."
    ):
        load_dataset(f"{kind}:{root}")


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_no_files(kind: str, tmp_path: Path) -> None:
    for spec, message in (
        (kind, f"name the files as {kind}:FILES"),
        (f"{kind}:{tmp_path}", f"expected \\*.{kind} in this folder, found none"),
        (f"{kind}:{tmp_path}/x.{kind}", f"expected \\*.{kind} in a file, a folder or a pattern, found none"),
        (f"{kind}:{tmp_path}/**x", f"cannot be searched for \\*.{kind}"),
    ):
        with pytest.raises(InputError, match=message):
            load_dataset(spec)


def test_kinds_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which kind a file is, if it was given none or that of a folder."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    for kind in ARCHIVES:
        with pytest.raises(InputError, match=rf"put the kind first, as in {kind}:photos\.{kind}\."):
            load_dataset(f"photos.{kind}")
        with pytest.raises(
            InputError, match=rf"expected a folder, got a file; name it as {kind}:photos\.{kind}\."
        ):
            load_dataset(f"folder:photos.{kind}")


def test_at_the_command_line(actrobust: Callable[..., Result], checkpoints: Path, tmp_path: Path) -> None:
    """A damaged file is one line and exit code 2."""
    specs = write(tmp_path)
    for kind in ARCHIVES:
        path = tmp_path / f"photos.{kind}"
        path.write_bytes(path.read_bytes()[:1500])
        result = actrobust("evaluate", checkpoints, "--dataset", specs[kind], "--out", "x")
        assert result.exit_code == 2, result.output
        (line,) = result.stderr.strip().splitlines()
        assert str(path) in line
        assert not Path("x").exists()
