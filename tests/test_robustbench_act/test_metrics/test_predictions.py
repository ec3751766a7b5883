"""What logits say, against scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from robustbench_act.errors import InputError
from robustbench_act.metrics.predictions import Scores, score
from robustbench_act.tally.calibration import calibration_error

N, CLASSES = 503, 12


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    return 2 * torch.randn(N, CLASSES, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.randint(CLASSES, (N,), generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def scores(logits: torch.Tensor, labels: torch.Tensor) -> Scores:
    return score(logits, labels)


def test_equal_to_scikit_learn(scores: Scores, logits: torch.Tensor, labels: torch.Tensor) -> None:
    probability = logits.double().softmax(1).numpy()
    names = np.arange(CLASSES)
    assert scores.correct.double().mean() == accuracy_score(labels, logits.argmax(1))
    assert scores.top5.double().mean() == top_k_accuracy_score(labels, probability, k=5, labels=names)
    assert float(scores.loss.double().mean()) == pytest.approx(
        log_loss(labels, probability, labels=names), rel=1e-6
    )
    one_hot = np.eye(CLASSES)[labels]
    assert float(scores.brier.double().mean()) == pytest.approx(
        ((probability - one_hot) ** 2).sum(1).mean(), rel=1e-6
    )


@pytest.mark.parametrize("bins", [15, 10])
def test_calibration_error_is_that_of_torchmetrics(
    scores: Scores, logits: torch.Tensor, labels: torch.Tensor, bins: int
) -> None:
    expected = multiclass_calibration_error(logits.softmax(1), labels, CLASSES, n_bins=bins, norm="l1")
    found = calibration_error(scores.confidence.numpy(), scores.correct.numpy(), bins=bins)
    assert found == pytest.approx(float(expected), rel=1e-5)


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
    assert score(torch.randn(8, 3), torch.zeros(8, dtype=torch.int64)).top5.all()


def test_versions_are_scored_each(logits: torch.Tensor, labels: torch.Tensor) -> None:
    both = score(torch.stack([logits, -logits]), labels)
    for whole, single in zip(both, score(-logits, labels), strict=True):
        assert torch.equal(whole[1], single)
