"""Damaged and hostile files: whatever stands in them, nothing but `InputError` escapes, and nothing runs."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from robustbench_act.checkpoints import Spec, load_checkpoint, save_checkpoint, wanted_view
from robustbench_act.datasets import load_dataset, pair_corrupted
from robustbench_act.datasets.pickles import read_pickle
from robustbench_act.datasets.pictures import Pictures
from robustbench_act.datasets.sources import Files
from robustbench_act.errors import InputError
from robustbench_act.manifest import read_manifest
from robustbench_act.models import build_model
from robustbench_act.texts import printable
from robustbench_act.view import View
from tests.references.archives import ARCHIVES
from tests.references.cifar import python_2_pickle
from tests.references.layouts import picture

NETWORK = "cifar:resnet8?width=1"
SPEC = Spec(NETWORK, "relu", 10, (1, 8, 8), (0.5,), (0.5,))
FLAGS: dict[str, Any] = {"classes": 10, "input_size": (1, 8, 8), "mean": (0.5,), "std": (0.5,)}
RANDOM = np.random.default_rng(0)
FUZZED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


def idx(path: Path) -> None:
    raw = path.parent / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    suffix = ".gz" if path.suffix == ".gz" else ""
    (raw / f"t10k-images-idx3-ubyte{suffix}").write_bytes(path.read_bytes())
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 3) + b"\1\2\3")
    load_dataset(f"mnist:{path.parent}")


def binary(path: Path) -> None:
    (path.parent / "test_batch.bin").write_bytes(path.read_bytes())
    load_dataset(f"cifar-10:{path.parent}")


def ground_truth(path: Path) -> None:
    (path.parent / "val").mkdir(exist_ok=True)
    (path.parent / "val" / "ILSVRC2012_val_00000001.JPEG").touch()
    (path.parent / "val.txt").write_bytes(path.read_bytes())
    load_dataset(f"imagenet:{path.parent}")


def pictures(path: Path) -> None:
    data = Pictures(Files(path.parent, [path.name]), View(crop=8))
    data.check()
    data.read()


def checkpoint(path: Path) -> None:
    load_checkpoint(path, NETWORK, **FLAGS)


def safetensors(path: Path) -> None:
    wanted_view(path)
    load_checkpoint(path)


def annotations(path: Path) -> None:
    home = path.parent / "tiny-imagenet-200"
    (home / "val" / "images").mkdir(parents=True, exist_ok=True)
    (home / "val" / "images" / "val_0.JPEG").touch()
    (home / "wnids.txt").write_text("n01\nn02\n")
    (home / "val" / "val_annotations.txt").write_bytes(path.read_bytes())
    load_dataset(f"tiny-imagenet:{path.parent}")


def generated(path: Path) -> None:
    folder = path.parent / "c"
    folder.mkdir(exist_ok=True)
    np.save(folder / "fog.npy", np.zeros((720, 8, 8, 1), np.uint8))
    np.save(folder / "labels.npy", np.zeros(720, np.int64))
    (folder / "generated.json").write_bytes(path.read_bytes())
    pair_corrupted(load_dataset("digits"), folder)


def npy(path: Path) -> None:
    (path.parent / "images.npy").write_bytes(path.read_bytes())
    load_dataset(f"npy:{path.parent}")


def labelled_pictures(path: Path) -> None:
    data = load_dataset(f"{path.suffix[1:]}:{path}", view=View(crop=8))
    _ = data.readable().images


READERS: dict[str, Callable[[Path], object]] = {
    "x.safetensors": safetensors,
    "x.pth": checkpoint,
    "legacy.pth": checkpoint,
    "x.toml": read_manifest,
    "x.npz": lambda path: load_dataset(f"npz:{path}"),
    "x.npy": npy,
    "x.idx": idx,
    "x.idx.gz": idx,
    "x.bin": binary,
    "x.list": ground_truth,
    "x.pickle": read_pickle,
    "x.png": pictures,
    "x.jpg": pictures,
    "x.tif": pictures,
    "x.webp": pictures,
    "x.bmp": pictures,
    "x.txt": annotations,
    "x.json": generated,
    "x.parquet": labelled_pictures,
    "x.tar": labelled_pictures,
    "x.zip": labelled_pictures,
}


def stored(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


KINDS = {"png": "png", "jpg": "jpeg", "tif": "tiff", "webp": "webp", "bmp": "bmp"}


def saved(image: Image.Image, kind: str) -> bytes:
    return stored(lambda file: image.save(file, format=kind))


CLASSES = {name: [saved(picture(seed, 8, 8), "png") for seed in range(3)] for name in ("ant", "bee")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return a good file of each kind."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(NETWORK, channels=1)
    path = tmp_path_factory.mktemp("corpus") / "x.safetensors"
    save_checkpoint(path, model, SPEC)
    state = model.state_dict()
    images = RANDOM.integers(256, size=(3, 8, 8), dtype=np.uint8)
    batch = {"data": RANDOM.integers(256, size=(2, 12), dtype=np.uint8), "labels": [1, 2]}
    image = picture(1, 24, 20)
    return {
        "x.safetensors": path.read_bytes(),
        "x.pth": stored(lambda file: torch.save({"state_dict": state, "epoch": 3}, file)),
        "legacy.pth": stored(lambda file: torch.save(state, file, _use_new_zipfile_serialization=False)),
        "x.toml": b'dataset = "digits"\nlimit = 3\n[spec]\nmean = [0.5]\n[[checkpoint]]\npath = "x.pt"\n',
        "x.npz": stored(lambda file: np.savez_compressed(file, images=images, labels=np.arange(3))),
        "x.npy": stored(lambda file: np.save(file, images)),
        "x.idx": b"\0\0\x08\x03" + struct.pack(">III", 3, 28, 28) + bytes(3 * 784),
        "x.idx.gz": gzip.compress(b"\0\0\x08\x03" + struct.pack(">III", 3, 28, 28) + bytes(3 * 784)),
        "x.bin": bytes(2 * 3073),
        "x.list": b"ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n",
        "x.pickle": python_2_pickle(batch),
        "x.txt": b"val_0.JPEG\tn02\t0\t0\t63\t63\n",
        "x.json": json.dumps({"suite": {"severities": [1, 2]}}).encode(),
        **{f"x.{suffix}": saved(image, kind) for suffix, kind in KINDS.items()},
        **{f"x.{kind}": stored(partial(write, classes=CLASSES)) for kind, write in ARCHIVES.items()},
    }


def only_input_errors(name: str, content: bytes, folder: Path) -> None:
    path = folder / name
    path.write_bytes(content)
    try:
        READERS[name](path)
    except InputError as error:
        assert len(str(error)) < 2000  # noqa: PT017
        assert printable(" ".join(str(error).split())).isprintable()  # noqa: PT017


@pytest.mark.parametrize("name", READERS)
def test_the_corpus_is_good(name: str, corpus: dict[str, bytes], tmp_path: Path) -> None:
    """Or nothing below would be tested; the stored corrupted images stop at the labels, behind their JSON."""
    (tmp_path / name).write_bytes(corpus[name])
    if name == "x.json":
        with pytest.raises(InputError, match="labels do not pair"):
            READERS[name](tmp_path / name)
    else:
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
@FUZZED
@given(data=st.data())
def test_damaged_files(name: str, corpus: dict[str, bytes], tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed, cut out, put in and repeated, at places and with values that hypothesis chooses."""
    content = bytearray(corpus[name])
    for _ in range(data.draw(st.integers(1, 4))):
        # heads matter most: half of the places are there
        most = data.draw(st.sampled_from([min(len(content), 200), len(content)]))
        place = data.draw(st.integers(0, max(most - 1, 0)))
        new = data.draw(
            st.sampled_from([b"\0", b"\xff", b"\x7f\xff\xff\xff", b"9" * 30, b"(", b"["])
            | st.binary(max_size=8)
        )
        kept = data.draw(st.integers(0, 4))
        content[place : place + kept] = new
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    only_input_errors(name, bytes(content), tmp_path)


