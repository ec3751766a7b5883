"""Pairwise coverage: for every two parameters of a test, each pair of their values occurs in some row.

How it was chosen: a fault in code like ours depends on one value or on two (this corruption in that dtype),
hardly ever on three at once. A full product repeats the same pairs: 27 x 5 x 3 x 2 are 810 rows, and no
fewer than 27 x 5 = 135 can hold all pairs. A greedy search comes within a few rows of that without chance.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import pytest


def covering_rows(*columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return few rows, a value of each column, in which all pairs of values of two columns occur.

    Each row begins with the first pair that is missing, those of the longest columns first, and takes in each
    other column the value that covers the most missing pairs.
    """
    order = sorted(range(len(columns)), key=lambda column: -len(columns[column]))
    places = {column: list(product([column], range(len(columns[column])))) for column in order}
    pairs = (product(places[one], places[other]) for one, other in combinations(order, 2))
    missing = dict.fromkeys(frozenset(pair) for some in pairs for pair in some)
    rows = []
    while missing:
        row = dict(next(iter(missing)))
        for column in order:
            if column not in row:
                gains = [
                    sum(frozenset((place, other)) in missing for other in row.items())
                    for place in places[column]
                ]
                row[column] = gains.index(max(gains))
        for pair in combinations(row.items(), 2):
            missing.pop(frozenset(pair), None)
        rows.append(tuple(values[row[column]] for column, values in enumerate(columns)))
    return rows


def each_pair(**parameters: Sequence[Any]) -> pytest.MarkDecorator:
    """Parametrise a test by rows in which each pair of values of two parameters occurs."""
    return pytest.mark.parametrize(tuple(parameters), covering_rows(*parameters.values()), ids=str)
