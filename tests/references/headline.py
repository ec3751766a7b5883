"""The headline, by plain loops over rows of cells: corruptions count, input shifts do not."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any


def headline(rows: Iterable[Mapping[str, Any]], value: str = "accuracy") -> float:
    """Return the mean over corruptions of the mean over severities of one checkpoint's rows.

    A shift is known by its name. A cell of several suites counts once; shifts count if nothing else is there.
    """
    by_corruption: dict[tuple[str, str], dict[float, float]] = {}
    for row in rows:
        if row["severity"] > 0:
            of = by_corruption.setdefault((row["table"], row["corruption"]), {})
            of[row["severity"]] = row[value]
    pixels = {key: values for key, values in by_corruption.items() if not key[1].startswith("shift_")}
    return fmean(fmean(values.values()) for values in (pixels or by_corruption).values())