@pytest.mark.parametrize("name", READERS)
@FUZZED
@given(content=st.binary(max_size=300))
def test_any_bytes(name: str, content: bytes, tmp_path: Path) -> None:
    only_input_errors(name, content, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_every_byte_of_a_head(name: str, corpus: dict[str, bytes], tmp_path: Path) -> None:
    """Each of the first 400 bytes and of the last 200, with three masks; and the file cut there."""
    good = corpus[name]
    places = sorted({*range(min(400, len(good))), *range(max(len(good) - 200, 0), len(good))})
    for place in places:
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(good)
            changed[place] ^= mask
            only_input_errors(name, bytes(changed), tmp_path)
        only_input_errors(name, good[:place], tmp_path)


HEADS = {
    "x.safetensors": [struct.pack("<Q", size) + b"{" for size in (2**30, 2**62, 2**64 - 1, 10**8)],
    "x.npy": [
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**30) + b"{",
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 60)
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (3,)}".ljust(60),
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 80)
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999999999,)}".ljust(80),
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 80)
        + b"{'descr': __import__('os').system('false'), 'shape': (1,)}".ljust(80),
    ],
    "x.idx": [b"\0\0\x08\x03" + struct.pack(">III", 2**31, 2**31, 28), b"\0\0\x08\xff" + bytes(1020)],
    "x.json": [b"[" * 100_000, b'{"suite": {"severities": [1e999]}}', b'{"suite": {"severities": "nan"}}'],
    "x.toml": [b"a." * 5000 + b"b = 1", b"[[" * 10_000, b"a = " + b"{b = " * 5000],
    "x.pth": [b"PK\x05\x06" + bytes(18), b"\x80\x02}q\x00." + bytes(50)],
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_that_say_too_much(name: str, tmp_path: Path) -> None:
    """A gigabyte of header, more pixels than atoms, names of functions: an error, at once."""
    for content in HEADS[name]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            READERS[name](tmp_path / name)


def test_an_archive_with_paths_writes_nowhere(corpus: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "inner" / "x.pth"
    path.parent.mkdir()
    path.write_bytes(corpus["x.pth"])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../../escape", "x")
        archive.writestr("/tmp/escape-of-a-test", "x")
    before = sorted(tmp_path.rglob("*"))
    only_input_errors("x.pth", path.read_bytes(), path.parent)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/escape-of-a-test").exists()
