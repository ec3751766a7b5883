"""Layer probes against sums written out by hand, and their manners."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustbench_act.activations import LASiLU
from robustbench_act.probes import LayerProbe


class Twice(nn.Module):
    """Calls one in-place activation twice, with a branch in between."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 4)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        hidden = self.act(self.first(x))
        return torch.as_tensor(self.act(self.second(hidden) + hidden[:, :4]))


@pytest.fixture
def stacked() -> Tensor:
    """Return three versions of five samples: (3, 5, 6)."""
    return torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(1))


def by_hand(model: Twice, stacked: Tensor) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return input and output of both calls as float64 arrays (versions, samples, elements)."""
    x = stacked.double().numpy()
    w1, b1 = model.first.weight.double().numpy(), model.first.bias.double().numpy()
    w2, b2 = model.second.weight.double().numpy(), model.second.bias.double().numpy()
    y1 = x @ w1.T + b1
    a1 = np.maximum(y1, 0)
    y2 = a1 @ w2.T + b2 + a1[..., :4]
    return [(y1, a1), (y2, np.maximum(y2, 0))]


@torch.no_grad()
def test_in_place_and_repeated_calls(stacked: Tensor) -> None:
    model = Twice().eval().requires_grad_(False)
    with LayerProbe(model, groups=3, element_means=True) as probe:
        for part in (stacked[:, :2], stacked[:, 2:4], stacked[:, 4:]):
            model(part.flatten(0, 1))
    records = list(probe)
    assert [(record.layer, record.elements) for record in records] == [("act", 6), ("act#2", 4)]
    for record, (y, a) in zip(records, by_hand(model, stacked), strict=True):
        for found, values in ((record.input_fluctuation, y), (record.output_fluctuation, a)):
            np.testing.assert_allclose(found, np.abs(values - values[:1]).sum(-1), rtol=1e-6)
        mean, absolute = record.activation_means()
        np.testing.assert_allclose(mean, a.mean(1).mean(1), rtol=1e-6)
        np.testing.assert_allclose(absolute, np.abs(a.mean(1)).mean(1), rtol=1e-6)


@torch.no_grad()
def test_hooks_are_gone_afterwards_also_after_an_exception(stacked: Tensor) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), LASiLU()).eval()

    def hooks() -> int:
        return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())

    before = hooks()
    wrong = LayerProbe(model, groups=3)
    with pytest.raises(RuntimeError), wrong:
        model(torch.zeros(3, 5))
    assert hooks() == before
    with LayerProbe(model, groups=3) as probe:
        assert hooks() > before
        out = model(stacked.flatten(0, 1))
    assert hooks() == before
    assert [record.layer for record in probe] == ["1", "3"]
    assert torch.equal(out, model(stacked.flatten(0, 1)))


@torch.no_grad()
def test_without_element_means_they_are_missing() -> None:
    model = nn.Sequential(nn.ReLU()).eval()
    with LayerProbe(model, groups=1) as probe:
        model(torch.ones(4, 3))
    (record,) = probe
    assert record.activation_sum is None
    assert all(values.isnan().all() for values in record.activation_means())
    assert record.input_fluctuation.tolist() == [[0.0] * 4]


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 2, 9, 5, generator=torch.Generator().manual_seed(2)).to(dtype)
    model = nn.Sequential(nn.ReLU()).eval()
    with LayerProbe(model, groups=2) as probe:
        model(x.flatten(0, 1))
    (record,) = probe
    expected = (x[1] - x[0]).double().abs().flatten(1).sum(1).mean()
    assert record.input_fluctuation[1].double().mean().item() == pytest.approx(
        expected.item(), rel=1e-2 if dtype == torch.bfloat16 else 1e-12
    )
