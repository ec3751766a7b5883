"""Probing a checkpoint: training mode leaves no trace, and the numbers are those of the evaluation."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from corruptions import Cell
from robustbench_act import evaluate, load_checkpoint, load_dataset
from robustbench_act.activations import NReLU
from robustbench_act.evaluation import probe_layers
from robustbench_act.probes import gradient_variance
from tests.test_robustbench_act.test_behaviour.networks import DropoutLeftOn, Net


def test_layers_are_those_of_an_evaluation(checkpoints: Path, tmp_path: Path) -> None:
    file = checkpoints / "la_silu_1.safetensors"
    data = load_dataset("digits").subset(40)
    run = evaluate([file], dataset=data, suites=["noise"], severities=[2], device="cpu", out=tmp_path / "run")
    table = probe_layers(load_checkpoint(file), data, cell=Cell("shot_noise", 2))
    for version, chosen in ((0, "corruption == 'clean'"), (1, "corruption == 'shot_noise'")):
        rows = run.layers.query(chosen).set_index("layer")
        found = table[table["version"] == version].set_index("layer")
        assert list(rows.index) == list(found.index)
        for column in found.columns.intersection(rows.columns):
            for measured, expected in zip(found[column], rows[column], strict=True):
                if not math.isnan(expected):  # slopes of the shifted images are in `probe` alone
                    assert measured == pytest.approx(expected, rel=1e-6, abs=1e-9), column


def test_training_mode_leaves_no_trace() -> None:
    model = nn.Sequential(
        nn.Linear(6, 6), nn.BatchNorm1d(6), NReLU(), nn.Dropout(0.5), nn.Linear(6, 3)
    ).eval()
    model[3].train()  # a mode of its own is kept too
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    x, labels = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    first = gradient_variance(model, iter([(x, labels)]), training=True)
    assert gradient_variance(model, iter([(x, labels)]), training=True).equals(first)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [module.training for module in model] == [False, False, False, True, False]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gradients_are_those_of_the_cross_entropy_of_probabilities_too(checkpoints: Path) -> None:
    trained, data = load_checkpoint(checkpoints / "relu_1.safetensors"), load_dataset("digits").subset(20)
    logits, probabilities = (
        probe_layers(
            replace(trained, load=network.eval),
            data,
            cell=Cell("shot_noise", 2),
            gradients=True,
        )["gradient_variance"][0]
        for network in (Net(), nn.Sequential(Net(), nn.Softmax(1)))
    )
    assert probabilities == pytest.approx(logits, rel=1e-4)


def test_gradients_of_a_random_network_are_fixed_by_seeds(checkpoints: Path) -> None:
    network = DropoutLeftOn().eval()
    checkpoint = replace(load_checkpoint(checkpoints / "relu_1.safetensors"), load=lambda: network)
    data = load_dataset("digits").subset(20)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found.append(
            probe_layers(checkpoint, data, cell=Cell("shot_noise", 2), gradients=True, allow_random=True)
        )
        assert torch.equal(torch.get_rng_state(), state)
    pd.testing.assert_frame_equal(found[0], found[1], check_exact=True)


def test_gradients_in_training_mode_are_those_of_a_training_step() -> None:
    norm, head = nn.BatchNorm1d(6), nn.Linear(6, 3)
    model = nn.Sequential(norm, nn.Tanh(), head)
    x, labels = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    found = gradient_variance(model.eval(), iter([(x, labels)]), training=True)["gradient_variance"].item()
    hidden = F.batch_norm(x, None, None, training=True).detach().requires_grad_()
    loss: Tensor = F.cross_entropy(head(hidden.tanh()), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert found == pytest.approx(gradient.double().var(correction=0).item(), rel=1e-5)
