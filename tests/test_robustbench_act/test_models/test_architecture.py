"""Networks: parameter names, published weights, shapes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.errors import InputError
from robustbench_act.models import Architecture, CifarResNet, build_model, list_architectures

PUBLISHED = "reference/layeract/trained_networks/CIFAR10/resnet20"


@pytest.mark.parametrize("activation", ["relu", "prelu", "la_silu", "la_hardsilu"])
def test_published_checkpoints_give_their_logits(activation: str, shared: Callable[[str], Path]) -> None:
    folder = shared(PUBLISHED)
    checkpoint = load_checkpoint(folder / f"{activation}_1.pth.tar")
    with np.load(folder / f"{activation}_1_io.npz") as stored, torch.inference_mode():
        logits = checkpoint.model(torch.from_numpy(stored["inputs"]))
        np.testing.assert_allclose(logits.numpy(), stored["logits"], atol=1e-5)
    assert checkpoint.spec.activation == activation
    assert checkpoint.spec.architecture == "resnet20"


def test_resnet50_of_torchvision_has_the_published_parameter_names(shared: Callable[[str], Path]) -> None:
    lines = shared("reference/layeract/resnet50_state_dict_keys.txt").read_text().splitlines()
    published = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if line}
    with torch.device("meta"):
        model = build_model("torchvision:resnet50", activation="la_silu", classes=1000)
    ours = {name: str(tuple(value.shape)) for name, value in model.state_dict().items()}
    assert ours == published


@pytest.mark.parametrize("depth", [8, 20, 32, 44, 56])
def test_depth_counts_the_layers_with_weights(depth: int) -> None:
    model = CifarResNet(depth, activation=nn.ReLU, width=2)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    assert sum(isinstance(module, nn.ReLU) for module in model.modules()) == depth - 1


@pytest.mark.parametrize("size", [(17, 11), (8, 8), (32, 32)])
def test_any_image_size_width_and_channels(size: tuple[int, int]) -> None:
    model = build_model("cifar:resnet8?width=6", activation="silu", classes=7, channels=1).eval()
    assert model(torch.zeros(3, 1, *size)).shape == (3, 7)
    assert model.get_parameter("conv1.weight").shape == (6, 1, 3, 3)


def test_shortcut_is_option_a() -> None:
    """With zero weights a block adds nothing, so only the subsampled, zero-padded input is left."""
    model = CifarResNet(8, activation=nn.Identity, width=2)
    block = model.layers2[0].eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4)
    y = block(x)
    assert y.shape == (1, 4, 2, 2)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


def test_torchvision_network_with_another_activation() -> None:
    model = build_model("torchvision:resnet18", activation="la_hardsilu", classes=10)
    names = {type(module).__name__ for module in model.modules()}
    assert "LAHardSiLU" in names
    assert "ReLU" not in names


def test_factory_from_the_working_folder(module: Callable[[str, str], str]) -> None:
    module(
        "my_networks_for_a_test",
        "from torch import nn\n"
        "def tiny(*, classes, channels, width=3):\n"
        "    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.ReLU(), nn.Flatten(),\n"
        "        nn.LazyLinear(classes))\n"
        "def wrong(*, classes, channels): return 3\n",
    )
    model = build_model("my_networks_for_a_test:tiny?width=5", activation="la_silu", channels=1)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert type(model.get_submodule("1")).__name__ == "LASiLU"
    with pytest.raises(InputError, match=r"torch\.nn\.Module, got int"):
        build_model("my_networks_for_a_test:wrong")


FACTORIES = """
from torch import nn

def plain():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))

class Net(nn.Module):
    def __init__(self, act="relu", slope=0.5, *, bias=True, side):
        super().__init__()
        self.told = dict(act=act, slope=slope, bias=bias, side=side)

class Open(nn.Module):
    def __init__(self, classes, *rest, **options):
        super().__init__()
        self.told = dict(options, classes=classes)

