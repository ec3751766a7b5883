"""Layer probes against stored activations in float64, and their manners."""

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from corruptions import use_compile
from robustbench_act.activations import (
    NSwish,
    activation_layers,
    activation_slope,
    list_activations,
)
from robustbench_act.probes import Probe
from robustbench_act.probes.elements import ElementStatistics
from robustbench_act.probes.sweep import sweep, totals_of
from robustbench_act.tally.layer_columns import HISTOGRAMS, mean_columns
from robustbench_act.tally.mergeable_stats import EDGES, QUANTILES
from tests.references.probes import expected_rows, recorded
from tests.test_robustbench_act.test_activations.test_contract import made

VERSIONS = 3


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


class Functional(nn.Module):
    """Calls functions and a module that calls one inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.ELU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = F.gelu(self.inner(x)).mul(2)
        x = F.relu_(x - 0.1)
        return torch.sigmoid(x) * F.softmax(x, 1) + x.relu() + F.silu(input=x)


def convolutional() -> nn.Module:
    """Return convolution, BatchNorm, PReLU, Dropout, LayerNorm and linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.PReLU(8),
        nn.Dropout(0.5),
        nn.Conv2d(8, 5, 3, stride=2),
        nn.GELU(),
        nn.Flatten(),
        nn.LayerNorm(5 * 7 * 7),
        nn.Linear(5 * 7 * 7, 20),
        nn.Hardswish(inplace=True),
        nn.Linear(20, 10),
        nn.Tanh(),
    )


def batch(*shape: int, samples: int = 5, versions: int = VERSIONS) -> Tensor:
    """Return a stacked batch: random samples, and the same with more and more noise."""
    generator = torch.Generator().manual_seed(1)
    clean = torch.randn(samples, *shape, generator=generator)
    noise = torch.randn(versions, samples, *shape, generator=generator)
    return (clean + noise * 0.2 * torch.arange(versions).view(-1, 1, *[1] * clean[0].ndim)).flatten(0, 1)


def make_network(name: str) -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "twice":
            return Twice().eval(), batch(6)
        if name == "convolutional":
            return convolutional().eval(), batch(3, 16, 16)
        if name.startswith("timm:"):
            timm = pytest.importorskip("timm")
            return timm.create_model(name[5:], pretrained=False).eval(), batch(3, 224, 224, samples=2)
        options = {"init_weights": False} if name == "googlenet" else {}
        return torchvision.models.get_model(name, **options).eval(), batch(3, 64, 64)


def assert_equal(found: dict[Any, Any], expected: dict[str, Any], *, rel: float = 1e-6) -> None:
    moved = expected.pop("_moved")
    for name, value in expected.items():
        floor = 1e-7 if rel < 1e-4 else 1e-3
        if name.endswith("_var") and not np.isnan(value):  # what an error of `rel` in the values makes of it
            size = rel * expected[f"{name[:-4]}_mean"]
            floor += 4 * size * (value**0.5 + size)
        if name.endswith("_offset"):  # a small difference of large sums
            floor += 4 * rel * value**2
        assert found[name] == pytest.approx(value, nan_ok=True, rel=rel, abs=floor), name
    for name in HISTOGRAMS:
        for share in (0.05, 0.25, 0.5, 0.75, 0.95):
            exact = np.quantile(moved[name], share, method="inverted_cdf")
            within_one_bin(found[f"{name}_q{round(100 * share):02d}"], exact, found["elements"])


def within_one_bin(found: float, exact: float, elements: int) -> None:
    if exact / elements <= EDGES[0]:
        assert found == 0
    else:
        ratio = (EDGES[1] / EDGES[0]) * (1 + 1e-6)
        assert exact / ratio <= found <= exact * ratio, (exact / elements, found / elements)


NETWORKS = ["twice", "convolutional", "resnet18", "googlenet", "mobilenet_v3_small"]


