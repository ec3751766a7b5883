"""What networks return is recognised, and made the logits that torch would have had."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.behaviour.outputs import logits_of, recognise
from robustbench_act.errors import InputError
from robustbench_act.records import Behaviour
from robustbench_act.records.behaviour import OUTPUTS

LOGITS = 4 * torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
ONE = LOGITS[:, :1]


class Returns(nn.Module):
    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> Tensor:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "classes", "kind"),
    [
        (LOGITS, 7, "logits"),
        (LOGITS.log_softmax(1), 7, "logits"),
        (LOGITS.softmax(1), 7, "probabilities"),
        (LOGITS.double().softmax(1), 7, "probabilities"),
        (3 * LOGITS.softmax(1), 7, "shares"),  # as of three networks that agree
        (100 * LOGITS.softmax(1), 7, "shares"),
        (LOGITS.sigmoid(), 7, "sigmoids"),
        (ONE, 2, "one logit"),
        (ONE.sigmoid(), 2, "one sigmoid"),
    ],
)
def test_each_kind(answer: Tensor, classes: int, kind: str) -> None:
    assert recognise(answer.float(), classes) == kind
    found = logits_of(Returns(answer), torch.zeros(3, 1), Behaviour(outputs=kind))
    labels = torch.tensor([0, 1, 1])
    if classes == 2:
        expected = F.binary_cross_entropy_with_logits(ONE[:, 0], labels.float())
    else:
        expected = F.cross_entropy(LOGITS, labels)
    assert F.cross_entropy(found, labels).item() == pytest.approx(expected.item(), rel=1e-4)
    assert kind in OUTPUTS


def test_probabilities_that_underflow_stay_finite() -> None:
    sure = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert recognise(sure, 2) == "probabilities"
    assert logits_of(Returns(sure), torch.zeros(2, 1), Behaviour(outputs="probabilities")).isfinite().all()


def test_probabilities_in_half_precision() -> None:
    rounded = torch.tensor([[0.498, 0.502], [0.999, 0.001]]).bfloat16().float()  # which sum to 1 +- 0.003
    assert recognise(rounded, 2) == "probabilities"


def test_probabilities_that_were_added_up() -> None:
    members = [LOGITS, LOGITS.roll(1, 0), -LOGITS]
    summed = torch.stack([one.softmax(1) for one in members]).sum(0)
    assert recognise(summed, 7) == "shares"
    found = logits_of(Returns(summed), torch.zeros(3, 1), Behaviour(outputs="shares"))
    assert torch.allclose(found.softmax(1), summed / 3, atol=1e-6)
    votes = torch.tensor([[4.0, 1.0, 0.0], [0.0, 5.0, 0.0], [2.0, 0.0, 3.0]])
    assert recognise(votes, 3) == "shares"
    with pytest.raises(InputError, match=r"expected numbers from 0 up, .* got -1: return the logits"):
        logits_of(Returns(-votes[1:2] / 5), torch.zeros(1, 1), Behaviour(outputs="shares"))


def test_sums_that_are_equal_because_rows_are_say_nothing() -> None:
    constant = torch.tensor([[2.0, 1.0, 0.5]]).repeat(3, 1)
    assert recognise(constant, 3) == "logits"
    assert recognise(constant + 1e-6 * LOGITS[:, :3], 3) == "logits"
    assert recognise(LOGITS[:1].abs(), 7) == "logits"
    assert recognise(LOGITS.abs(), 7) == "logits"


def test_axes_of_length_one_may_be_missing() -> None:
    assert logits_of(Returns(LOGITS[0]), torch.zeros(1, 1)).shape == (1, 7)
    assert logits_of(Returns(ONE[:, 0]), torch.zeros(3, 1)).shape == (3, 1)
    with pytest.raises(InputError, match=r"got \(7,\)"):
        logits_of(Returns(LOGITS[0]), torch.zeros(3, 1))
    with pytest.raises(InputError, match=r"got \(3,\)"):
        logits_of(Returns(LOGITS.argmax(1)), torch.zeros(3, 1))


def test_complex_numbers_are_no_logits() -> None:
    with pytest.raises(InputError, match="got complex numbers: return them alone, a row of real numbers"):
        logits_of(Returns(LOGITS.to(torch.complex64)), torch.zeros(3, 1))


@pytest.mark.parametrize("kind", ["probabilities", "sigmoids", "one sigmoid"])
def test_numbers_that_were_taken_for_probabilities_by_chance(kind: str) -> None:
    with pytest.raises(
        InputError, match=f"expected {kind}, as on the few images .* to 1.5: return the logits"
    ):
        logits_of(Returns(torch.tensor([[1.5, 0.2]])), torch.zeros(1, 1), Behaviour(outputs=kind))


def test_logits_that_are_kept_to_the_bit() -> None:
    assert logits_of(Returns(LOGITS), torch.zeros(3, 1)) is LOGITS


@pytest.mark.parametrize("answer", [torch.zeros(3, 4), 2 * torch.eye(4)[:3].cumsum(0), torch.zeros(3, 1)])
def test_zeros_are_no_sigmoids(answer: Tensor) -> None:
    """An untrained classifier that begins at zero, what a ReLU lets through."""
    assert recognise(answer, max(answer.shape[1], 2)).endswith(("logits", "logit"))


@pytest.mark.parametrize("answer", [8 * LOGITS, 8 * ONE])
def test_sigmoids_that_were_rounded_to_0_are_doubted(answer: Tensor) -> None:
    """In half precision, as autocast returns them: they are used as they are, and a note says so."""
    rounded = answer.half().sigmoid()
    assert (rounded == 0).any()
    kind = recognise(rounded.float(), max(answer.shape[1], 2))
    assert kind.startswith("perhaps ")
    assert "return the logit" in Behaviour(outputs=kind).notes()[0]
    found = logits_of(Returns(rounded), torch.zeros(3, 1), Behaviour(outputs=kind))
    assert torch.equal(found[:, -1], rounded[:, -1].float())


@pytest.mark.parametrize(("columns", "classes"), [(512, 10), (1001, 1000), (2, 3), (1, 3)])
def test_columns_that_are_no_classes_are_refused(columns: int, classes: int) -> None:
    with pytest.raises(InputError, match=f"returns {columns} columns, expected {classes}, one for each"):
        recognise(torch.randn(3, columns), classes)
