"""The quantities of a cell, against scikit-learn and torchmetrics; one more is one entry."""

from statistics import fmean

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from robustbench_act.errors import InputError
from robustbench_act.tally.answers import Answers
from robustbench_act.tally.calibration import calibration_error, debiased_calibration_error
from robustbench_act.tally.cell_quantities import CONFIDENCE, OUTCOMES
from robustbench_act.tally.cell_rows import count_cells
from robustbench_act.tally.quantity_kinds import Row

N, CLASSES = 503, 12


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    return 2 * torch.randn(N, CLASSES, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.randint(CLASSES, (N,), generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def row(logits: torch.Tensor, labels: torch.Tensor) -> Row:
    (counted,) = count_cells(Answers(logits[None], labels))
    return counted


def test_equal_to_scikit_learn(row: Row, logits: torch.Tensor, labels: torch.Tensor) -> None:
    probability = logits.double().softmax(1).numpy()
    names = np.arange(CLASSES)
    assert row["n"] == N
    assert row["correct"] / N == accuracy_score(labels, logits.argmax(1))
    assert row["top5_sum"] / N == top_k_accuracy_score(labels, probability, k=5, labels=names)
    assert row["loss_sum"] / N == pytest.approx(log_loss(labels, probability, labels=names), rel=1e-6)
    one_hot = np.eye(CLASSES)[labels]
    assert row["brier_sum"] / N == pytest.approx(((probability - one_hot) ** 2).sum(1).mean(), rel=1e-6)


@pytest.mark.parametrize("bins", [15, 10])
def test_calibration_error_is_that_of_torchmetrics(
    row: Row, logits: torch.Tensor, labels: torch.Tensor, bins: int
) -> None:
    expected = multiclass_calibration_error(logits.softmax(1), labels, CLASSES, n_bins=bins, norm="l1")
    confidence, correct = (each.unpack(row[each.name], N) for each in (CONFIDENCE, OUTCOMES))
    assert calibration_error(confidence, correct, bins=bins) == pytest.approx(float(expected), rel=1e-5)


def test_calibration_error_of_equal_mass_takes_ranks() -> None:
    confidence = [0.95, 0.9, 0.8, 0.6, 0.5, 0.3]
    correct = [True, False, True, True, False, False]
    lower, upper = abs(1 - 1.4) / 6, abs(2 - 2.65) / 6  # the three least and the three most sure
    assert calibration_error(confidence, correct, bins=2, equal_mass=True) == pytest.approx(lower + upper)
    wide = abs(0 - 0.8) / 6 + abs(3 - 3.25) / 6  # (0, 0.5] has two
    assert calibration_error(confidence, correct, bins=2) == pytest.approx(wide)


def test_a_confidence_on_a_border_belongs_to_the_bin_below() -> None:
    assert calibration_error([0.5, 0.6], [True, False], bins=2) == pytest.approx((0.5 + 0.6) / 2)
    assert calibration_error([0.5, 0.4], [True, False], bins=2) == pytest.approx(0.1 / 2)


def test_equal_confidences_keep_their_order() -> None:
    """Of four that are equally sure the first two make the lower bin."""
    assert calibration_error([0.5] * 4, [True, True, False, False], bins=2, equal_mass=True) == 0.5
    many = [True] * 20 + [False] * 20  # an unstable sort moves these
    assert calibration_error([0.5] * 40, many, bins=2, equal_mass=True) == 0.5


def test_calibration_error_at_its_limits() -> None:
    assert calibration_error([1.0, 1.0], [True, True]) == 0
    assert calibration_error([1.0, 1.0], [False, False]) == 1
    assert np.isnan(calibration_error([], []))
    assert calibration_error([0.4], [True], equal_mass=True) == pytest.approx(0.6)
    with pytest.raises(InputError, match=r"one length, got \(2,\) and \(1,\)"):
        calibration_error([0.1, 0.2], [True])


def test_fewer_than_five_classes_are_always_in_the_top_five() -> None:
    (row,) = count_cells(Answers(torch.randn(1, 8, 3), torch.zeros(8, dtype=torch.int64)))
    assert row["top5_sum"] == 8


def test_versions_are_counted_each(logits: torch.Tensor, labels: torch.Tensor, row: Row) -> None:
    first, second = count_cells(Answers(torch.stack([logits, -logits]), labels))
    assert first == row
    (alone,) = count_cells(Answers(-logits[None], labels))
    assert second == alone | {
        "version": 1,
        "agreement_sum": (logits.argmax(1) == logits.argmin(1)).sum(),
        "severity_flips_sum": (logits.argmax(1) != logits.argmin(1)).sum(),
    }


def test_flips_are_from_one_version_to_the_next() -> None:
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 0, 0], [0, 1, 1], [1, 1, 1]]), 2).float()
    rows = count_cells(Answers(logits, torch.zeros(3, dtype=torch.int64)))
    assert [row["severity_flips_sum"] for row in rows] == [0, 2, 1]
    assert [row["agreement_sum"] for row in rows] == [3, 1, 0]


def test_without_labels_the_clean_predictions_are_the_outcomes(logits: torch.Tensor) -> None:
    both = torch.stack([logits, logits.roll(1, 0)])
    for row, known in zip(
        count_cells(Answers(both, None)), count_cells(Answers(both, both[0].argmax(1))), strict=True
    ):
        missing = {name for name, value in row.items() if value != known[name]}
        assert missing == {"correct", "top5_sum", "loss_sum", "brier_sum"}
        assert all(np.isnan(row[name]) for name in missing)


@pytest.mark.parametrize(("value", "finite"), [(0.0, True), (float("nan"), False), (float("inf"), False)])
def test_logits_that_are_not_finite_are_found(value: float, finite: bool) -> None:
    logits = torch.zeros(2, 3, 4)
    logits[1, 2, 3] = value
    assert Answers(logits, torch.zeros(3, dtype=torch.int64)).are_finite() is finite


def test_debiased_calibration_error_is_that_of_all_pairs() -> None:
    """From the definition: the mean product of the gaps of two different images of a bin, weighed by size."""
    random = np.random.default_rng(4)
    confidence, correct = random.uniform(0, 1, 80), random.random(80) < 0.4
    gaps, total = correct - confidence, 0.0
    for b in range(15):
        inside = [gap for c, gap in zip(confidence, gaps, strict=True) if b / 15 < c <= (b + 1) / 15]
        pairs = [one * other for i, one in enumerate(inside) for j, other in enumerate(inside) if i != j]
        total += len(inside) / 80 * fmean(pairs) if pairs else 0.0
    assert debiased_calibration_error(confidence, correct) == pytest.approx(total**0.5)


def test_a_calibrated_network_has_a_debiased_error_around_zero() -> None:
    random = np.random.default_rng(0)
    found, plain = [], []
    for _ in range(300):
        confidence = random.uniform(0.1, 1, 60)
        correct = random.random(60) < confidence
        found.append(debiased_calibration_error(confidence, correct))
        plain.append(calibration_error(confidence, correct))
    assert np.mean(plain) > 0.1
    assert np.mean(found) == pytest.approx(0, abs=0.02)


def test_debiased_calibration_error_at_its_limits() -> None:
    assert debiased_calibration_error([1.0, 1.0], [False, False]) == 1
    assert debiased_calibration_error([1.0, 1.0], [True, True]) == 0
    assert debiased_calibration_error([0.5, 0.5], [True, False]) == -0.5  # one pair: 0.5 * -0.5
    for few in ([], [0.4], [0.1, 0.9]):  # no bin has two
        assert np.isnan(debiased_calibration_error(few, [True] * len(few)))
