"""All pairs are covered, by few rows that are always the same."""

from itertools import combinations, product

import pytest

from tests.pairwise import covering_rows


@pytest.mark.parametrize(
    ("lengths", "most"),
    [
        ((27, 3, 5, 2), 135),
        ((27, 5, 5), 138),
        ((13, 3, 4), 52),
        ((2, 3, 27), 81),
        ((5, 4), 20),
        ((3,) * 4, 11),
    ],
)
def test_all_pairs_are_covered_by_few_rows(lengths: tuple[int, ...], most: int) -> None:
    columns = [[f"{column}.{index}" for index in range(length)] for column, length in enumerate(lengths)]
    rows = covering_rows(*columns)
    for one, other in combinations(range(len(columns)), 2):
        assert {(row[one], row[other]) for row in rows} == set(product(columns[one], columns[other]))
    assert len(rows) <= most
    assert rows == covering_rows(*columns)
