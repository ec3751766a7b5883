"""How layer probes behave: shifts injected, hooks gone, what cannot be probed, other precisions, memory."""

import gc
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations import (
    LASiLU,
    activation_layers,
    list_activations,
)
from robustbench_act.errors import InputError
from robustbench_act.probes import DEFAULT_METRICS, Injection, Probe
from robustbench_act.tally.layer_columns import HISTOGRAMS
from tests.references.probes import expected_rows, recorded
from tests.test_corruptions.test_device import fake_cuda
from tests.test_robustbench_act.test_activations.test_contract import OURS, made
from tests.test_robustbench_act.test_probes.test_probe import VERSIONS, assert_equal, batch, make_network


@torch.no_grad()
def test_clean_against_clean_is_exactly_zero() -> None:
    model, stacked = make_network("resnet18")
    clean = stacked[:5]
    with Probe(model, metrics=["fluctuation"], versions=2) as probe:
        model(torch.cat([clean, clean]))
    table = probe.to_frame()
    for name in HISTOGRAMS:
        assert (table[[f"{name}_mean", f"{name}_var", f"{name}_q95"]] == 0).all().all()
    assert table["amplification_mean"].isna().all()  # 0 / 0


@torch.no_grad()
def test_injection_moves_the_layer_and_none_before_it() -> None:
    model, stacked = make_network("convolutional")
    clean = stacked[:5]
    with Probe(model, versions=2, injection=Injection("5", "gaussian:0.1")) as probe:
        outputs = model(torch.cat([clean, clean]))
    table = probe.to_frame().query("version == 1").set_index("layer")
    assert table["input_fluctuation_mean"]["2"] == 0
    assert table["output_fluctuation_mean"]["2"] == 0
    # The mean of |0.1 z| is 0.1 sqrt(2 / pi).
    per_element = table["input_fluctuation_mean"]["5"] / table["elements"]["5"]
    assert per_element == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.05)
    assert (table["output_fluctuation_mean"][["5", "9", "11"]] > 0).all()
    assert torch.equal(outputs[:5], model(torch.cat([clean, clean]))[:5])  # kernels go by the batch size
    with Probe(model, versions=2, injection=Injection("5", "gaussian:0.1")) as parts:
        for part in (clean[:2], clean[2:]):
            model(torch.cat([part, part]))
    again = parts.to_frame().query("version == 1").set_index("layer")
    for name in ("input_fluctuation_mean", "output_fluctuation_var"):
        np.testing.assert_allclose(again[name], table[name], rtol=1e-9)


@torch.no_grad()
def test_only_some_layers_are_measured() -> None:
    model, stacked = make_network("convolutional")
    probes = [Probe(model, versions=VERSIONS, only=only) for only in (None, ["5"])]
    for probe in probes:
        with probe:
            model(stacked)
    every, one = (probe.to_frame().drop(columns="index") for probe in probes)
    assert one["layer"].unique().tolist() == ["5"]
    pd.testing.assert_frame_equal(every[every["layer"] == "5"].reset_index(drop=True), one)


def test_injection_is_in_units() -> None:
    clean = batch(40, samples=50)[None, :50]
    found = {}
    for shift in ("gaussian:0.1", "up:0.1", "gain_up:0.1"):
        one, two = (
            Injection("1", shift, unit=unit).apply(clean.expand(2, 50, 40), start=0)[1] - clean[0]
            for unit in (1.0, 20.0)
        )
        found[shift] = float((two / one).nanmedian())
    assert found == pytest.approx({"gaussian:0.1": 20, "up:0.1": 20, "gain_up:0.1": 1}, rel=1e-3)
    with pytest.raises(InputError, match="standard deviation of nan"):
        Injection("1", "up:0.1", unit=float("nan"))


@pytest.mark.parametrize("shift", ["gaussian", "gaussian:x", "gaussian:nan", "fog:1", ""])
def test_injection_refuses(shift: str) -> None:
    with pytest.raises(InputError, match="NAME:SCALE"):
        Injection("1", shift)


