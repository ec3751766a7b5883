"""The multilayer perceptron: its layers and weights, every activation, and a study of it by commands."""

import math
from collections.abc import Callable

import pytest
import torch
from click.testing import Result
from torch import nn

from robustbench_act import load_run
from robustbench_act.activations import activation_layers, list_activations
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.errors import InputError
from robustbench_act.models import build_model
from tests.test_robustbench_act.test_activations.test_contract import made

SIZE = (2, 17, 11)


def test_hidden_layers_then_logits_with_weights_as_he_et_al_draw_them() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("mlp?depth=3&width=300", classes=200, input_size=SIZE)
    assert [type(layer) for layer in model.children()] == [nn.Flatten, *[nn.Linear, nn.ReLU] * 3, nn.Linear]
    weights = [layer.weight for layer in model.children() if isinstance(layer, nn.Linear)]
    assert [tuple(weight.shape) for weight in weights] == [(300, 374), (300, 300), (300, 300), (200, 300)]
    for weight in weights:
        assert weight.std().item() == pytest.approx(math.sqrt(2 / weight.shape[1]), rel=0.03)
    assert model(torch.zeros(5, *SIZE)).shape == (5, 200)


def test_two_hidden_layers_of_128_units_unless_told_otherwise() -> None:
    given, default = (build_model(name, input_size=SIZE) for name in ("mlp?depth=2&width=128", "small:mlp"))
    assert str(given) == str(default)


@pytest.mark.parametrize("activation", sorted({*list_activations()} - {"frelu"}))
def test_every_activation_of_flat_layers_learns(activation: str) -> None:
    model = build_model("mlp?width=6", activation=activation, classes=3, input_size=SIZE)
    layer = str(made(activation, 6))
    assert {name: str(act) for name, act in activation_layers(model)} == {"act1": layer, "act2": layer}
    model(torch.rand(4, *SIZE)).square().sum().backward()
    assert all(own.grad is not None and own.grad.isfinite().all() for own in model.parameters())


def test_without_the_size_of_its_images_it_cannot_be_built() -> None:
    with pytest.raises(InputError, match=r"'small:mlp': is built for one size of images; give input_size"):
        build_model("mlp", channels=1)


def test_full_batch_descent_and_evaluation_by_commands(actrobust: Callable[..., Result]) -> None:
    """A batch of all images is a step of gradient descent, as in LayerAct's study (arXiv 2306.04940)."""
    network = "--dataset digits --arch mlp?width=32 --activation la_silu,prelu --out nets --device cpu"
    trained = actrobust("train", *network.split(), "--epochs", 20, "--batch-size", 1437)
    assert trained.exit_code == 0, trained.output
    spec = load_checkpoint("nets/prelu_1.safetensors").spec
    assert (spec.architecture, spec.input_size) == ("small:mlp?width=32", (1, 8, 8))
    assert (spec.recipe["images"], spec.recipe["steps"]) == (1437, 20)
    study = "--dataset digits --suite noise --severity 3 --device cpu --report none --out run"
    evaluated = actrobust("evaluate", "nets", *study.split())
    assert evaluated.exit_code == 0, evaluated.output
    cells = load_run("run").cells
    clean = cells[(cells["corruption"] == "clean") & (cells["checkpoint"] == "prelu_1")]
    assert clean["accuracy"].tolist() == [spec.clean_accuracy]
    assert clean["accuracy"].item() > 0.7
    assert set(load_run("run").layers["layer"]) == {"act1", "act2"}
