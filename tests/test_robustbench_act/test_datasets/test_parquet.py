"""Parquet files: as `datasets` and pandas write them, and those that are refused."""

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torch import Tensor

from robustbench_act.datasets import Pictures, load_dataset
from robustbench_act.errors import InputError
from tests.references.archives import table
from tests.references.layouts import picture
from tests.test_robustbench_act.test_fuzz import saved

PICTURES = [saved(picture(seed, 9, 7), "PNG") for seed in range(6)]
CLASSES = {"bee": PICTURES[:3], "ant": PICTURES[3:]}
BYTES, LABELS = pa.array(PICTURES), pa.array([0, 0, 0, 1, 1, 1])
GOOD = table(CLASSES)


def written(content: pa.Table | dict[str, Any], folder: Path, **options: Any) -> str:
    """Write a file; return its data set."""
    made = content if isinstance(content, pa.Table) else pa.table(content)
    pq.write_table(made, folder / "x.parquet", **options)
    return f"parquet:{folder / 'x.parquet'}"


@pytest.mark.slow
def test_as_datasets_writes_it(tmp_path: Path) -> None:
    """The library itself is the oracle: pictures, labels and names of classes."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"img": datasets.Image(), "fine": datasets.ClassLabel(names=["z", "a"])})
    datasets.disable_progress_bars()
    rows = [
        {"img": {"bytes": content, "path": None}, "fine": number % 2}
        for number, content in enumerate(PICTURES)
    ]
    theirs = datasets.Dataset.from_list(rows, features=features)
    theirs.to_parquet(str(tmp_path / "x.parquet"))
    data = load_dataset(f"parquet:{tmp_path}")
    assert data.classes == tuple(theirs.features["fine"].names)
    assert data.known_labels.tolist() == theirs["fine"][:]
    for image, wanted in zip(data.images, theirs["img"], strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(wanted))


COLUMNS: dict[str, dict[str, Any]] = {
    "plain bytes": {"jpg": BYTES, "cls": LABELS},
    "large": {"image": BYTES.cast(pa.large_binary()), "label": LABELS.cast(pa.uint8())},
    "any name of the pictures": {"scan": BYTES, "Target": LABELS},
    "two columns of bytes": {"mask": BYTES, "image": BYTES, "label": LABELS},
    "coarse and fine": {"img": BYTES, "coarse_label": pa.array([1] * 6), "fine_label": LABELS},
    "numbers in a dictionary": {"image": BYTES, "label": LABELS.dictionary_encode()},
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns(name: str, tmp_path: Path) -> None:
    data = load_dataset(written(COLUMNS[name], tmp_path))
    assert data.known_labels.tolist() == LABELS.to_pylist()
    assert data.classes == ("0", "1")
    assert data.open_ended
    with Image.open(io.BytesIO(PICTURES[4])) as wanted:
        assert np.array_equal(data.images[4].permute(1, 2, 0).numpy(), np.asarray(wanted))


def test_names_as_labels_count_in_string_order(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": PICTURES, "label": pd.Categorical(["10", "9", "10", "9", "1", "9"])})
    frame.iloc[::-1].to_parquet(tmp_path / "x.parquet")
    data = load_dataset(f"parquet:{tmp_path}")
    assert data.classes == ("1", "10", "9")
    assert data.known_labels.tolist() == [2, 0, 2, 1, 2, 1]
    assert data.class_order == "string"
    assert "in natural order (1, 9, ...)" in data.order_doubt
    natural = load_dataset(f"parquet:{tmp_path}", class_order="natural")
    assert natural.known_labels.tolist() == [1, 0, 1, 2, 1, 2]


def test_a_test_part_has_the_classes_of_the_training_part(tmp_path: Path) -> None:
    for part, names in (("train", list("abcabc")), ("test", list("cccccc"))):
        pq.write_table(pa.table({"image": BYTES, "label": names}), tmp_path / f"{part}.parquet")
    data = load_dataset(f"parquet:{tmp_path}")
    assert data.classes == ("a", "b", "c")
    assert data.known_labels.tolist() == [2] * 6
    pq.write_table(pa.table({"image": BYTES, "label": list("cccccd")}), tmp_path / "test.parquet")
    with pytest.raises(
        InputError, match=r"test\.parquet: expected a class of the training part, which lacks 'd'"
    ):
        load_dataset(f"parquet:{tmp_path}")


def test_without_labels(tmp_path: Path) -> None:
    data = load_dataset(written({"image": BYTES, "caption": ["a"] * 6}, tmp_path))
    assert data.labels is None
    assert len(data) == 6
    pd.DataFrame({"image": PICTURES}, index=[5, 3, 4, 2, 1, 0]).to_parquet(tmp_path / "x.parquet")
    assert load_dataset(f"parquet:{tmp_path}").labels is None  # the index is no label


@pytest.mark.parametrize(
    "options", [{}, {"row_group_size": 2}, {"compression": "zstd", "use_dictionary": False}]
)
def test_any_order_of_rows(options: dict[str, Any], tmp_path: Path) -> None:
    """Forwards and backwards, whatever the groups of rows; more rows than are kept."""
    many = [b"%d" % number * 1000 for number in range(700)]
    data = load_dataset(written({"image": pa.array(many)}, tmp_path, **options))
    assert isinstance(data.pixels, Pictures)
    sources = data.pixels.sources
    assert not isinstance(sources, Tensor)
    order = [*range(0, 700, 7), *reversed(range(700)), 699, 0, 350]
    assert all(sources[row].read_bytes() == many[row] for row in order)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    before = load_dataset(written(GOOD, tmp_path))
    first = before.images
    after = load_dataset(written(GOOD.take([5, 4, 3, 2, 1, 0]), tmp_path))
    assert (after.images == first.flip(0)).all()


def renamed(**columns: Any) -> pa.Table:
    return pa.table({"image": BYTES, **columns})


def labelled(labels: Any) -> pa.Table:
    return renamed(label=labels)


WITHOUT_BYTES = GOOD.set_column(0, "image", pa.array([{"path": "a.png"}] * 6))
REFUSED: dict[str, tuple[pa.Table, str]] = {
    "no pictures": (pa.table({"text": ["a"], "label": [1]}), "columns are text (string), label (int64)."),
    "paths": (WITHOUT_BYTES, "found none; the columns are image (struct<path: string>), label (int64)"),
    "structs in structs": (
        pa.table({"image": [{"bytes": {"bytes": content}} for content in PICTURES]}),
        "found none; the columns are image (struct<bytes: struct<bytes: binary>>)",
    ),
    "two of pictures": (
        pa.table({"a": BYTES, "b": BYTES}),
        "found a, b; the columns are a (binary), b (binary)",
    ),
    "two of labels": (
        renamed(label=LABELS, target=LABELS),
        "found label, target; the columns are image (binary)",
    ),
    "unknown numbers": (renamed(kind=LABELS), "found none; the columns are image (binary), kind (int64)."),
    "a null label": (
        labelled([0, 1, None, 0, 1, 1]),
        "row 2: expected a label in the column label, got null",
    ),
    "a negative label": (labelled([0, 1, 0, -1, 1, 1]), "column label: expected labels from 0 up, got -1"),
    "a huge label": (labelled(pa.array([2**64 - 1] * 6, pa.uint64())), "column label: expected labels"),
    "fractions": (labelled([0.5] * 6), "expected whole numbers or names in the column label, got double"),
    "several labels": (labelled([[1, 2]] * 6), "names in the column label, got list<"),
    "a class too many": (
        GOOD.set_column(1, "label", pa.array([0, 1, 2, 1, 1, 1])),
        "row 2: expected a label below 2, the classes in the file's metadata, got 2",
    ),
    "no rows": (GOOD[:0], "expected pictures, found none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_are_refused(name: str, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    spec = written(content, tmp_path)
    with pytest.raises(InputError) as caught:
        load_dataset(spec)
    assert str(caught.value).startswith(f"{tmp_path / 'x.parquet'}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    for second, message in (
        (renamed(), r"y\.parquet: expected numbers as labels, as in .*x\.parquet, got no labels"),
        (labelled(list("ababab")), "got names as labels"),
        (
            labelled(LABELS),
            r"expected the 2 classes of .*x\.parquet, in their order, got different ones \(0\)",
        ),
    ):
        written(GOOD, tmp_path)
        pq.write_table(second, tmp_path / "y.parquet")
        with pytest.raises(InputError, match=message):
            load_dataset(f"parquet:{tmp_path}")


NOT_WHOLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda content: content[:-20], "magic bytes"),
    "a page": (lambda content: b"<html>", "it is a web page: download the file itself"),
    "empty": (lambda content: b"", "it is an empty file: copy or download it again"),
    "a pointer": (lambda content: b"version https://git-lfs.github.com/spec/v1\n", "it is a Git-LFS pointer"),
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_files_that_are_not_whole(name: str, tmp_path: Path) -> None:
    change, message = NOT_WHOLE[name]
    path = tmp_path / "x.parquet"
    spec = written(GOOD, tmp_path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=rf"x\.parquet: not a complete Parquet file \(.*{message}"):
        load_dataset(spec)


def test_null_pictures_and_damaged_pages_are_unreadable_pictures(tmp_path: Path) -> None:
    """Those in sound groups of rows stay."""
    content = [*PICTURES[:3], None, *PICTURES[4:]]
    spec = written({"image": content, "label": LABELS}, tmp_path, row_group_size=2, compression="zstd")
    path = tmp_path / "x.parquet"
    whole = path.read_bytes()
    place = whole.index(b"\x28\xb5\x2f\xfd")  # the first page's
    path.write_bytes(whole[:place] + b"damage" + whole[place + 6 :])
    data = load_dataset(spec)
    with pytest.raises(
        InputError, match=r"3 of 6 .* row 0 \(.* row 1 \(.* row 3 \(null in place of a picture\)"
    ):
        data.check()
    assert data.readable().ids.tolist() == [2, 4, 5]


class _Loud:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/executed-by-a-test"),))


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    """A pickled type of pyarrow's extension types in the schema, and code in the metadata."""
    kind = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Loud()),
    }
    fields = [pa.field("image", pa.binary(), metadata=kind), pa.field("label", pa.int64(), metadata=kind)]
    loud = {"huggingface": "__import__('os').abort()", "pandas": "__import__('os').abort()"}
    schema = pa.schema(fields, metadata=loud)
    data = load_dataset(written(pa.table([BYTES, LABELS], schema=schema), tmp_path))
    assert len(data.images) == 6
    assert not Path("/tmp/executed-by-a-test").exists()


def test_more_rows_than_bytes_is_a_bomb(tmp_path: Path) -> None:
    """A million nulls take no bytes."""
    spec = written({"image": pa.nulls(1_000_000, pa.binary())}, tmp_path)
    with pytest.raises(InputError, match=r"not a complete Parquet file \(1,000,000 rows of"):
        load_dataset(spec)


def test_names_that_are_no_names_are_left_out(tmp_path: Path) -> None:
    for text in ("[" * 100_000, "{}", "[]", '{"info": {"features": {"label": 3}}}', json.dumps({"info": []})):
        content = labelled(LABELS).replace_schema_metadata({"huggingface": text})
        assert load_dataset(written(content, tmp_path)).classes == ("0", "1")
