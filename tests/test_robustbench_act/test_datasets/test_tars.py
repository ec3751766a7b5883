"""Tar archives: as WebDataset writes and reads them, and those that are refused."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from tests.references.archives import write_members
from tests.references.layouts import picture
from tests.test_robustbench_act.test_fuzz import saved

A, B, C = (saved(picture(seed, 9, 7), "PNG") for seed in range(3))
Members = Sequence[tuple[str, bytes]]


def written(members: Members, folder: Path) -> str:
    with (folder / "x.tar").open("wb") as file:
        write_members(file, members)
    return f"tar:{folder / 'x.tar'}"


THEIRS = """
import hashlib, json, sys
import webdataset
from tests.references.layouts import picture

with webdataset.ShardWriter(sys.argv[1] + "/train-%03d.tar", maxcount=4, verbose=0) as writer:
    for number in range(11):
        image = {"__key__": f"a/b.c/{number:05d}", "png": picture(number, 9, 7)}
        writer.write({**image, "cls": number % 3, "txt": "a caption"})
read = webdataset.WebDataset(sys.argv[1] + "/train-{000..002}.tar", shardshuffle=False).decode("rgb8")
for key, image, label in read.to_tuple("__key__", "png", "cls"):
    print(json.dumps([key, label, hashlib.sha256(image.tobytes()).hexdigest()]))
