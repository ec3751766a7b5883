"""Cells of several chunks are those of all images at once."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from robustbench_act.tally.answers import Answers
from robustbench_act.tally.cell_rows import count_cells, failed_cells, whole_cells
from robustbench_act.tally.columns import CELL_COLUMNS, KEYS
from robustbench_act.tally.merging import merge_cells
from robustbench_act.tally.outcomes import outcomes

SIZES = (16, 24, 5)
KEY = {0: dict(zip(KEYS, ("net", "noise", "32", "fog", "weather", 3.0), strict=True))}


def chunks(sizes: tuple[int, ...], *, labelled: bool = True) -> list[pd.DataFrame]:
    """Return the cell rows of the same 45 images, cut in one way or another."""
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(1, sum(sizes), 10, generator=generator)
    labels = torch.randint(10, (sum(sizes),), generator=generator)
    parts = zip(torch.split(logits, [*sizes], 1), torch.split(labels, [*sizes]), strict=True)
    counted = [Answers(own, known if labelled else None) for own, known in parts]
    return [pd.DataFrame(whole_cells(count_cells(answers), KEY, ["d1635"])) for answers in counted]


def only_row(parts: list[pd.DataFrame]) -> dict[str, Any]:
    (row,) = merge_cells(parts).to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_chunks_add_up() -> None:
    several, one = (only_row(chunks(sizes)) for sizes in (SIZES, (45,)))
    assert list(several) == [*KEYS, *CELL_COLUMNS[CELL_COLUMNS.index("n") :]]
    for name in set(one) - {"pixels", "loss", "brier"}:
        assert several[name] == one[name], name
    assert several["loss"] == pytest.approx(one["loss"], rel=1e-12)
    assert several["brier"] == pytest.approx(one["brier"], rel=1e-12)
    assert several["pixels"] != one["pixels"]
    assert several["n"] == 45
    assert several["error"] is None


def test_a_cell_that_failed_in_one_chunk_failed() -> None:
    first, second, last = chunks(SIZES)
    failed = pd.DataFrame(failed_cells(KEY, "no memory"))
    row = only_row([first, failed, last])
    assert row["error"] == "no memory"
    assert (row["n"], row["correct"], row["outcomes"], row["predicted"]) == (0, 0, b"", "")
    rates = ("accuracy", "top5", "loss", "brier", "agreement", "flips", "ece", "ece_mass")
    assert all(np.isnan(row[name]) for name in rates)
    assert only_row([first, second, last])["error"] is None


def test_without_labels_only_agreement_is_known() -> None:
    row = only_row(chunks(SIZES, labelled=False))
    rates = ("correct", "accuracy", "top5", "loss", "brier", "ece", "ece_mass")
    assert all(np.isnan(row[name]) for name in rates)
    assert row["agreement"] == 1
    assert outcomes(pd.DataFrame([row])).all()


def test_chunks_before_the_last_one_fill_whole_bytes() -> None:
    with pytest.raises(AssertionError, match=r"a multiple of 8 images before the last one, got \{12\}"):
        merge_cells(chunks((12, 33)))
    assert only_row(chunks((32, 13)))["n"] == 45
