"""Pictures in the rows of Parquet files, read a few at a time, however many rows a group has."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from robustbench_act.errors import first_line

BYTES = "bytes"
"""The field of the pictures, if the column is a struct."""

_OPEN = 4  # columns that are open at a time
_LARGE = 2**24  # bytes of a group of rows
_BUFFER = 2**20  # bytes read at once
_PORTION = 2**22  # bytes of pictures decoded at once, about
_ROWS = 64  # of them at most: a dictionary makes many large pictures of few bytes
_KEPT = 4  # portions kept of a column: threads are at neighbouring rows


@dataclass(frozen=True, slots=True)
class Row:
    """The picture in one row of a Parquet file, counted from 0; see `datasets.sources.Source`."""

    file: Path
    column: str
    number: int

    def __str__(self) -> str:
        return f"{self.file} row {self.number}"

    @property
    def stem(self) -> str:
        """The file's name and the row."""
        return f"{self.file.stem}-{self.number:08d}"

    def read_bytes(self) -> bytes:
        """Return the encoded picture; an OSError if it is null, or the file is missing or damaged there."""
        status = self.file.stat()
        return _column(self.file, self.column, (status.st_mtime_ns, status.st_size)).read(self.number)


def opened(file: Path) -> pq.ParquetFile:
    """Open a Parquet file to read columns in portions; raises what its reader raises.

    Large groups of rows are read through a buffer, others whole: through a buffer, a damaged size of a page
    makes the reader fill up to 2 GiB with zeros.
    """
    metadata = pq.read_metadata(file)
    sizes = [metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups)]
    buffer = _BUFFER if max(sizes, default=0) > _LARGE else 0
    options = {"buffer_size": buffer, "pre_buffer": False, "page_checksum_verification": True}
    return pq.ParquetFile(file, metadata=metadata, **options)


class _Column:
    """A column of pictures, read forwards; going back starts again at the beginning of a row group."""

    def __init__(self, file: Path, name: str) -> None:
        self._table, self._name = opened(file), name
        groups = [self._table.metadata.row_group(place) for place in range(self._table.num_row_groups)]
        self._starts = [0, *accumulate(group.num_rows for group in groups)]
        self._lock = Lock()
        self._portions: Iterator[pa.RecordBatch] = iter(())
        self._next = self._end = 0  # the rows that the portions have yet to yield
        self._kept: deque[tuple[int, pa.Array]] = deque(maxlen=_KEPT)
        self._lost: dict[int, tuple[int, str]] = {}  # by group: its first row that cannot be read, and why

    def read(self, row: int) -> bytes:
        """Return the bytes in a row; an OSError if it is null, not there or not readable."""
        with self._lock:
            value = self._value(row)
        if not value.is_valid:
            raise OSError("null in place of a picture")
        content: bytes = value.as_py()
        return content

    def _value(self, row: int) -> pa.Scalar:
        for start, pictures in self._kept:
            if start <= row < start + len(pictures):
                return pictures[row - start]
        group = bisect_right(self._starts, row) - 1
        first, reason = self._lost.get(group, (row + 1, ""))
        if row >= first:
            raise OSError(reason)
        try:
            if not self._next <= row < self._end:
                self._start(group)
            while True:
                start, pictures = self._advance()
                if row < self._next:
                    return pictures[row - start]
        except Exception as error:  # a damaged file makes its reader raise almost anything
            self._lost[group] = self._next, first_line(error)
            raise OSError(first_line(error)) from error

    def _start(self, group: int) -> None:
        self._next, self._end = self._starts[group], self._starts[group + 1]
        rows, size = self._end - self._next, self._table.metadata.row_group(group).total_byte_size
        portion = max(1, min(_ROWS, _PORTION * rows // max(size, 1)))
        self._portions = self._table.iter_batches(portion, [group], [self._name], use_threads=False)

    def _advance(self) -> tuple[int, pa.Array]:
        portion = next(self._portions, None)
        if portion is None:
            raise ValueError("the file has fewer rows than its footer says")
        (pictures,) = portion.columns
        if pa.types.is_struct(pictures.type):
            (pictures,) = pictures.flatten()
        start = self._next
        self._next += len(pictures)
        self._kept.append((start, pictures))
        return start, pictures


@lru_cache(maxsize=_OPEN)
def _column(file: Path, name: str, version: tuple[int, int]) -> _Column:
    """Return the open column of a file as it was when last changed, with this size."""
    try:
        return _Column(file, name)
    except Exception as error:  # as above
        raise OSError(first_line(error)) from error
