"""One set of pictures in the forms in which sets are kept: class folders, their zip, a tar, a Parquet file.

The tar as WebDataset writes it; Parquet as `datasets` does: a struct of bytes and path, and the names of the
classes in the schema's metadata.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

Classes = Mapping[str, Sequence[bytes]]
"""The encoded pictures of each class, by its name."""


def write_folder(root: Path, classes: Classes) -> None:
    for name, pictures in classes.items():
        (root / name).mkdir(parents=True)
        for number, content in enumerate(pictures):
            (root / name / f"{number}.jpg").write_bytes(content)


def write_zip(file: BinaryIO, classes: Classes, *, top: str = "photos/") -> None:
    """Write the last class first, and each second picture as it is: names are in no order in an archive."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("__MACOSX/._photos", b"\x00\x05\x16\x07")
        for name, pictures in reversed(list(classes.items())):
            for number, content in enumerate(pictures):
                how = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
                archive.writestr(f"{top}{name}/{number}.jpg", content, how)


def write_members(file: BinaryIO, members: Sequence[tuple[str, bytes]]) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_tar(file: BinaryIO, classes: Classes) -> None:
    samples = [(str(label), content) for label, own in enumerate(classes.values()) for content in own]
    write_members(
        file,
        [
            (f"{number:06d}.{suffix}", content)
            for number, (label, picture) in enumerate(samples)
            for suffix, content in (("jpg", picture), ("cls", label.encode()))
        ],
    )


def table(classes: Classes) -> pa.Table:
    """Return the pictures and labels as `datasets` has them."""
    rows = [(label, content) for label, own in enumerate(classes.values()) for content in own]
    names = [f"{number}.jpg" for number in range(len(rows))]
    pictures = pa.StructArray.from_arrays(
        [pa.array([row[1] for row in rows]), pa.array(names)], ["bytes", "path"]
    )
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table({"image": pictures, "label": [row[0] for row in rows]}).replace_schema_metadata(metadata)


def write_parquet(file: BinaryIO, classes: Classes) -> None:
    pq.write_table(table(classes), file, row_group_size=4)


ARCHIVES: dict[str, Callable[..., None]] = {
    "parquet": write_parquet,
    "tar": write_tar,
    "zip": write_zip,
}
"""By the kind of the data set: what writes it into a file."""
