"""A finished run on disk.

RUN/run.json            what was run: plan, versions, status
RUN/parts/*.zip         the rows of each unit of work, as it was finished (the journal, see `records.parts`)
RUN/cells/*.parquet     accuracy, loss and agreement: a row for each checkpoint and cell
RUN/images.parquet      id and label of each image, in the order of the outcomes
RUN/layers/*.parquet    fluctuation and activation means: a row for each checkpoint, cell and layer
RUN/samples/*.png       real images, clean and corrupted
RUN/report.html         made from the above
"""

import hashlib
import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from robustbench_act.errors import InputError, first_line
from robustbench_act.records.parts import PROVISIONAL, read_parquet, unpack
from robustbench_act.tally.layer_columns import LAYER_KEYS
from robustbench_act.tally.merging import merge_histograms

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
        `robustbench_act.tally.mergeable_stats.EDGES`. Read from the run's parts.

        Raises
        ------
        InputError
            Where a part is missing or damaged.
        """
        files = sorted((self.path / "parts").glob("*.zip"))
        done = {file.name for file in files}
        files = [file for file in files if file.name.replace(PROVISIONAL, "") not in done - {file.name}]
        if not files:
            raise InputError(f"{self.path / 'parts'}: expected the run's parts, found none.")
        parts = (unpack(file.read_bytes(), file).layers for file in files)
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
    info = read_info(path)
    if info.get("status") != "complete":
        raise InputError(f"{path}: the run is not finished; run the same command again to go on.")
    tables = {}
    for kind in ("cells", "layers"):
        files = sorted((path / kind).glob("*.parquet"))
        if not files:
            raise InputError(f"{path / kind}: expected Parquet files, found none.")
        tables[kind] = _read_table(files, path, info)
    images = _read_table([path / "images.parquet"], path, info)
    return Run(path, info, tables["cells"], tables["layers"], images)


def _read_table(files: list[Path], run: Path, info: dict[str, Any]) -> pd.DataFrame:
    """Read the files of a table; each must have the checksum that run.json has of it."""
    found = [_checked(file, run, info) for file in files]
    try:
        return read_parquet(*found)
    except Exception as error:  # a damaged file makes its reader raise almost anything
        raise _damaged(files[0], first_line(error)) from error


def _checked(file: Path, run: Path, info: dict[str, Any]) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _damaged(file, first_line(error)) from error
    expected = info.get("tables", {}).get(file.relative_to(run).as_posix())  # none in runs of old
    if expected is not None and hashlib.sha256(data).hexdigest() != expected:
        raise _damaged(file, "its checksum in run.json is another")
    return data


def _damaged(file: Path, reason: str) -> InputError:
    return InputError(
        f"{file}: not a complete Parquet file of this run ({reason}); the command that made the run makes it "
        "anew."
    )


def read_info(path: Path) -> dict[str, Any]:
    """Return the content of run.json; an InputError where there is none of ours."""
    try:
        info = json.loads((path / "run.json").read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no run directory (run.json is missing).") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path / 'run.json'}: cannot be read ({error}).") from error
    if not isinstance(info, dict) or info.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path / 'run.json'}: expected schema version {SCHEMA_VERSION}.")
    return info
