"""The kinds of quantities of a cell: how each is counted, how chunks merge, what a failed cell has."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
from numpy.typing import NDArray

from robustbench_act.tally.answers import Answers
from robustbench_act.tally.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

Row = dict[str, Any]
Columns = dict[str, Any]  # each with a value for every row
Chunks = Any  # the rows of all chunks in their order, grouped by cell


@dataclass(frozen=True)
class Quantity(ABC):
    """A quantity of a cell; its name is its column in final tables."""

    name: str
    needs_labels: bool = False  # missing if the images have no labels
    metric: Metric | None = None  # its meaning; summaries average the quantities that have one

    empty: ClassVar[Any] = ""  # in failed cells

    @property
    def failed(self) -> Row:
        """The columns of a part, with the values of a failed cell."""
        return {self.name: self.empty}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the final tables."""
        return (self.name,)

    def count(self, answers: Answers) -> Columns:
        """Return the columns of a part that the answers tell, a value for each version."""
        return {}

    @abstractmethod
    def merge(self, chunks: Chunks, cells: pd.DataFrame) -> Columns:
        """Return the final columns, and perhaps some that tables do not keep.

        `cells` are the merged cells so far: n (0 in failed cells), failed, and other quantities.
        """


@dataclass(frozen=True, kw_only=True)
class MeanOverImages(Quantity):
    """A mean over images. Parts have the sum: an integer, or a float64."""

    of_images: Callable[[Answers], "Tensor"]  # (versions, images)
    count_name: str = ""  # of the sum, if it is a number of images that final tables keep

    @property
    def _sum(self) -> str:
        return self.count_name or f"{self.name}_sum"

    @property
    def failed(self) -> Row:
        """An integer for a number of images."""
        return {self._sum: 0 if self.count_name else 0.0}

    @property
    def columns(self) -> tuple[str, ...]:
        """The sum, if it is kept, and the mean."""
        return (self.count_name, self.name) if self.count_name else (self.name,)

    def count(self, answers: Answers) -> Columns:
        """Sum over all images at once, in float64, so that the rounding does not depend on the batches."""
        values = self.of_images(answers)
        return {self._sum: (values.double() if values.is_floating_point() else values).sum(1).tolist()}

    def merge(self, chunks: Chunks, cells: pd.DataFrame) -> Columns:
        """Add up the sums and divide by n; NaN in failed cells."""
        total = chunks[self._sum].sum(min_count=1)  # missing, not 0, without labels
        total[cells["failed"]] = 0
        return {self._sum: total, self.name: total / cells["n"].where(cells["n"] > 0).astype(float)}


@dataclass(frozen=True, kw_only=True)
class ImageBytes(Quantity):
    """A value of each image, packed. Chunks are joined byte by byte: each but the last fills whole bytes."""

    of_images: Callable[[Answers], "Tensor"]  # (versions, images)
    pack: Callable[[NDArray[Any]], list[bytes]]  # the bytes of each version
    unpack: Callable[[bytes, int], NDArray[Any]]  # the values of a cell's n images
    kept: bool = True  # in final tables

    empty = b""

    @property
    def columns(self) -> tuple[str, ...]:
        """None if it is not kept."""
        return (self.name,) if self.kept else ()

    def count(self, answers: Answers) -> Columns:
        """Pack the values."""
        return {self.name: self.pack(self.of_images(answers).cpu().numpy())}

    def merge(self, chunks: Chunks, cells: pd.DataFrame) -> Columns:
        """Join the bytes; none in failed cells."""
        joined = chunks[self.name].agg(b"".join)
        joined[cells["failed"]] = self.empty
        return {self.name: joined}


@dataclass(frozen=True, kw_only=True)
class OverAllImages(Quantity):
    """A number made of the values of all images, once the chunks are merged; parts have no column."""

    function: Callable[..., float]  # of the arrays of `of`, each (n,); n is 0 in a failed cell
    of: tuple[ImageBytes, ...]

    @property
    def failed(self) -> Row:
        """No column."""
        return {}

    def merge(self, chunks: Chunks, cells: pd.DataFrame) -> Columns:
        """Compute it cell by cell."""
        return {self.name: [self._of_cell(cell) for cell in cells.to_dict("records")]}

    def _of_cell(self, cell: Mapping[Any, Any]) -> float:
        if self.needs_labels and math.isnan(cell["correct"]):
            return math.nan
        return self.function(*(values.unpack(cell[values.name], cell["n"]) for values in self.of))


@dataclass(frozen=True, kw_only=True)
class OfFirstChunk(Quantity):
    """A text about the first images of the run."""

    texts: Callable[[Answers], list[str]]  # one for each version

    def count(self, answers: Answers) -> Columns:
        """Make the texts."""
        return {self.name: self.texts(answers)}

    def merge(self, chunks: Chunks, cells: pd.DataFrame) -> Columns:
        """Keep the text of the first chunk; none in failed cells."""
        first = chunks[self.name].first()
        first[cells["failed"]] = self.empty
        return {self.name: first}


class Digest(Quantity):
    """A SHA-256 of the inputs: whoever makes the inputs fills it in."""

    def merge(self, chunks: Chunks, cells: pd.DataFrame) -> Columns:
        """Return the digest of the chunks' digests."""
        joined = chunks[self.name].agg("".join)
        return {self.name: [hashlib.sha256(text.encode()).hexdigest() for text in joined]}


COLUMN_ORDER = (MeanOverImages, OverAllImages, ImageBytes, OfFirstChunk, Digest)
"""The kinds in the order of the columns."""