@torch.no_grad()
def test_hooks_are_gone_afterwards_also_after_an_exception() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), LASiLU()).eval()
    stacked = batch(6)

    def hooks() -> int:
        return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())

    before = hooks()
    with pytest.raises(RuntimeError), Probe(model, versions=3):
        model(torch.zeros(3, 5))
    assert hooks() == before
    with Probe(model, versions=3) as probe:
        assert hooks() > before
        with pytest.raises(RuntimeError):  # the next pass starts anew
            model(torch.zeros(3, 5))
        out = model(stacked)
    assert hooks() == before
    assert [layer.name for layer in probe.layers] == ["1", "3"]
    assert torch.equal(out, model(stacked))
    outer = nn.Sequential(model).eval()
    with Probe(outer, versions=3) as parts:  # passes of a part of the network, and of a layer alone
        for _ in range(2):
            model(stacked)
            model[3](stacked)
    assert [(layer.name, layer.count) for layer in parts.layers] == [("0.1", 10), ("0.3", 20)]
    F.relu(stacked)  # no function is watched any more
    assert len(probe.layers) == 2


@torch.no_grad()
def test_a_pass_that_fails_behind_a_layer_leaves_the_next_one_its_name() -> None:
    inner = nn.Sequential(nn.ReLU(), nn.Linear(6, 6))
    model = nn.Sequential(inner).eval()
    with Probe(model, metrics=["fluctuation"]) as probe:
        with pytest.raises(RuntimeError):
            inner(torch.zeros(3, 6, dtype=torch.float64))  # fails behind the activation
        model(torch.zeros(3, 6))
    assert [layer.name for layer in probe.layers] == ["0.0"]


class ReturnsATuple(nn.ReLU):
    def forward(self, x: Tensor) -> Any:
        return x, x


@torch.no_grad()
def test_what_cannot_be_probed_is_said() -> None:
    with Probe(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()).eval()) as probe:
        probe._model(torch.zeros(1, 2))
    with pytest.raises(InputError, match="Sequential called none that can be"):
        probe.to_frame()
    model = nn.Sequential(ReturnsATuple()).eval()
    for metrics in (["fluctuation"], ["slopes"]):
        with (
            pytest.raises(InputError, match=r"Layer 0: .* return .* got tuple"),
            Probe(model, metrics=metrics),
        ):
            model(torch.zeros(1, 2))
    relu = nn.Sequential(nn.ReLU()).eval()
    with Probe(relu):
        relu(torch.zeros(4, 2))
        with pytest.raises(InputError, match=r"expected 2 elements per sample .* got 3"):
            relu(torch.zeros(4, 3))
    with Probe(relu, injection=Injection("1", "up:1")) as absent:
        relu(torch.zeros(4, 2))
    with pytest.raises(InputError, match="activation layer '1'"):
        absent.to_frame()
    with pytest.raises(InputError, match=r"3 versions of .* got a batch of 4"), Probe(relu, versions=3):
        relu(torch.zeros(4, 2))
    with pytest.raises(InputError, match="evaluation mode"), Probe(relu.train(), versions=2):
        pass
    with pytest.raises(InputError, match="Unknown probe metric 'mean'"):
        Probe(relu, metrics=["mean"])
    with pytest.raises(InputError, match="at least one version"):
        Probe(relu, versions=0)
    single = nn.Sequential(LASiLU()).eval()
    with pytest.raises(InputError, match="at least 2 elements"), Probe(single):
        single(torch.zeros(3, 1))


@torch.no_grad()
def test_one_sample_has_no_variance() -> None:
    model = nn.Sequential(nn.ReLU()).eval()
    with Probe(model, versions=2) as probe:
        model(torch.tensor([[1.0, 2.0], [1.5, 2.0]]))
    row = probe.to_frame().iloc[1]
    assert row["input_fluctuation_mean"] == 0.5
    assert np.isnan(row["input_fluctuation_var"])


