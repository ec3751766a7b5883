"""A run on disk.

RUN/run.json            what was run: plan, versions, status
RUN/parts/              one pair of Parquet files for each finished unit (the journal)
RUN/cells/*.parquet     accuracy, loss and agreement: a row for each checkpoint and cell
RUN/images.parquet      id and label of each image, in the order of the outcomes
RUN/layers/*.parquet    fluctuation and activation means: a row for each checkpoint, cell and layer
RUN/samples/*.png       real images, clean and corrupted
RUN/report.html         made from the above
"""

import html
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robustbench_act.errors import InputError
from robustbench_act.records.merge import (
    CELL_COLUMNS,
    IDENTITY,
    LAYER_COLUMNS,
    LAYER_KEYS,
    merge_cells,
    merge_histograms,
    merge_layers,
)
from robustbench_act.storage import write_atomically

if TYPE_CHECKING:
    from robustbench_act.comparison import RunComparison
    from robustbench_act.metrics import Baseline

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes
    ----------
    path
        Its directory.
    info
        The content of run.json.
    cells, layers
        Tables, one row for each key; columns as `CELL_COLUMNS` and `LAYER_COLUMNS` name them.
    images
        id and label of each image, in the order of `records.outcomes`.
    """

    path: Path
    info: dict[str, Any]
    cells: pd.DataFrame
    layers: pd.DataFrame
    images: pd.DataFrame

    @property
    def labels(self) -> "pd.Series[int] | None":
        """The label of each image, in the order of `images`; None where nobody knows them."""
        known = self.images["label"]
        return None if known.isna().any() else known.astype("int64")

    @property
    def labelled(self) -> bool:
        """Whether the images have labels; where not, agreement stands for accuracy."""
        return bool(self.info["dataset"].get("labelled", True))

    def leaderboard(self) -> pd.DataFrame:
        """Return who is most robust: see `robustbench_act.metrics.leaderboard`."""
        from robustbench_act.metrics import leaderboard  # noqa: PLC0415 - the numbers are made of records

        return leaderboard(self.cells)

    def summary(self, baseline: "Baseline | None" = None) -> pd.DataFrame:
        """Return every metric of each checkpoint: see `robustbench_act.metrics.summary`."""
        from robustbench_act.metrics import summary  # noqa: PLC0415

        return summary(self.cells, labels=self.labels, baseline=baseline)

    def compare(self, other: "Run", *, force: bool = False) -> "RunComparison":
        """Return what moved from this run to another: see `robustbench_act.comparison.compare_runs`."""
        from robustbench_act.comparison import compare_runs  # noqa: PLC0415

        return compare_runs(self, other, force=force)

    def __repr__(self) -> str:
        data, suites = self.info["dataset"], ", ".join(suite["name"] for suite in self.info["suites"])
        checkpoints = self.cells["checkpoint"].nunique()
        return (
            f"<Run {self.path}: {checkpoints} checkpoints x {suites} x severities "
            f"{', '.join(f'{value:g}' for value in self.info['severities'])} on {data['images']} images of "
            f"{data['name']}>"
        )

    def _repr_html_(self) -> str:
        board = self.leaderboard()
        shares = [name for name in board if name not in ("rank", "activation", "architecture", "seeds")]
        board = board.assign(**{str(name): (100 * board[name]).round(1) for name in shares})
        return f"<p>{html.escape(repr(self))}<br>Accuracy in %</p>{board.to_html(index=False)}"

    def histograms(self) -> pd.DataFrame:
        """Return how the fluctuation of each layer is distributed over samples, in each cell.

        A row for each row of `layers`: LAYER_KEYS, then "input_fluctuation" and "output_fluctuation", int64
        arrays of samples per bin: those with fluctuation / elements in each bin of
        `robustbench_act.distributions.EDGES`. Read from the run's parts.

        Raises
        ------
        InputError
            Where a part is missing or damaged.
        """
        files = sorted((self.path / "parts").glob("*.layers.parquet"))
        if not files:
            raise InputError(f"{self.path / 'parts'}: expected the run's parts, found none.")
        parts = (_read_parquet(file) for file in files)
        found = merge_histograms(part for part in parts if len(part))
        return self.layers[LAYER_KEYS].merge(found, on=LAYER_KEYS, how="left")


def load_run(path: str | Path) -> Run:
    """Read a finished run directory.

    Raises
    ------
    InputError
        Where it is not one, is not finished, or a table is damaged.
    """
    path = Path(path)
    info = _read_info(path)
    if info.get("status") != "complete":
        raise InputError(f"{path}: the run is not finished; run the same command again to go on.")
    cells, layers = _read_table(path / "cells"), _read_table(path / "layers")
    return Run(path, info, cells, layers, _read_parquet(path / "images.parquet"))


class RunDirectory:
    """A run directory being written; every file in it is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(
        cls, path: Path, info: dict[str, Any], *, decisive: Iterable[str], resume: bool
    ) -> "RunDirectory":
        """Start a run in `path`, or go on with the one that is there.

        `decisive` are the keys of `info` that the numbers depend on: a run that differs in one of them is
        another run.

        Raises
        ------
        InputError
            Where the folder holds something else, or a run with another plan (the difference is named).
        """
        directory = cls(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            if not (path / "run.json").is_file():
                raise InputError(f"{path}: exists and is no run directory; choose another --out.")
            if not resume:
                raise InputError(
                    f"{path}: holds a run already; choose another --out or leave out --no-resume."
                )
            _refuse_other_plan(path, _read_info(path), info, decisive)
        directory.write_info({**info, "status": "running"})
        return directory

    def write_info(self, info: dict[str, Any]) -> None:
        """Replace run.json."""
        self.write(
            Path("run.json"), json.dumps({"schema_version": SCHEMA_VERSION, **info}, indent=1).encode()
        )

    def write(self, name: Path, data: bytes) -> None:
        """Write one file of the run."""
        write_atomically(self.path / name, data)

    def is_done(self, key: str) -> bool:
        """Tell whether a unit's part is there."""
        return self._part(key, "cells").is_file()

    def add_part(self, key: str, cells: pd.DataFrame, layers: pd.DataFrame) -> None:
        """Store a unit's results; the cells come last, so a part that has them is complete."""
        write_atomically(self._part(key, "layers"), _parquet(layers))
        write_atomically(self._part(key, "cells"), _parquet(cells))

    def finish(
        self,
        units: dict[str, list[str]],
        identity: pd.DataFrame,
        images: pd.DataFrame,
        info: dict[str, Any],
    ) -> Run:
        """Merge the parts into the final tables and mark the run complete.

        `units` maps each corruption of a suite to its part keys in the order of the chunks; `identity` has
        the columns IDENTITY, a row for each checkpoint, in the order of the tables; `images` has id and
        label.
        """
        merged = {
            "cells": [merge_cells(self._parts(keys, "cells")) for keys in units.values()],
            "layers": [merge_layers(self._parts(keys, "layers")) for keys in units.values()],
        }
        tables = {}
        for kind, columns in (("cells", CELL_COLUMNS), ("layers", LAYER_COLUMNS)):
            table = _final(merged[kind], identity, columns)
            write_atomically(self.path / kind / "part-0.parquet", _parquet(table))
            tables[kind] = table
        write_atomically(self.path / "images.parquet", _parquet(images))
        info = {**info, "status": "complete"}
        self.write_info(info)
        return Run(self.path, info, tables["cells"], tables["layers"], images)

    def _part(self, key: str, kind: str) -> Path:
        return self.path / "parts" / f"{key}.{kind}.parquet"

    def _parts(self, keys: list[str], kind: str) -> Iterator[pd.DataFrame]:
        for key in keys:
            yield _read_parquet(self._part(key, kind))


def _final(frames: list[pd.DataFrame], identity: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Put who is who before the numbers, checkpoint by checkpoint; the columns in their order."""
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=columns)
    table = pd.concat(filled, ignore_index=True)
    table = table.merge(identity[IDENTITY], on="checkpoint", how="left", validate="many_to_one")
    rank = {name: position for position, name in enumerate(identity["checkpoint"])}
    order = table["checkpoint"].map(rank).argsort(kind="stable")
    return table.iloc[order][columns].reset_index(drop=True)


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pq.read_table(path).to_pandas()  # type: ignore[no-any-return]
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a complete Parquet file ({str(error).splitlines()[0]}).") from error


def _read_table(folder: Path) -> pd.DataFrame:
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(f"{folder}: expected Parquet files, found none.")
    return pd.concat([_read_parquet(file) for file in files], ignore_index=True)


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads((path / "run.json").read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no run directory (run.json is missing).") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path / 'run.json'}: cannot be read ({error}).") from error
    if not isinstance(info, dict) or info.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path / 'run.json'}: expected schema version {SCHEMA_VERSION}.")
    return info


def _refuse_other_plan(
    path: Path, found: dict[str, Any], wanted: dict[str, Any], decisive: Iterable[str]
) -> None:
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    differing = [key for key in decisive if found.get(key) != wanted[key]]
    if differing:
        raise InputError(
            f"{path}: holds a run with another plan (different: {', '.join(differing)}); "
            "choose another --out."
        )
