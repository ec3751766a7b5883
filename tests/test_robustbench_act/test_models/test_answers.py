"""The answer is found in whatever a network returns, or the refusal names what is there."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from robustbench_act.behaviour import logits_of, look_at
from robustbench_act.errors import InputError
from robustbench_act.models import UnclearOutputError, answer_entry, answer_rows
from robustbench_act.records import Behaviour
from tests.test_robustbench_act.test_behaviour.networks import CLASSES, Net

LOGITS = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
OTHER, FEATURES, LOSS = LOGITS + 1, torch.zeros(3, 512), torch.tensor(0.5)


class Named(NamedTuple):
    logits: Tensor
    aux_logits: Tensor


@dataclass
class Fields:
    features: Tensor
    scores: Tensor


class ModelOutput(OrderedDict[str, Any]):
    """Like that of transformers: a dictionary whose items are attributes too."""


@pytest.mark.parametrize(
    ("output", "entry"),
    [
        (LOGITS, ""),
        ({"loss": LOSS, "logits": LOGITS, "aux": OTHER}, "logits"),
        (ModelOutput(hidden_states=(FEATURES,), logits=LOGITS), "logits"),
        (Named(LOGITS, OTHER), "logits"),
        (SimpleNamespace(logits=LOGITS, features=FEATURES), "logits"),
        (Fields(FEATURES, LOGITS), "scores"),
        ((FEATURES, LOGITS), "1"),
        ([LOGITS], "0"),
        ((LOSS, {"deep": OTHER}, LOGITS, LOGITS.argmax(1)), "2"),
    ],
)
def test_each_form(output: Any, entry: str) -> None:
    assert answer_entry(output, 3, 10) == entry
    assert torch.equal(answer_rows(output, 3, entry), LOGITS)


def test_two_classes_may_have_one_column_or_none() -> None:
    one = {"features": FEATURES, "score": LOGITS[:, 0]}
    assert answer_entry(one, 3, 2) == "score"
    assert answer_rows(one, 3, "score").shape == (3, 1)
    with pytest.raises(UnclearOutputError, match="none may be the logits"):
        answer_entry(one, 3, 10)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ((LOGITS, OTHER), r"a tuple of 0 \(3, 10\), 1 \(3, 10\), of which 2 may be the logits"),
        ({"a": FEATURES, "b": "text"}, r"a dict of a \(3, 512\), b str, of which none may be the logits"),
    ],
)
def test_what_is_not_clear_is_refused_by_names_and_shapes(output: Any, said: str) -> None:
    with pytest.raises(UnclearOutputError, match=rf"logits \(3, 10\) from the network, got {said}: return"):
        answer_entry(output, 3, 10)


def test_an_entry_that_has_gone_or_is_no_row_is_named() -> None:
    with pytest.raises(InputError, match="an output with 'logits', as on the first images, got dict"):
        answer_rows({"scores": LOGITS}, 3, "logits")
    with pytest.raises(InputError, match=r"from the network in 'logits', got \(3, 4, 10\): return them"):
        answer_rows({"logits": torch.zeros(3, 4, 10)}, 3, "logits")


class Wrapped(Net):
    """Returns more than its logits."""

    def __init__(self, wrap: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        features = self.features(x)
        return self.wrap(features, self.last(features))


def looked(network: nn.Module) -> Behaviour:
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return look_at(network.eval(), images[:3], images[3], classes=CLASSES, company=images)


def test_the_look_records_the_entry_and_the_run_takes_it() -> None:
    network = Wrapped(lambda features, logits: {"features": features, "scores": logits}).eval()
    found = looked(network)
    assert found.entry == "scores"
    assert found.decisive() == {"entry": "scores"}
    assert found.notes() == ["returns more than a tensor; its entry 'scores' is used"]
    x = torch.rand(5, 1, 8, 8)
    assert torch.equal(logits_of(network, x, found), Net().eval()(x))


def test_in_training_the_answer_is_found_again() -> None:
    """As in torchvision's GoogLeNet, which returns a tensor in evaluation mode alone."""
    network = Wrapped(lambda features, logits: logits)
    found = looked(network)
    network.train().wrap = lambda features, logits: Named(logits, features)
    x = torch.rand(5, 1, 8, 8)
    assert torch.equal(logits_of(network, x, found), Net()(x))


def test_an_unclear_answer_is_refused_before_the_run() -> None:
    with pytest.raises(InputError, match=r"got a tuple of 0 \(3, 10\), 1 \(3, 10\), of which 2 may be"):
        looked(Wrapped(lambda features, logits: (logits, 2 * logits)))
