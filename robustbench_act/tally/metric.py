"""What a column of a table means to people: title, unit, direction, bounds, formula, source."""

import math
from dataclasses import dataclass
from typing import Literal

SHARE = (0.0, 1.0)
"""Bounds of a share."""


@dataclass(frozen=True)
class Metric:
    """The meaning of a column: `title` is its heading for people, `source` a paper, if there is one.

    Attributes
    ----------
    unit
        The unit in which it is *shown*; tables hold shares if it is "%" or "points" (multiply by 100).
    better
        The good direction, if there is one.
    about
        One line of explanation, with the formula.
    bounds
        Smallest and largest value in tables.
    """

    title: str
    unit: Literal["%", "points", "nats", ""]
    better: Literal["higher", "lower"] | None
    about: str
    bounds: tuple[float, float] = (-math.inf, math.inf)
    source: str = ""

    @property
    def scale(self) -> int:
        """The factor by which a table's value is multiplied to be shown."""
        return 100 if self.unit in ("%", "points") else 1

    @property
    def shown_unit(self) -> str:
        """The unit of a difference."""
        return "points" if self.scale == 100 else self.unit
