"""What it costs to read pictures from a folder, a zip archive, a tar archive and a Parquet file.

    python -m tests.benchmarks.bench_readers [speed] [memory] [--folder ROOT]

speed     microseconds of processor time per picture in one thread, all in order and one in ten; the decoder
          alone gets the same bytes from memory. Parts of a photo as JPEG, 32 and 224 pixels; or the pictures
          in class folders in ROOT
memory    the largest resident size of a process that opens a set, checks it and reads it in chunks, at 2,000
          and 20,000 pictures of 20 kB; Parquet files with 1,000 rows in a group, and all rows in one

Readers take turns; the fastest of five passes counts. Pages of the files are in the system's cache.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_sample_image

from robustbench_act.datasets import Pictures, load_dataset
from tests.references.archives import ARCHIVES, Classes, table, write_folder
from tests.references.layouts import picture
from tests.test_robustbench_act.test_fuzz import saved

PASSES = 5
SIZES = {32: 2000, 224: 400}  # pixels of a side: pictures
COUNTS = (2_000, 20_000)
PADDING = 20_000  # bytes of a comment in a picture


@dataclass(frozen=True)
class Held:
    """A picture in memory."""

    stem: str
    content: bytes

    def read_bytes(self) -> bytes:
        return self.content


def generated(side: int, count: int) -> Classes:
    """Return parts of a photo as JPEG pictures in ten classes; there are 50 different ones."""
    photo = Image.fromarray(load_sample_image("china.jpg"))
    corners = [(4 * number, 2 * number) for number in range(50)]
    parts = [photo.crop((x, y, x + 300, y + 300)).resize((side, side)) for x, y in corners]
    encoded = [saved(part, "JPEG") for part in parts]
    return {
        f"class {label}": [encoded[place % 50] for place in range(label, count, 10)] for label in range(10)
    }


def in_folder(root: Path) -> Classes:
    """Return the pictures in class folders."""
    return {
        home.name: [path.read_bytes() for path in sorted(home.iterdir())] for home in sorted(root.iterdir())
    }


def write(out: Path, classes: Classes) -> dict[str, str]:
    """Write a set in all forms; return the data sets."""
    write_folder(out / "set", classes)
    for kind, write_archive in ARCHIVES.items():
        with (out / f"set.{kind}").open("wb") as file:
            write_archive(file, classes)
    pq.write_table(table(classes), out / "set.parquet", row_group_size=1000)
    return {"folder": f"folder:{out}/set", **{kind: f"{kind}:{out}/set.{kind}" for kind in ARCHIVES}}


def speed(out: Path, folder: Path | None) -> Iterator[dict[str, Any]]:
    sets = {"given": in_folder(folder)} if folder else {f"{n} px": generated(n, SIZES[n]) for n in SIZES}
    for name, classes in sets.items():
        (out / name).mkdir()
        specs = write(out / name, classes)
        held = [Held("", content) for own in classes.values() for content in own]
        opened = {kind: load_dataset(spec, workers=1).pixels for kind, spec in specs.items()}
        first = opened["folder"]
        assert isinstance(first, Pictures)
        readers = {"decoder": Pictures(held, first.view, first.channels, workers=1), **opened}
        for what, part in (("all", slice(None)), ("one in ten", slice(None, None, 10))):
            parts = {kind: pixels[part] for kind, pixels in readers.items()}
            times: dict[str, list[float]] = {kind: [] for kind in parts}
            for _ in range(PASSES):
                for kind, pictures in parts.items():
                    assert isinstance(pictures, Pictures)
                    times[kind].append(_seconds(pictures))
            row = {kind: 1e6 * min(own) / len(parts[kind]) for kind, own in times.items()}
            yield {
                "pictures": name,
                "read": what,
                "kB": np.mean([len(one.content) for one in held]) / 1e3,
                **row,
            }


def _seconds(pictures: Pictures) -> float:
    started = time.process_time()
    for start in range(0, len(pictures), 256):
        pictures[start : start + 256].read()
    return time.process_time() - started


def memory(out: Path, folder: Path | None) -> Iterator[dict[str, Any]]:
    del folder
    for kind in ("folder", "zip", "tar", "parquet", "parquet, one group"):
        row: dict[str, Any] = {"set": kind}
        for count in COUNTS:
            home = out / f"{kind} {count}"
            home.mkdir()
            spec = write_large(home, kind, count)
            command = [sys.executable, "-m", "tests.benchmarks.bench_readers", "--one", spec]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row |= {f"MB at {count:,}": json.loads(done.stdout) / 1e3}
        yield {**row, "ratio": row[f"MB at {COUNTS[1]:,}"] / row[f"MB at {COUNTS[0]:,}"]}


def write_large(home: Path, kind: str, count: int) -> str:
    """Write pictures of 32 pixels and 20 kB, each of them different."""
    start, rest = (content := saved(picture(0, 32, 32), "JPEG"))[:2], content[2:]
    head = start + b"\xff\xfe" + (PADDING + 2).to_bytes(2, "big")
    draw = np.random.default_rng(0)
    classes = {
        f"class {label}": [head + draw.bytes(PADDING) + rest for _ in range(count // 10)]
        for label in range(10)
    }
    if kind.startswith("parquet"):
        rows = count if "one" in kind else 1000
        pq.write_table(table(classes), home / "set.parquet", row_group_size=rows)
        return f"parquet:{home}/set.parquet"
    if kind == "folder":
        write_folder(home / "set", classes)
        return f"folder:{home}/set"
    with (home / f"set.{kind}").open("wb") as file:
        ARCHIVES[kind](file, classes)
    return f"{kind}:{home}/set.{kind}"


def one_memory(spec: str) -> int:
    """Read a set as an evaluation does; return this process's largest resident size in kB."""
    data = load_dataset(spec)
    data.check()
    _ = data.digest
    for chunk in data.chunks(256):
        _ = chunk.images
    status = Path("/proc/self/status").read_text()  # rusage starts from the parent's
    return int(status.partition("VmHWM:")[2].split()[0])


PARTS = {"speed": speed, "memory": memory}


def main() -> None:
    """Print a table for each part asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--folder", type=Path, help="class folders of JPEG pictures, for speed")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(one_memory(asked.one))
        return
    for part in asked.parts or PARTS:
        with tempfile.TemporaryDirectory() as out:
            print(
                pd.DataFrame(PARTS[part](Path(out), asked.folder)).round(2).to_string(index=False), flush=True
            )


if __name__ == "__main__":
    main()