@torch.no_grad()
@pytest.mark.parametrize(
    "name", [*NETWORKS, pytest.param("timm:resnet10t", marks=pytest.mark.slow), "timm:test_vit"]
)
def test_equal_to_stored_activations(name: str) -> None:
    model, stacked = make_network(name)
    with recorded([layer for _, layer in activation_layers(model)], functions=name == "googlenet") as stored:
        model(stacked)
    with Probe(model, versions=VERSIONS) as probe:
        model(stacked)
    table = probe.to_frame()
    expected = expected_rows(stored, versions=VERSIONS)
    assert len(table) == len(expected) > 0
    found = table.sort_values(["index", "version"]).to_dict("records")
    for one, other in zip(found, expected, strict=True):
        assert_equal(one, other)


@torch.no_grad()
@pytest.mark.parametrize("samples", [4, 60, 1000])
@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_offset_does_not_depend_on_the_number_of_images(samples: int, mean: float) -> None:
    generator = torch.Generator().manual_seed(samples)
    values = 3 * (mean + torch.randn(samples, 40_000 // samples, generator=generator))
    model = nn.Sequential(nn.ReLU()).eval()
    with Probe(model, metrics=["means"]) as probe:
        model(values)
    assert probe.to_frame()["activation_input_offset"][0] == pytest.approx(mean**2, abs=0.02)


@torch.no_grad()
def test_scale_free_amplification_does_not_depend_on_units() -> None:
    """A gain and a constant that the next layer absorbs change the sums of the papers, but not this ratio."""

    class Scaled(nn.SiLU):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return 7 * super().forward(input) + 3

    found = []
    for activation in (nn.SiLU(), Scaled()):
        model = nn.Sequential(activation).eval()
        with Probe(model, versions=VERSIONS) as probe:
            model(batch(40))
        found.append(probe.to_frame().query("version == 2").iloc[0])
    plain, scaled = found
    assert scaled["amplification_mean"] == pytest.approx(7 * plain["amplification_mean"], rel=1e-5)
    for name in ("output_disturbance", "scale_free_amplification"):
        assert scaled[f"{name}_mean"] == pytest.approx(plain[f"{name}_mean"], rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("sizes", [(5,), (2, 3), (1, 1, 1, 1, 1)])
@pytest.mark.parametrize("name", ["convolutional", "resnet18"])
def test_independent_of_the_batches(name: str, sizes: tuple[int, ...]) -> None:
    model, stacked = make_network(name)
    if name == "convolutional":  # in float32 its linear layers round as the size of the batch has it
        model, stacked = model.double(), stacked.double()
    with Probe(model, versions=VERSIONS) as whole:
        model(stacked)
    with Probe(model, versions=VERSIONS) as probe:
        for part in torch.split(stacked.unflatten(0, (VERSIONS, -1)), list(sizes), 1):  # type: ignore[no-untyped-call]
            model(part.flatten(0, 1))
    one, other = whole.to_frame(), probe.to_frame()
    assert (other["n"] == 5).all()
    exactly = 1e-6 if 1 in sizes else 1e-9
    for column in one.columns.drop("layer"):
        np.testing.assert_allclose(other[column], one[column], rtol=exactly, atol=1e-12, err_msg=column)


@pytest.mark.parametrize("elements", [1, 2, 21, 1000])
@pytest.mark.parametrize("least", [-torch.inf, 0.0])
def test_quantiles_of_element_means_are_those_of_numpy(elements: int, least: float) -> None:
    """To the bit; of one sample, whose values are the means. Also if some are not finite."""
    values = batch(elements, samples=1, versions=4).unsqueeze(1).clamp(min=least)
    values[1, 0, 0] = torch.nan
    values[2, 0, -1] = torch.inf
    found = ElementStatistics()
    found.swept("activation", values)
    with np.errstate(invalid="ignore"):
        expected = np.quantile(values.flatten(1).double().numpy(), QUANTILES, axis=1)
    columns = [found.columns()[name] for name in mean_columns("activation")[-len(QUANTILES) :]]
    np.testing.assert_array_equal(torch.stack(columns).numpy(), expected)


@torch.no_grad()
@pytest.mark.parametrize("sizes", [(16, 16, 8), (7, 30, 3), (1,) * 40, (15, 1, 24)])
def test_element_means_are_the_same_to_the_bit_in_any_batches(sizes: tuple[int, ...]) -> None:
    model = nn.Sequential(nn.ReLU(inplace=True)).eval()
    values = batch(5, 6, 7, samples=40).unflatten(0, (VERSIONS, -1))  # type: ignore[no-untyped-call]
    tables = []
    for parts in ([40], list(sizes)):
        with Probe(model, versions=VERSIONS, metrics=["means", "slopes"]) as probe:
            for part in torch.split(values, parts, 1):
                model(part.flatten(0, 1).clone())
        tables.append(probe.to_frame())
    assert tables[0].equals(tables[1])
    exact = values.double().mean(1).flatten(1)
    np.testing.assert_allclose(tables[0]["activation_input_mean"], exact.mean(1), rtol=1e-6)


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("shape", [(40,), (3, 5), (64, 56, 56)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_compiled_sums_are_the_same(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    stacked = batch(*shape).unflatten(0, (VERSIONS, -1)).to(dtype)  # type: ignore[no-untyped-call]
    values = stacked.double().flatten(2)
    elements = values.shape[2]
    use_compile()
    try:
        found = sweep(stacked)
    finally:
        use_compile(False)
    change = values - values[:1]
    torch.testing.assert_close(found.moved, change.abs().sum(2), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.moved_squares, change.square().sum(2), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.squares, values.square().sum(2), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.norm, values[:1].abs().sum(2), rtol=1e-6, atol=0)
    spread = values[:1].var(2, correction=0) * elements
    torch.testing.assert_close(found.deviation, spread, rtol=1e-6, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("samples", [3000, 2048])
def test_memory_does_not_grow_and_blocks_merge(samples: int) -> None:
    """Beyond 1,024 samples what is held is reduced; the numbers stay those of all samples at once."""
    model = nn.Sequential(nn.Tanh()).eval()
    stacked = batch(4, samples=samples).unflatten(0, (VERSIONS, -1))  # type: ignore[no-untyped-call]
    with Probe(model, versions=VERSIONS) as probe:
        for part in torch.split(stacked, 700, 1):
            model(part.flatten(0, 1))
            (layer,) = probe.layers
            assert layer.samples is not None
            assert layer.samples._blocks.rest.shape[-1] <= 1024
    assert layer.samples is not None
    moved = (stacked[2].tanh() - stacked[0].tanh()).double().abs().sum(1)
    clean, _, row = (row for _, row in probe.to_frame().iterrows())
    assert clean["input_variance"] == pytest.approx(stacked[0].var(correction=0).item(), rel=1e-6)
    assert row["n"] == samples
    assert row["output_fluctuation_mean"] == pytest.approx(moved.mean().item(), rel=1e-6)
    assert row["output_fluctuation_var"] == pytest.approx(moved.var().item(), rel=1e-6)
    assert layer.samples.reduced().histograms[1].sum(1).tolist() == [samples] * 3


@torch.no_grad()
def test_functions_are_layers_named_by_their_caller() -> None:
    model = nn.Sequential(Functional()).eval()
    with Probe(model, versions=1) as probe:
        model(batch(6, versions=1))
    names = [layer.name for layer in probe.layers]
    assert names == ["0.inner.1", "0.gelu()", "0.relu()", "0.relu()#2", "0.silu()"]


@torch.no_grad()
@pytest.mark.parametrize("name", list_activations())
def test_slope_is_the_diagonal_of_the_jacobian(name: str) -> None:
    x = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    activation = made(name).double()
    activation(x)
    activation.eval()
    with torch.enable_grad():
        jacobian = torch.autograd.functional.jacobian(activation, x).reshape(24, 24)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(activation_slope(activation, x), jacobian.diagonal().view(x.shape))
    activation.bfloat16()
    with torch.inference_mode():
        narrow = activation_slope(activation, x.bfloat16())
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), jacobian.diagonal().view(x.shape), rtol=2e-2, atol=2e-2)


@torch.no_grad()
def test_signal_of_a_normalized_activation_is_that_of_the_function_inside() -> None:
    x = torch.randn(64, 30, generator=torch.Generator().manual_seed(4)) * 2 + 0.5
    act = NSwish()
    act(x)
    model = nn.Sequential(act).eval()
    with Probe(model, metrics=["signal"]) as probe:
        out = model(x)
    row = probe.to_frame().iloc[0]
    y, plain = x.double(), F.silu(x.double())
    rho = (plain.square().mean() / y.var(correction=0)).item()
    assert row["rho"] == pytest.approx(rho, rel=1e-5)
    assert row["rho"] == pytest.approx(act.rho.item(), rel=1e-4)  # the first batch initialised the average
    assert row["rho_prime"] == pytest.approx(act.rho_prime.item(), rel=1e-4)
    assert row["lambda"] == pytest.approx(act.gain().item(), rel=1e-4)
    expected = (out.double().square().mean() / y.var(correction=0)).item()
    assert row["normalized_rho"] == pytest.approx(expected, rel=1e-5)
    assert row["normalized_rho_prime"] == pytest.approx(row["lambda"] ** 2 * row["rho_prime"], rel=1e-4)


def test_gradient_variance() -> None:
    first, last = nn.Linear(6, 5), nn.Linear(5, 4)
    model = nn.Sequential(first, nn.ReLU(inplace=True), last, nn.SiLU()).eval()
    x, target = batch(6, versions=1), torch.tensor([0, 1, 2, 3, 0])
    with Probe(model, metrics=["gradients"]) as probe:
        for rows in (slice(0, 2), slice(2, 5)):
            F.cross_entropy(model(x[rows]), target[rows], reduction="sum").backward()  # type: ignore[no-untyped-call]
    hidden = first(x).detach().double().requires_grad_()
    second = F.linear(hidden.relu(), last.weight.double(), last.bias.double())
    loss = F.cross_entropy(F.silu(second), target, reduction="sum")
    gradients = torch.autograd.grad(loss, [hidden, second])
    for found, gradient in zip(probe.to_frame()["gradient_variance"], gradients, strict=True):
        assert found == pytest.approx(gradient.var(correction=0).item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 4, 4), (0, 4)])
@pytest.mark.parametrize("kind", ["float32", "channels_last", "float64", "strided"])
def test_sums_are_those_of_the_definition(shape: tuple[int, ...], kind: str) -> None:
    """By the compiled loop where it applies; the totals go on from what is there, in any division."""
    stacked = torch.randn(3, 7, *shape, generator=torch.Generator().manual_seed(0)) + 1
    if kind == "float64":
        stacked = stacked.double()
    elif kind == "strided":
        stacked = torch.stack([stacked, stacked], -1)[..., 0]
    elif kind == "channels_last" and len(shape) == 3:
        stacked = stacked.movedim(2, -1).contiguous().movedim(-1, 2)
    values = stacked.double().flatten(2)
    totals = totals_of(stacked)
    found = sweep(stacked, totals)
    change, clean = values - values[:1], values[:1]
    mean = clean.mean(2, keepdim=True).nan_to_num()
    expected = [change.abs().sum(2), change.square().sum(2), values.square().sum(2), clean.abs().sum(2)]
    for got, exact in zip(found, [*expected, (clean - mean).square().sum(2)], strict=True):
        torch.testing.assert_close(got.nan_to_num(), exact, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(totals.flatten(1), values.sum(1), rtol=1e-6, atol=1e-9)
    again = totals_of(stacked)
    for part in (stacked[:, :2], stacked[:, 2:].clone(memory_format=torch.contiguous_format)):
        sweep(part, again)
    assert torch.equal(again, totals)
