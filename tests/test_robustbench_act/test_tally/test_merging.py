"""Cells and layers of several chunks are those of all images at once."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from robustbench_act.tally.answers import Answers
from robustbench_act.tally.cell_rows import count_cells, failed_cells, whole_cells
from robustbench_act.tally.columns import CELL_COLUMNS, KEYS
from robustbench_act.tally.layer_columns import HISTOGRAMS, LAYER_KEYS, QUANTITIES
from robustbench_act.tally.mergeable_stats import BINS, EDGES, QUANTILES, quantile_name
from robustbench_act.tally.merging import merge_cells, merge_histograms, merge_layers
from robustbench_act.tally.outcomes import outcomes
from tests.build_run import by

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
    rates = (
        "accuracy",
        "top5",
        "loss",
        "brier",
        "agreement",
        "severity_flips",
        "ece",
        "ece_debiased",
        "ece_mass",
    )
    assert all(np.isnan(row[name]) for name in rates)
    assert only_row([first, second, last])["error"] is None


def test_without_labels_only_agreement_is_known() -> None:
    row = only_row(chunks(SIZES, labelled=False))
    rates = ("correct", "accuracy", "top5", "loss", "brier", "ece", "ece_debiased", "ece_mass")
    assert all(np.isnan(row[name]) for name in rates)
    assert row["agreement"] == 1
    assert outcomes(pd.DataFrame([row])).all()


def test_chunks_before_the_last_one_fill_whole_bytes() -> None:
    with pytest.raises(AssertionError, match=r"a multiple of 8 images before the last one, got \{12\}"):
        merge_cells(chunks((12, 33)))
    assert only_row(chunks((32, 13)))["n"] == 45


LAYERS = {"act1": (0, 8), "act2": (1, 4)}  # index and elements
Place = tuple[str, str]
"""A checkpoint and one of its layers."""


def samples(chunk: int, place: Place) -> NDArray[np.float64]:
    """Return the values of QUANTITIES, (quantities, samples), of a scale that no other place or chunk has."""
    scale = 10.0 ** (chunk - 2 * "abcd".index(place[0])) * LAYERS[place[1]][1]
    random = np.random.default_rng([chunk, *map(ord, "".join(place))])
    return scale * random.uniform(1, 4, (len(QUANTITIES), SIZES[chunk]))


def histogram(values: NDArray[np.float64], place: Place) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(EDGES, values / LAYERS[place[1]][1]), minlength=BINS)


def layer_rows(chunk: int, places: Iterable[Place]) -> pd.DataFrame:
    """Return the layer rows of a chunk, in this order."""
    rows = []
    for place in places:
        checkpoint, layer = place
        index, elements = LAYERS[layer]
        row: dict[str, Any] = {**KEY[0], "checkpoint": checkpoint, "layer": layer, "index": index}
        row |= {"elements": elements, "n": SIZES[chunk], "nonfinite": 1 + chunk}
        values = samples(chunk, place)
        for name, own in zip(QUANTITIES, values, strict=True):
            facts = {"count": len(own), "mean": own.mean(), "m2": len(own) * own.var()}
            row |= {f"{name}_{part}": fact for part, fact in facts.items()}
        for name, own in zip(HISTOGRAMS, values, strict=False):
            row[f"{name}_histogram"] = histogram(own, place).tobytes()
        rows.append(row | ({"activation_mean": values[0, 0]} if chunk == 0 else {}))
    return pd.DataFrame(rows)


def test_layers_are_those_of_the_probe_sample_and_histograms_add_up() -> None:
    """Of two groups of corruptions, then of the networks that fail in one of them."""
    a, b, c = (list(product(name, LAYERS)) for name in "abc")
    parts = [layer_rows(0, [*a, *b]), layer_rows(0, c[::-1])]
    table = by(merge_layers(parts), "checkpoint", "layer")
    assert list(table) == [*a, *b, *c[::-1]]
    histograms = by(merge_histograms([*parts, layer_rows(1, b)]), "checkpoint", "layer")
    assert sorted(histograms) == sorted([*a, *b, *c])
    bin_width = EDGES[1] / EDGES[0]
    for place, row in table.items():
        values = samples(0, place)
        assert (row["index"], row["elements"]) == LAYERS[place[1]]
        assert (row["n"], row["nonfinite"]) == (values.shape[1], 1)
        assert row["activation_mean"] == values[0, 0]
        for name, own in zip(QUANTITIES, values, strict=True):
            assert row[f"{name}_mean"] == pytest.approx(np.mean(own), rel=1e-12)
            assert row[f"{name}_var"] == pytest.approx(np.var(own, ddof=1), rel=1e-12)
        for number, (name, own) in enumerate(zip(HISTOGRAMS, values, strict=False)):
            more = histogram(samples(1, place)[number], place) if place in b else 0
            assert histograms[place][name].tolist() == (histogram(own, place) + more).tolist()
            for share in QUANTILES:
                exact = np.quantile(own, share, method="inverted_cdf")
                assert exact / bin_width <= row[f"{name}_{quantile_name(share)}"] <= exact * bin_width


def test_chunks_without_layer_rows_add_nothing() -> None:
    assert merge_layers([pd.DataFrame()] * 2).empty
    alone = merge_layers([pd.DataFrame(), layer_rows(1, [("a", "act1")]), pd.DataFrame()])
    assert alone["n"].tolist() == [SIZES[1]]
    assert list(alone)[: len(LAYER_KEYS)] == LAYER_KEYS
