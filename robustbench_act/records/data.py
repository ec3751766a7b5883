"""The plain data of a finished run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from robustbench_act.errors import InputError
from robustbench_act.paths import listed
from robustbench_act.records.cells import labelled
from robustbench_act.records.info import RunInfo
from robustbench_act.records.parts import PROVISIONAL, unpack
from robustbench_act.tally.layer_columns import LAYER_KEYS
from robustbench_act.tally.merging import merge_histograms

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


@dataclass(frozen=True, eq=False)
class RunData:
    """A finished run.

    Attributes
    ----------
    path
        Its directory.
    info
        The content of run.json.
    cells, layers
        Tables with the columns `CELL_COLUMNS` and `LAYER_COLUMNS`, one row for each key. An older run may
        lack some columns.
    images
        id and label of each image, in the order of the outcomes; empty for an older run.
    """

    path: Path
    info: RunInfo
    cells: pd.DataFrame
    layers: pd.DataFrame
    images: pd.DataFrame

    @property
    def labels(self) -> "pd.Series[int] | None":
        """The label of each image, in the order of `images`; None if they are unknown."""
        known = self.images["label"]
        return None if known.empty or known.isna().any() else known.astype("int64")

    @property
    def labelled(self) -> bool:
        """Whether the images have labels; if not, agreement stands for accuracy."""
        return labelled(self.cells)

    @cached_property
    def samples(self) -> dict[str, bytes]:
        """PNG strips by corruption: an image in each row, clean and then the severities in the columns.

        Read from the run's directory. Raises InputError if a file is not a complete PNG file.
        """
        found = {path.stem: path.read_bytes() for path in listed(self.path / "samples", "*.png")}
        for name, data in found.items():
            if not data.startswith(_PNG_START) or _PNG_END not in data[-12:]:
                file = self.path / "samples" / f"{name}.png"
                raise InputError(
                    f"{file}: is not a complete PNG file; delete it, the report does not need it."
                )
        return found

    def histograms(self) -> pd.DataFrame:
        """Return how the fluctuation of each layer is distributed over samples, in each cell.

        A row for each row of `layers`: LAYER_KEYS, then "input_fluctuation" and "output_fluctuation". Both
        are int64 arrays: how many samples have fluctuation / elements in each bin of
        `robustbench_act.tally.mergeable_stats.EDGES`. Read from the run's parts. Raises InputError if a part
        is missing or damaged.
        """
        files = listed(self.path / "parts", "*.zip")
        done = {file.name for file in files}
        files = [file for file in files if file.name.replace(PROVISIONAL, "") not in done - {file.name}]
        if not files:
            raise InputError(f"{self.path / 'parts'}: expected the run's parts, found none.")
        parts = (unpack(file.read_bytes(), file).layers for file in files)
        found = merge_histograms(part for part in parts if len(part))
        return self.layers[LAYER_KEYS].merge(found, on=LAYER_KEYS, how="left")