"""


@pytest.mark.slow
def test_as_webdataset_writes_and_reads_it(tmp_path: Path) -> None:
    """The library itself is the oracle: the order of shards and samples, pictures and labels."""
    pytest.importorskip("webdataset")
    command = [sys.executable, "-c", THEIRS, str(tmp_path)]  # of its own: it leaves files open
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = [json.loads(line) for line in found.splitlines()]
    data = load_dataset(f"tar:{tmp_path}/train-{{000..002}}.tar")
    pixels = [image.permute(1, 2, 0).numpy().tobytes() for image in data.images]
    ours = zip(data.names(), data.known_labels.tolist(), pixels, strict=True)
    assert [
        [f"a/b.c/{name}", label, hashlib.sha256(image).hexdigest()] for name, label, image in ours
    ] == theirs
    assert len(theirs) == 11


LABELLED: dict[str, tuple[Members, list[int], tuple[str, ...]]] = {
    "numbers": ([("0.png", A), ("0.cls", b"2\n"), ("1.PNG", B), ("1.cls", b"0")], [2, 0], ("0", "1", "2")),
    "the label first": ([("0.cls", b"1"), ("0.png", A), ("1.cls", b"0"), ("1.png", B)], [1, 0], ("0", "1")),
    "names": (
        [("0.png", A), ("0.cls", b"dog"), ("1.png", B), ("1.cls", "\ufeffcat".encode())],
        [1, 0],
        ("cat", "dog"),
    ),
    "records": (
        [("0.png", A), ("0.json", b'{"label": 1, "width": 9}'), ("1.png", B), ("1.json", b'{"cls": "0"}')],
        [1, 0],
        ("0", "1"),
    ),
    "other files": (
        [
            ("readme.md", b"x"),
            ("data", b"x"),
            ("__MACOSX/9.png", b"x"),
            ("k/0.png", A),
            ("k/0.seg.png", B),
            ("k/0.cls", b"0"),
            ("k/0.txt", b"a dog"),
            ("./k/1.png", B),
            ("./k/1.cls", b"0"),
        ],
        [0, 0],
        ("0",),
    ),
}


@pytest.mark.parametrize("name", LABELLED)
def test_labels(name: str, tmp_path: Path) -> None:
    members, labels, classes = LABELLED[name]
    data = load_dataset(written(members, tmp_path))
    assert data.known_labels.tolist() == labels
    assert data.classes == classes
    assert data.open_ended == all(label.isdigit() for label in classes)
    first = torch.from_numpy(np.array(picture(0, 9, 7))).permute(2, 0, 1)
    assert torch.equal(data.images[0], first)


def test_without_labels(tmp_path: Path) -> None:
    data = load_dataset(written([("k/0.png", A), ("k/0.txt", b"a dog"), ("k/1.png", B)], tmp_path))
    assert data.labels is None
    assert data.names() == ["0", "1"]


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names(kind: int, tmp_path: Path) -> None:
    name = "f/" * 60 + "é" * 60
    with tarfile.open(tmp_path / "x.tar", "w", format=kind) as archive:
        archive.addfile(tarfile.TarInfo("folder/"))
        for suffix, content in (("png", A), ("cls", b"0")):
            info = tarfile.TarInfo(f"{name}.{suffix}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    data = load_dataset(f"tar:{tmp_path / 'x.tar'}")
    assert data.names() == ["é" * 60]
    assert data.known_labels.tolist() == [0]


GOOD = [("0.png", A), ("0.cls", b"0"), ("1.png", B), ("1.cls", b"1")]
REFUSED: dict[str, tuple[Members, str]] = {
    "a picture without a label": (
        [*GOOD, ("2.png", C)],
        ": 2.png: expected a label in KEY.cls or KEY.json, found none",
    ),
    "a label without a picture": (
        [*GOOD, ("2.cls", b"0")],
        ": 2: expected a picture for this label, found none",
    ),
    "a record without a picture": (
        [*GOOD, ("2.json", b'{"label": 0}')],
        ": 2: expected a picture for this label",
    ),
    "a key again": (
        [*GOOD, ("0.jpg", C)],
        ": 0.jpg: expected the files of each key once, together; found it again",
    ),
    "a file again": ([*GOOD, ("1.cls", b"1")], ": 1.cls: expected the files of each key once, together"),
    "two pictures": ([*GOOD[:2], ("0.jpg", B)], ": 0: expected one picture, found 2"),
    "a number and a name": (
        [*GOOD, ("2.png", C), ("2.cls", b"dog")],
        ": 2.png: expected a label like 0, the first one",
    ),
    "a negative label": ([("0.png", A), ("0.cls", b"-1")], ": expected labels from 0 up, got -1"),
    "an empty label": (
        [("0.png", A), ("0.cls", b" ")],
        ": 0.cls: expected a whole number or the name of a class, got ''",
    ),
    "no text": ([("0.png", A), ("0.cls", b"\xff\xfe")], ": 0.cls: cannot be read as text"),
    "a long label": (
        [("0.png", A), ("0.cls", b"a" * 2000)],
        ": 0.cls: expected a whole number or the name of a class",
    ),
    "a file as label": (
        [("0.png", A), ("0.cls", bytes(2**20 + 1))],
        ": 0.cls: expected a label of a few bytes, got 1,048,577",
    ),
    "no record": ([("0.png", A), ("0.json", b"{")], ": 0.json: not a JSON record (Expecting property name"),
    "deep": ([("0.png", A), ("0.json", b"[" * 100_000)], ": 0.json: not a JSON record ("),
    "a fraction": (
        [("0.png", A), ("0.json", b'{"label": 0.5}')],
        ": 0.json: expected a whole number or the name",
    ),
    "huge": (
        [("0.png", A), ("0.json", b'{"label": 1' + b"0" * 30 + b"}")],
        ": 0.json: expected a whole number",
    ),
    "true": ([("0.png", A), ("0.json", b'{"label": true}')], ": 0.json: expected a whole number"),
    "class folders": (
        [("a/0.png", A), ("b/0.png", B)],
        ": expected labels in KEY.cls or KEY.json, found folders of",
    ),
    "no pictures": ([("readme.md", b"x"), ("0.txt", b"x")], ": expected pictures, found none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_members_that_are_refused(name: str, tmp_path: Path) -> None:
    members, message = REFUSED[name]
    spec = written(members, tmp_path)
    with pytest.raises(InputError) as caught:
        load_dataset(spec)
    assert str(caught.value).startswith(f"{tmp_path / 'x.tar'}{message}")
    assert "\n" not in str(caught.value)


def header(size: bytes = b"00000000010", kind: bytes = b"0") -> bytes:
    """Return the header of a file called 2.png."""
    fields = b"2.png".ljust(100, b"\0") + b"0000644\0" * 3 + size.ljust(12, b"\0") + b"0".ljust(12, b"\0")
    rest = kind + bytes(100) + b"ustar\x0000" + bytes(247)
    return fields + b"%06o\0 " % (sum(fields) + sum(rest) + 8 * 32) + rest


def pax(record: bytes) -> bytes:
    """Return a header of a POSIX record, and what it precedes."""
    return header(b"%011o" % len(record), b"x") + record.ljust(512, b"\0") + header()


END = 2 * 4 * 512  # where the members of GOOD end: each is a header and a block
NOT_WHOLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut in a picture": (
        lambda content: content[: END - 2 * 1024 + 520],
        "0.cls (unexpected end of data",
    ),
    "cut in a header": (lambda content: content[: END - 1000], "1.png (no end of the archive"),
    "cut between": (lambda content: content[: END - 1024], "1.png (no end of the archive"),
    "cut at the end": (lambda content: content[:END], "1.cls (no end of the archive"),
    "damaged": (lambda content: content[:2050] + b"?" + content[2051:], "0.cls (no end of the archive"),
    "joined": (lambda content: content + content, "1.cls (more after the end of the archive"),
    "a link": (
        lambda content: content[:END] + header(b"0", b"2") + bytes(1024),
        "1.cls (2.png is a link",
    ),
    "backwards": (
        lambda content: content[:END] + pax(b"15 size=-5000\n") + bytes(1024),
        "1.cls (a file of a",
    ),
    "a huge header": (
        lambda content: content[:END] + header(b"%011o" % 2**31, b"x") + bytes(1024),
        "1.cls (a header of 2,147,483,648 bytes",
    ),
    "a huge file": (
        lambda content: content[:END] + header(b"7" * 11) + bytes(1024),
        "1.cls (unexpected end",
    ),
    "compressed": (
        lambda content: b"\x1f\x8b\x08" + bytes(100),
        "its beginning (it is a gzip archive: unpack it",
    ),
    "empty": (lambda content: b"", "its beginning (it is an empty file"),
    "a picture": (lambda content: A, "its beginning (it is a PNG picture"),
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_archives_that_are_not_whole(name: str, tmp_path: Path) -> None:
    """The last whole member is named."""
    change, message = NOT_WHOLE[name]
    path = tmp_path / "x.tar"
    spec = written(GOOD, tmp_path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError) as caught:
        load_dataset(spec)
    assert str(caught.value).startswith(f"{path}: not a whole tar archive after {message}")
    assert "\n" not in str(caught.value)


def test_shards_may_have_the_same_keys(tmp_path: Path) -> None:
    for name in ("0.tar", "1.tar"):
        written(GOOD, tmp_path)
        (tmp_path / "x.tar").rename(tmp_path / name)
    data = load_dataset(f"tar:{tmp_path}")
    assert data.known_labels.tolist() == [0, 1, 0, 1]
    assert str(data.pixels.sources[2]) == f"{tmp_path}/1.tar: 0.png"  # type: ignore[union-attr]