@torch.no_grad()
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_marked_where_they_begin(bad: float) -> None:
    model = nn.Sequential(nn.ReLU6(), nn.Linear(6, 6), nn.ReLU()).eval()
    stacked = batch(6)
    stacked[6, 2] = bad  # the second sample of the first shifted version
    with Probe(model, versions=3) as probe:
        model(stacked)
    table = probe.to_frame().set_index(["version", "layer"])
    assert table["nonfinite"][0].tolist() == [0, 0]
    assert table["nonfinite"][1, "0"] == 1
    assert table["nonfinite"][2].tolist() == [0, 0]
    assert not np.isfinite(table["input_fluctuation_mean"][1, "0"])
    assert np.isfinite(table["input_fluctuation_mean"][2]).all()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    model, stacked = make_network("convolutional")
    model, stacked = model.to(dtype), stacked.to(dtype)
    with recorded([layer for _, layer in activation_layers(model)]) as stored:
        model(stacked)
    with Probe(model, versions=VERSIONS) as probe:
        model(stacked)
    found = probe.to_frame().sort_values(["index", "version"]).to_dict("records")
    for one, other in zip(found, expected_rows(stored, versions=VERSIONS), strict=True):
        if dtype == torch.bfloat16:  # slopes near the edge of saturation round differently
            for name in ("saturated", "dead"):
                assert one[name] == pytest.approx(other.pop(name), abs=0.02)
        assert_equal(one, other, rel=1e-3 if dtype == torch.bfloat16 else 1e-6)


@torch.no_grad()
def test_under_autocast_it_sees_what_the_layers_see() -> None:
    model, stacked = make_network("convolutional")
    layers = [layer for _, layer in activation_layers(model)]
    with recorded(layers) as stored, torch.autocast("cpu", dtype=torch.bfloat16):
        model(stacked)
    probe = Probe(model, versions=VERSIONS, metrics=["fluctuation"])
    with probe, torch.autocast("cpu", dtype=torch.bfloat16):
        model(stacked)
    assert stored.inputs[0].dtype == torch.bfloat16
    found = probe.to_frame().sort_values(["index", "version"])
    for side, values in (("input", stored.inputs), ("output", stored.outputs)):
        versions = [value.double().unflatten(0, (VERSIONS, -1)) for value in values]  # type: ignore[no-untyped-call]
        moved = [(value - value[:1]).abs().flatten(2).sum(2).mean(1) for value in versions]
        np.testing.assert_allclose(found[f"{side}_fluctuation_mean"], torch.cat(moved), rtol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "silu", "prelu", *OURS])
def test_runs_on_fake_cuda_without_synchronising(activation: str) -> None:
    # Where a slope takes autograd, its engine asks for a real device.
    by_formula = ("relu", "silu", "la_silu", "la_hardsilu", "nrelu", "nswish")
    metrics = DEFAULT_METRICS if activation in by_formula else ("fluctuation", "means")
    with torch.device("cuda"), fake_cuda(), torch.no_grad():
        model = nn.Sequential(nn.Conv2d(3, 4, 3), made(activation, 4), nn.Flatten(), nn.ReLU()).eval()
        stacked = torch.empty(6, 3, 8, 8)
        with Probe(model, versions=3, metrics=metrics, injection=Injection("1", "laplace:0.2")) as probe:
            model(stacked)
            model(stacked)
        assert all(
            layer.samples and layer.samples.reduced().moments[0].mean.is_cuda for layer in probe.layers
        )


@pytest.mark.parametrize("activation", list_activations())
def test_slopes_look_at_no_values(activation: str) -> None:
    """On the meta device, which has none: autograd's engine asks for a real GPU under fake CUDA."""
    with torch.device("meta"), torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(3, 4, 3), made(activation, 4), nn.Flatten(), nn.ReLU()).eval()
        with Probe(model, versions=3, metrics=["fluctuation", "means", "slopes"]) as probe:
            model(torch.empty(6, 3, 8, 8))
            model(torch.empty(6, 3, 8, 8))
    assert not probe.left_out
    assert all(layer.element._saturated is not None for layer in probe.layers)
    with pytest.raises(Exception, match=r"meta tensor"):
        torch.ones(1, device="meta").item()


def test_a_probe_that_is_done_with_goes_at_once() -> None:
    """What it holds is large: it must not wait until Python looks for circles."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    gc.disable()
    try:
        with Probe(model, versions=2) as probe, torch.no_grad():
            model(torch.ones(4, 4))
        layer = weakref.ref(probe.layers[0].element)
        assert layer() is not None
        del probe
        assert layer() is None
    finally:
        gc.enable()
