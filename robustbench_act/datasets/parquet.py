"""Parquet files with columns of encoded pictures and of labels, as Hugging Face `datasets` writes them.

A picture is a struct {bytes, path} or plain bytes; the names of classes are in the metadata of the schema, as
the feature ClassLabel (https://huggingface.co/docs/datasets/image_dataset).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robustbench_act.datasets.arrays import as_labels
from robustbench_act.datasets.dataset import Dataset
from robustbench_act.datasets.request import Request
from robustbench_act.datasets.rows import BYTES, Row, opened
from robustbench_act.datasets.shards import Shard, load_shards
from robustbench_act.errors import InputError
from robustbench_act.file_kinds import PARQUET, why_unreadable
from robustbench_act.zip_guard import is_bomb

_PICTURES = ("image", "img", "jpg", "jpeg", "png", "webp", "picture")
_LABELS = ("label", "labels", "cls", "class", "target", "fine_label")
_INDEX = "__index_level_"  # of a pandas frame
_AT_ONCE = 1024  # labels
_LARGEST = 2**63 - 1  # torch does not take what is larger
_SHOWN = 300  # characters of a list of columns


def load_parquet(request: Request) -> Dataset:
    """Load a Parquet file, those in a folder, or those that a pattern matches; see `load_shards`."""
    return load_shards(request, "parquet", read_table)


def read_table(file: Path) -> Shard:
    """List the rows of a Parquet file: labels are read, pictures are not.

    An InputError if it is not a Parquet file, its columns do not tell pictures and labels, or a label is
    missing or is neither a number from 0 up nor a name.
    """
    try:
        with opened(file) as table:
            schema, count, size = table.schema_arrow, table.metadata.num_rows, file.stat().st_size
            unpacked = sum(
                table.metadata.row_group(place).total_byte_size for place in range(table.num_row_groups)
            )
            if count > size or is_bomb(unpacked, size):
                raise ValueError(f"{count:,} rows of {unpacked:,} bytes, from {size:,}")
            picture, label = _columns(file, schema)
            values = None if label is None else list(_values(table, label))
    except InputError:
        raise
    except Exception as error:  # a damaged file makes its reader raise almost anything
        reason = why_unreadable(file, error, PARQUET)
        raise InputError(f"{file}: not a complete Parquet file ({reason}).") from error
    rows = [Row(file, picture, number) for number in range(count)]
    if label is None or not values:
        return Shard(file, rows, None)
    if None in values:
        raise InputError(f"{rows[values.index(None)]}: expected a label in the column {label}, got null.")
    if values and all(isinstance(value, str) for value in values):
        return Shard(file, rows, values)
    classes = _class_names(schema, label)
    numbers = np.array([min(value, _LARGEST) for value in values])
    labels = as_labels(numbers, count=count, where=f"{file}, column {label}")
    if classes and count and int(labels.max()) >= len(classes):
        row = int(labels.argmax())
        raise InputError(
            f"{rows[row]}: expected a label below {len(classes)}, the classes in the file's metadata, "
            f"got {int(labels[row])}."
        )
    return Shard(file, rows, labels, classes)


def _columns(file: Path, schema: pa.Schema) -> tuple[str, str | None]:
    """Return the column of pictures, by its path in the file, and that of labels; None without labels.

    What `datasets` declares comes first, then usual names; a lone column of bytes may have any name.
    """
    kinds = {name: str(feature.get("_type")) for name, feature in _features(schema).items()}
    types = dict(zip(schema.names, schema.types, strict=True))
    listed = ", ".join(f"{name} ({types[name]})" for name in types)[:_SHOWN]
    encoded = [name for name in types if _has_pictures(types[name])]
    pictures = [name for name in encoded if kinds.get(name) == "Image"] or encoded
    pictures = (_usual(pictures, _PICTURES) if len(pictures) > 1 else []) or pictures
    if len(pictures) != 1:
        raise InputError(
            f"{file}: expected one column of encoded pictures (bytes, or a struct with bytes; if there are "
            f"several, one called image), found {', '.join(pictures) or 'none'}; the columns are {listed}."
        )
    others = [name for name in types if name not in encoded and not name.startswith(_INDEX)]
    labels = [name for name in others if kinds.get(name) == "ClassLabel"]
    labels = (_usual(labels or others, _LABELS) if len(labels) != 1 else []) or labels
    numbers = [name for name in others if pa.types.is_integer(types[name])]
    if len(labels) > 1 or (numbers and not labels):
        raise InputError(
            f"{file}: expected one column of labels (called {', '.join(_LABELS)}), found "
            f"{', '.join(labels) or 'none'}; the columns are {listed}."
        )
    if labels and not _has_labels(types[labels[0]]):
        raise InputError(
            f"{file}: expected whole numbers or names in the column {labels[0]}, got {types[labels[0]]}."
        )
    path = f"{pictures[0]}.{BYTES}" if pa.types.is_struct(types[pictures[0]]) else pictures[0]
    return path, labels[0] if labels else None


def _usual(names: Sequence[str], usual: Sequence[str]) -> list[str]:
    return [name for name in names if name.lower() in usual]


def _has_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index(BYTES)
        kind = kind.field(place).type if place >= 0 else pa.null()
    return any(of(kind) for of in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _has_labels(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _has_labels(kind.value_type)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(of(kind) for of in (pa.types.is_integer, *texts))


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Return what `datasets` declares of the columns; nothing if it did not write the file."""
    try:
        declared = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {str(name): feature for name, feature in declared.items() if isinstance(feature, dict)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    names = _features(schema).get(column, {}).get("names")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _values(table: pq.ParquetFile, column: str) -> Iterator[Any]:
    """Yield the values of a column; equal texts are one object. A ValueError if their number is wrong."""
    texts: dict[str, str] = {}
    found = 0
    for portion in table.iter_batches(_AT_ONCE, columns=[column], use_threads=False):
        found += portion.num_rows
        for value in portion.column(0).to_pylist():
            yield texts.setdefault(value, value) if isinstance(value, str) else value
    if found != table.metadata.num_rows:
        raise ValueError(f"{found:,} labels for {table.metadata.num_rows:,} rows")
