"""A part of a run: the rows of one unit of work in one checksummed file.

It is an uncompressed zip archive of cells.parquet and layers.parquet. As one file it is complete or absent;
the archive has a CRC-32 of each member, which is checked whenever a part is read.
"""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robustbench_act.errors import InputError, first_line
from robustbench_act.paths import listed
from robustbench_act.tally.columns import TEXT_COLUMNS

PROVISIONAL = ".failed"
"""In the file name of a part whose unit is done again when the run is continued."""

_MEMBERS = ("cells", "layers")
_STAMP = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever they are written


def done_units(run: Path) -> int:
    """Return how many units of a run are done, and will not be done again when it is continued."""
    return sum(not path.stem.endswith(PROVISIONAL) for path in listed(run / "parts", "*.zip"))


class Part(NamedTuple):
    """The rows of a unit: of its cells, and of the layers in them."""

    cells: pd.DataFrame
    layers: pd.DataFrame


class DamagedPartError(InputError):
    """A part of a run is damaged or missing."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: a damaged part of the run ({reason}); repeat the command to replace it.")
        self.path, self._reason = path, reason

    def __reduce__(self) -> tuple[Any, ...]:  # it may come from another process
        return type(self), (self.path, self._reason)


def pack(part: Part) -> bytes:
    """Return the file of a part.

    >>> rows = pd.DataFrame({"n": [3]})
    >>> unpack(pack(Part(rows, rows)), Path("x.zip")).cells.equals(rows)
    True
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, frame in zip(_MEMBERS, part, strict=True):
            archive.writestr(zipfile.ZipInfo(f"{name}.parquet", _STAMP), to_parquet(frame))
    return buffer.getvalue()


def unpack(data: bytes, path: Path) -> Part:
    """Return the part that a file holds; a DamagedPartError if a byte of it has changed or is missing."""
    try:
        return unpack_bytes(data)
    except Exception as error:  # a damaged file makes its reader raise almost anything
        raise DamagedPartError(path, first_line(error)) from error


def unpack_bytes(data: bytes) -> Part:
    """Return the part that `pack` made these bytes from."""
    return Part(*map(read_parquet, _members(data)))


def check(data: bytes, path: Path) -> None:
    """Raise DamagedPartError if a part is damaged, without reading its tables."""
    try:
        _members(data)
    except Exception as error:
        raise DamagedPartError(path, first_line(error)) from error


def _members(data: bytes) -> list[bytes]:
    """Return the members of an archive; reading checks their CRC."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [archive.read(f"{name}.parquet") for name in _MEMBERS]


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return a table as Parquet; the same table gives the same bytes."""
    buffer = io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(
        table.cast(pa.schema(map(_typed, table.schema), table.schema.metadata)), buffer, compression="zstd"
    )
    return buffer.getvalue()


def _typed(field: pa.Field) -> pa.Field:
    """Return a column's type; that of its name if it holds nothing: all files of a table have one schema."""
    if not pa.types.is_null(field.type):
        return field
    return field.with_type(pa.string() if field.name in TEXT_COLUMNS else pa.float64())


def read_parquet(*files: bytes) -> pd.DataFrame:
    """Return the tables of Parquet files, one below the other; Arrow may raise anything if one is damaged."""
    tables = [pq.read_table(pa.BufferReader(data)) for data in files]
    filled = [table for table in tables if table.num_rows] or tables[:1]  # others have types of no meaning
    return pa.concat_tables(filled, promote_options="permissive").to_pandas()  # type: ignore[no-any-return]
