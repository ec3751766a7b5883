"""The random streams: the words against an independent restatement, and the statistics of all numbers."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import corruptions
from corruptions import _tables
from corruptions.random import STREAM_VERSION, Stream, check_seed

from ..references import corruptions as oracle

ROWS, COLUMNS = 100, 10_000
NORMAL = stats.norm()


def make_stream(
    ids: Tensor | None = None, *, name: str = "fog", severity: float = 3.0, seed: int = 0
) -> Stream:
    return Stream(torch.arange(ROWS) if ids is None else ids, name=name, severity=severity, seed=seed)


@pytest.mark.parametrize("image_id", [0, 1, -1, 2**32, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize(("severity", "seed"), [(1.0, 0), (2.5, -7), (5.0, 2**64 - 1)])
def test_words_equal_the_restatement_number_by_number(image_id: int, severity: float, seed: int) -> None:
    assert STREAM_VERSION == 1
    stream = make_stream(torch.tensor([99, image_id]), severity=severity, seed=seed)
    for draw in range(3):
        words = stream.bits(2, 8)[1].flatten().numpy().view(np.uint32)
        expected = oracle.stream_words(
            image_id, name="fog", severity=severity, seed=seed, draw=draw, count=16
        )
        assert words.tolist() == expected


def test_draws_depend_on_their_number_alone() -> None:
    one, other = make_stream(), make_stream()
    assert torch.equal(one.normal(4), other.normal(4))
    one.bits(1)
    other.normal(50)
    assert torch.equal(one.uniform(6), other.uniform(6))
    assert not torch.equal(make_stream().bits(50), one.bits(50))


def test_shape_does_not_change_the_numbers() -> None:
    assert torch.equal(make_stream().bits(3, 4).flatten(1), make_stream().bits(12))
    assert torch.equal(make_stream().bits(20)[:, :12], make_stream().bits(12))
    assert make_stream().bits().shape == (ROWS,)


def test_words_are_balanced_bit_by_bit_and_pair_by_pair() -> None:
    words = make_stream().bits(COLUMNS).numpy().view(np.uint32).ravel()
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32) & 1).astype(np.float32)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(words))
    correlation = np.corrcoef(bits[:200_000].T) - np.eye(32)
    assert np.abs(correlation).max() < 5 / np.sqrt(200_000)


def test_uniform_numbers_are_uniform() -> None:
    numbers = make_stream().uniform(COLUMNS)
    assert numbers.dtype == torch.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.double().flatten().numpy(), "uniform").pvalue > 1e-3
    counts = torch.histc(numbers, bins=1000, min=0, max=1)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def standard_errors_away(values: Tensor, expected: float) -> float:
    return float((values.mean() - expected).abs() / (values.std() / len(values) ** 0.5))


def test_normal_numbers_have_the_moments_and_tails_of_a_normal() -> None:
    z = make_stream().normal(COLUMNS).double().flatten()
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (6, 15)):
        assert standard_errors_away(z**power, moment) < 4, power
    for bound in (1, 2, 3, 4):
        for tail in (z > bound, z < -bound):
            assert standard_errors_away(tail.double(), float(NORMAL.sf(bound))) < 4, bound
    assert z.abs().max() > 4.5
    assert torch.isfinite(z).all()


def test_every_cell_of_the_normal_table_is_accurate() -> None:
    """All exponents and a few thousand mantissas: the far tails too, which no sample reaches."""
    generator = np.random.default_rng(0)
    odd = np.unique(
        np.concatenate([2.0 ** generator.uniform(0, 31, 20_000), [1, 2**31 - 1]]).astype(np.int64) | 1
    )
    numbers = odd.astype(np.float32)
    cells = numbers.view(np.int32) >> _tables.OFFSET_BITS & _tables.QUANTILE_CELLS - 1
    offsets = numbers.view(np.int32) & (1 << _tables.OFFSET_BITS) - 1
    for distribution, expected in (
        ("normal", stats.norm.ppf(numbers / 2.0**32)),
        ("laplace", stats.laplace.ppf(numbers / 2.0**32) / np.sqrt(2)),
    ):
        lines = _tables.quantile_lines(distribution)
        left, slope = lines.view(np.float32).reshape(-1, 2).T
        assert np.abs(left[cells] + slope[cells] * offsets - expected).max() < 2e-5
        mirrored = np.float32(-1) * numbers
        mirrored_cells = mirrored.view(np.int32) >> _tables.OFFSET_BITS & _tables.QUANTILE_CELLS - 1
        assert np.array_equal(left[mirrored_cells], -left[cells])


def test_a_fused_product_changes_nothing() -> None:
    """Slope * offset is exact in float32, so a device that fuses it with the sum gets the same bits."""
    slope = _tables.quantile_lines("normal").view(np.float32)[1::2]
    for offset in (1, 12_345, (1 << _tables.OFFSET_BITS) - 1):
        exact = slope.astype(np.float64) * offset
        assert np.array_equal(exact.astype(np.float32).astype(np.float64), exact)


def test_laplace_numbers_have_the_moments_and_tails_of_a_laplace() -> None:
    e = make_stream().laplace(COLUMNS).double().flatten()
    assert stats.kstest(e.numpy(), stats.laplace(scale=2**-0.5).cdf).pvalue > 1e-3
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 6)):
        assert standard_errors_away(e**power, moment) < 4, power


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (0, 1000)])
def test_integers_are_uniform(low: int, high: int) -> None:
    numbers = make_stream().integers(low, high, COLUMNS)
    assert numbers.dtype == torch.int64
    counts = torch.bincount(numbers.flatten() - low, minlength=high - low)
    assert len(counts) == high - low
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_streams_that_differ_in_one_thing_are_independent() -> None:
    """Neighbours in id, draw, severity, corruption and seed: no correlation, no shared words, no lag."""
    here = torch.tensor([41])
    streams = {
        "usual": make_stream(here),
        "next id": make_stream(here + 1),
        "far id": make_stream(here + 2**32),
        "negative id": make_stream(-here),
        "severity": make_stream(here, severity=4.0),
        "close severity": make_stream(here, severity=3.0 + 1e-12),
        "corruption": make_stream(here, name="frost"),
        "seed": make_stream(here, seed=1),
        "negative seed": make_stream(here, seed=-1),
    }
    count = 50_000
    words = {name: stream.bits(count)[0] for name, stream in streams.items()}
    words["next draw"] = streams["usual"].bits(count)[0]
    numbers = {name: word.double() / 2**31 for name, word in words.items()}
    for one, other in itertools.combinations(words, 2):
        product = numbers[one] * numbers[other]
        assert standard_errors_away(product, 0) < 4.5, (one, other)
        # Birthdays: two sets of n words share n * n / 2**32 = 0.6 of them by chance.
        assert len(np.intersect1d(words[one].numpy(), words[other].numpy())) < 9, (one, other)
    for lag in (1, 2, 3, 32, 1024):
        assert standard_errors_away(numbers["usual"][lag:] * numbers["usual"][:-lag], 0) < 4.5, lag


def test_positions_are_independent_over_ids() -> None:
    words = make_stream(torch.arange(20_000)).bits(16).double() / 2**31
    correlation = torch.corrcoef(words.T) - torch.eye(16, dtype=torch.float64)
    assert correlation.abs().max() < 5 / 20_000**0.5
    assert (words.mean(0).abs() < 5 * 3**-0.5 / 20_000**0.5).all()
    assert (words[1:] * words[:-1]).mean(0).abs().max() < 5 / 3 / 20_000**0.5


def test_no_two_ids_share_their_words() -> None:
    first = make_stream(torch.arange(-50_000, 50_000)).bits(3)
    assert len(torch.unique(first, dim=0)) == 100_000


@pytest.mark.parametrize("rate", [3.0, 60.0, 500.0])
@pytest.mark.parametrize("level", [1, 100, 255])
def test_poisson_counts_of_uint8_images(rate: float, level: int) -> None:
    images = torch.full((ROWS, 1, 40, 50), level, dtype=torch.uint8)
    check_poisson(make_stream().poisson(images, rate=rate), rate * level / 255)


@pytest.mark.parametrize("rate", [3.0, 500.0])
@pytest.mark.parametrize("value", [0.00005, 0.123456, 0.5, 0.99999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_poisson_counts_of_float_images(rate: float, value: float, dtype: torch.dtype) -> None:
    images = torch.full((ROWS, 1, 40, 50), value, dtype=dtype)
    check_poisson(make_stream().poisson(images, rate=rate), rate * value)


def check_poisson(counts: Tensor, mean: float) -> None:
    values = counts.double().flatten()
    law = stats.poisson(mean)
    assert standard_errors_away(values, mean) < 4.5
    assert standard_errors_away((values - mean) ** 2, mean) < 4.5
    edges = np.unique(law.ppf(np.linspace(0.01, 0.99, 30)))
    observed = np.histogram(values.numpy(), bins=[-1, *(edges + 0.5), np.inf])[0]
    expected = np.diff([0, *law.cdf(edges), 1]) * len(values)
    kept = expected > 5
    assert stats.chisquare(
        [*observed[kept], observed[~kept].sum() + 1e-9], [*expected[kept], expected[~kept].sum() + 1e-9],
        sum_check=False,
    ).pvalue > 1e-4  # fmt: skip


def test_poisson_counts_of_black_are_0_and_floats_agree_with_levels() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(ROWS, 1, 1, 1)
    counts = make_stream().poisson(levels, rate=60.0)
    assert counts[:, 0, 0, 0].eq(0).all()
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(counts, make_stream().poisson(levels.to(dtype) / 255, rate=60.0))


@pytest.mark.parametrize(
    ("mean_per_unit", "digit_bits"), [(500 / 255, 8), (3 / 255, 8), (500 / 255 / 128, 7)]
)
def test_alias_tables_hold_the_poisson_law(mean_per_unit: float, digit_bits: int) -> None:
    """Put back together from the packed entries, in exact integers, every probability is Poisson's."""
    columns = 1 << _tables.poisson_column_bits(mean_per_unit, digit_bits)
    entries = _tables.poisson_entries(mean_per_unit, digit_bits).view(np.uint32).reshape(-1, columns)
    full = 2**32 // columns
    thresholds, aliases = entries.astype(np.int64) % full, entries.astype(np.int64) // full
    shares = thresholds.copy()
    for row in range(len(entries)):
        np.add.at(shares[row], aliases[row], full - thresholds[row])
    starts = _tables.poisson_starts(mean_per_unit, digit_bits)
    counts = starts[:, None] + np.arange(columns)
    law = stats.poisson.pmf(counts, mean_per_unit * np.arange(len(entries))[:, None])
    assert np.abs(shares / 2.0**32 - law).max() < 2.0**-32
    assert (shares.sum(axis=1) == 2**32).all()


@pytest.mark.parametrize("seed", [np.int64(7), np.uint8(7), np.int32(-7), np.uint64(2**64 - 1)])
def test_seeds_of_numpy_are_integers(seed: Any) -> None:
    images = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    found = corruptions.corrupt(images, "gaussian_noise", severity=3, seed=seed)
    assert torch.equal(found, corruptions.corrupt(images, "gaussian_noise", severity=3, seed=int(seed)))
    assert type(check_seed(seed)) is int