def lost(images): ...
"""


def test_a_factory_is_given_what_it_takes_and_options_of_any_kind(module: Callable[[str, str], str]) -> None:
    name = module("factories_of_all_kinds", FACTORIES)

    def told(options: str) -> Any:
        return build_model(f"{name}:{options}", classes=7, input_size=(1, 9, 9)).told

    assert build_model(f"{name}:plain", classes=7)(torch.zeros(2, 3, 4, 4)).shape == (2, 10)
    assert told("Net") == {"act": "relu", "slope": 0.5, "bias": True, "side": 9}
    written = "Net?act=gated&bias=False&slope=1e-2&side=12"
    assert told(written) == {"act": "gated", "slope": 0.01, "bias": False, "side": 12}
    assert told("Open?text=1_000&place=a/b") == {
        "classes": 7,
        "channels": 1,
        "text": "1_000",
        "place": "a/b",
    }
    with pytest.raises(InputError, match=r"lost': the call with \(\) raised TypeError: .* 'images'"):
        told("lost")
    with pytest.raises(InputError, match=r"\(side=9, colour='red'\) raised TypeError: .* 'colour'"):
        told("Net?colour=red")


@pytest.mark.parametrize("text", ["m:f?a=gated&b=0.1&c=True&d=3", "m:f?name=a%26b%3Dc+d", "m:f?s=1e-05&t="])
def test_the_canonical_form_is_read_again(text: str) -> None:
    assert str(Architecture.parse(text)) == text
    assert Architecture.parse(str(Architecture.parse(text))) == Architecture.parse(text)


def test_programs_that_a_factory_returns_are_refused(module: Callable[[str, str], str]) -> None:
    module(
        "programs_for_a_test",
        "import warnings, torch\n"
        "from torch import nn\n"
        "def make(classes, channels, kind):\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(4, classes)).eval()\n"
        "    with warnings.catch_warnings():\n"
        "        warnings.simplefilter('ignore')\n"
        "        if kind == 0: return torch.jit.script(net)\n"
        "        if kind == 1: return torch.compile(net)\n"
        "        if kind == 4: return torch.fx.symbolic_trace(net)\n"
        "        if kind == 5: return nn.Sequential(nn.Flatten(), torch.jit.script(nn.Linear(4, classes)))\n"
        "        program = torch.export.export(net, (torch.zeros(2, 1, 2, 2),))\n"
        "        return program.module() if kind == 2 else torch.export.unflatten(program)\n",
    )

    def build(kind: int) -> nn.Module:
        return build_model(f"programs_for_a_test:make?kind={kind}", channels=1)

    export = "returned a program of torch.export, whose"
    refused = [
        "returned a TorchScript program, whose",
        "returned a compiled network, .* --compile",
        export,
        export,
    ]
    for kind, message in enumerate(refused):
        with pytest.raises(InputError, match=message):
            build(kind)
    for kind in (4, 5):  # layers that can be watched, at least around the script
        assert build(kind)(torch.zeros(2, 1, 2, 2)).shape == (2, 10)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("cifar:resnet21", "Unknown architecture 'cifar:resnet21'. Did you mean 'cifar:resnet"),
        ("torchvision:resnet19", "Did you mean 'torchvision:resnet1"),
        ("resnet8?width=wide", "'cifar:resnet8?width=wide': takes only width=N, N a whole number from 1 up"),
        ("resnet8?width=true", "takes only width=N, N a whole number from 1 up"),
        ("resnet8?width=0", "N a whole number from 1 up"),
        ("resnet8?depth=3", "takes only width=N"),
        ("small:mpl", "Unknown architecture 'small:mpl'. Did you mean 'small:mlp'?"),
        ("mlp?depth=-1", "'small:mlp?depth=-1': takes only depth=N and width=N, N a whole number from 1 up"),
        ("mlp?depth=2.5", "N a whole number from 1 up"),
        ("mlp?size=3", "takes only depth=N and width=N"),
        ("torchvision:resnet18?width=3", "takes 3 channels and no options"),
        ("no_such_package:net", "No module named 'no_such_package'"),
        ("os:sep", "sep is not a function"),
    ],
)
def test_wrong_architectures(architecture: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        build_model(architecture)
    assert message in str(error.value)


def test_canonical_form_and_listing() -> None:
    assert str(Architecture.parse("resnet50")) == "torchvision:resnet50"
    assert str(Architecture.parse("resnet56?width=8")) == "cifar:resnet56?width=8"
    assert str(Architecture.parse("mlp?width=8&depth=3")) == "small:mlp?depth=3&width=8"
    assert {"cifar:resnet8", "small:mlp", "torchvision:resnet18"} <= set(list_architectures())
