"""The rows of parts: what a unit of work counts of each cell, with the keys of its cells."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from robustbench_act.tally.answers import Answers
from robustbench_act.tally.columns import FAILED_CELL, QUANTITIES_BY_KIND
from robustbench_act.tally.quantity_kinds import Columns, Row
from robustbench_act.texts import encodable

Keys = Mapping[int, Row]
"""The KEYS of each version that a unit has rows of."""


def count_cells(answers: Answers) -> list[Row]:
    r"""Return a row for each version: its number, n, and every declared quantity that the answers tell.

    >>> import torch
    >>> (row,) = count_cells(Answers(torch.tensor([[[2.0, 0.0], [2.0, 0.0]]]), torch.tensor([0, 1])))
    >>> row["version"], row["n"], row["correct"], row["outcomes"]
    (0, 2, 1, b'\x80')
    """
    versions, images, _ = answers.logits.shape
    columns: Columns = {"version": range(versions), "n": [images] * versions}
    for quantity in QUANTITIES_BY_KIND:
        counted = quantity.count(answers)
        if quantity.needs_labels and not answers.labelled:
            counted = dict.fromkeys(counted, [math.nan] * versions)
        columns |= counted
    return rows_of(columns)


def rows_of(columns: Columns) -> list[Row]:
    """Return the rows of some columns.

    >>> rows_of({"a": [1, 2], "b": "xy"})
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'y'}]
    """
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def layers_with_keys(rows: pd.DataFrame, keys: Keys) -> pd.DataFrame:
    """Put the keys of its version before each row, in place of the version."""
    if not len(rows):
        return rows
    own = pd.DataFrame([keys[version] for version in rows["version"]])
    return pd.concat([own, rows.drop(columns="version")], axis=1)


def whole_cells(counted: Sequence[Row], keys: Keys, digests: Sequence[str]) -> list[Row]:
    """Return the rows of cells that did not fail: what was counted, and the digests of the pixels."""
    return [
        {
            **keys[row["version"]],
            **{name: value for name, value in row.items() if name != "version"},
            "pixels": digests[row["version"]],
            "error": None,
        }
        for row in counted
    ]


def failed_cells(keys: Keys, error: str) -> list[Row]:
    """Return the rows of a network that failed."""
    return [{**own, **FAILED_CELL, "error": encodable(error)} for own in keys.values()]
