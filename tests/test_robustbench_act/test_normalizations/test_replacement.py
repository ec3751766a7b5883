"""Replaced normalisation layers equal networks built by hand; what cannot be replaced is named."""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.ops.misc import FrozenBatchNorm2d

from robustbench_act import replace_normalization
from robustbench_act.errors import InputError
from robustbench_act.models import build_model
from robustbench_act.normalizations import normalization_of
from robustbench_act.normalizations.layers import kind_of
from robustbench_act.normalizations.replacement import BatchNorm, groups_for

KINDS = ("batch", "layer", "group", "instance", "none")


def resnet(norm: Callable[..., nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return cast(nn.Module, models.resnet18(num_classes=3, norm_layer=norm))


def images(side: int = 64, channels: int = 3) -> Tensor:
    return torch.randn(4, channels, side, side, generator=torch.Generator().manual_seed(1))


def after_a_step(model: nn.Module, x: Tensor) -> Tensor:
    """Return the outputs of a network after a step of training: both passes, and all of its state."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(x).square().sum().backward()
    optimiser.step()
    with torch.no_grad():
        return torch.as_tensor(model.eval()(x))


@pytest.mark.parametrize(
    ("kind", "norm"),
    [
        ("batch", nn.BatchNorm2d),
        ("layer", partial(nn.GroupNorm, 1)),
        ("group", partial(nn.GroupNorm, 32)),
        ("instance", partial(nn.InstanceNorm2d, affine=True)),
        ("none", lambda _: nn.Identity()),
    ],
)
def test_a_resnet_equals_the_one_that_is_built_so(kind: str, norm: Callable[..., nn.Module]) -> None:
    """torchvision takes the layer as an argument: to the bit, also after a step of training."""
    start = resnet(partial(nn.GroupNorm, 2)) if kind == "batch" else resnet(nn.BatchNorm2d)
    found = replace_normalization(start, kind)
    assert normalization_of(found) == kind
    assert torch.equal(after_a_step(found, images()), after_a_step(resnet(norm), images()))


def test_layer_normalisation_is_over_all_elements_of_a_sample() -> None:
    """(x - mean) / sqrt(var + eps) over (C, H, W), as LayerAct normalises, with a scale for each channel."""
    norm = nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.0, -1.0, 1.0]))
    x = images(5).double()
    mean, var = x.mean(dim=(1, 2, 3), keepdim=True), x.var(dim=(1, 2, 3), correction=0, keepdim=True)
    scale, shift = norm.weight.view(1, 3, 1, 1), norm.bias.view(1, 3, 1, 1)
    found = replace_normalization(norm.double(), "layer")(x)
    torch.testing.assert_close(found, (x - mean) / (var + 1e-5).sqrt() * scale + shift)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cifar_resnets(kind: str) -> None:
    model = build_model("cifar:resnet8?width=4", activation="la_silu", normalization=kind, channels=1)
    assert normalization_of(model) == kind
    assert "norm1.weight" in model.state_dict() or kind == "none"
    assert model(images(16, 1)).shape == (4, 10)
    assert normalization_of(build_model("cifar:resnet8?width=4")) == "batch"


def vit() -> nn.Module:
    return cast(nn.Module, models.VisionTransformer(32, 16, 2, 2, 8, 16, num_classes=3))


def convnext() -> nn.Module:
    blocks = [models.convnext.CNBlockConfig(8, 16, 1), models.convnext.CNBlockConfig(16, None, 1)]
    return cast(nn.Module, models.ConvNeXt(blocks, num_classes=3))


@pytest.mark.parametrize("build", [vit, convnext])
def test_layers_over_the_last_axis(build: Callable[[], nn.Module]) -> None:
    model = build()
    assert normalization_of(model) == "layer"
    assert replace_normalization(model, "layer") is model  # they stay as they are
    with pytest.raises(InputError, match=r"LayerNorm \(.*\) normalises the last axis, for which group norm"):
        replace_normalization(model, "group")
    for kind in ("batch", "none"):
        found = replace_normalization(build(), kind)
        assert normalization_of(found) == kind
        assert found(images(32)).shape == (4, 3)


def test_a_network_without_normalisation() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    assert replace_normalization(model, "none") is model
    with pytest.raises(InputError, match="Expected a network with normalisation layers: Sequential has none"):
        replace_normalization(model, "batch")


def test_batch_normalisation_over_the_last_axis() -> None:
    tokens = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1))
    found = replace_normalization(nn.Sequential(nn.LayerNorm(8)), "batch")
    expected = nn.BatchNorm1d(8)(tokens.transpose(1, 2)).transpose(1, 2)
    assert torch.equal(found(tokens), expected)


def test_torchs_encoder_layer_does_not_pass_by_the_new_layers() -> None:
    """In evaluation mode it computes with the weights of its own LayerNorm unless told otherwise."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    tokens = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1))
    found = replace_normalization(copy.deepcopy(layer), "none")
    with torch.no_grad():
        slow = found.train()(tokens)
        torch.testing.assert_close(found.eval()(tokens), slow)
        assert not torch.allclose(layer.eval()(tokens), slow)


def test_subclasses_that_do_the_same_are_replaced() -> None:
    timm_like = models.convnext.LayerNorm2d(6)
    assert isinstance(replace_normalization(timm_like, "batch"), BatchNorm)
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("efficientnet_b0", num_classes=3).eval()  # BatchNormAct2d, with SiLU inside
    assert normalization_of(model) == "batch"
    found = replace_normalization(model, "layer")
    assert normalization_of(found) == "layer"
    assert sum(isinstance(module, nn.SiLU) for module in found.modules()) > 40
    with torch.no_grad():
        assert found(images()).shape == (4, 3)


class Twice(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[1:])


class Grown(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x])


def failing(channels: int) -> nn.Module:
    raise ValueError(f"no {channels} channels")


@pytest.mark.parametrize(
    ("layer", "to", "message"),
    [
        (Twice(4), "layer", r"Twice \(1\) cannot be replaced: it does more than the layer of torch.nn"),
        (FrozenBatchNorm2d(4), "layer", r"FrozenBatchNorm2d \(1\) cannot be replaced: only normalisation"),
        (
            Functional(),
            "layer",
            r"Functional \(1\) uses F.layer_norm as a function: .*test_replacement.py, line",
        ),
        (nn.BatchNorm2d(4), "leyer", "Unknown normalization 'leyer'. Did you mean 'layer'"),
        (nn.BatchNorm2d(4), 3, "Expected a normalisation's name, a module class or a function, got 3"),
        (nn.BatchNorm2d(4), failing, r"failing for BatchNorm2d \(0\): .* raised ValueError: no 4"),
        (
            nn.BatchNorm2d(4),
            Grown,
            r"Grown for BatchNorm2d \(0\): expected an output of the shape",
        ),
        (nn.BatchNorm2d(4), lambda _: 4, r"expected a torch.nn.Module, got int"),
        (nn.BatchNorm2d(4), "mine", "Unknown normalization 'mine'"),
    ],
)
def test_what_cannot_be_replaced_is_named_and_nothing_changes(
    layer: nn.Module, to: object, message: str
) -> None:
    model = nn.Sequential(nn.BatchNorm2d(4), layer, nn.ReLU())
    before = list(model.modules())
    with pytest.raises(InputError, match=message):
        replace_normalization(model, to)  # type: ignore[arg-type]
    assert list(model.modules()) == before


def test_lazy_layers_have_no_channels_yet() -> None:
    with warnings.catch_warnings(action="ignore"):
        model = nn.Sequential(nn.LazyBatchNorm2d())
    with pytest.raises(InputError, match="before it has seen an image"):
        replace_normalization(model, "layer")


def test_mode_dtype_sharing_and_frozen_weights_stay() -> None:
    shared = nn.BatchNorm2d(8)
    shared.requires_grad_(False)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.BatchNorm2d(8, affine=False)).double().eval()
    found = replace_normalization(model, "group")
    assert found is model
    assert model[0] is model[2]
    assert not model[0].training
    assert model[0].weight.dtype == torch.float64
    assert not model[0].weight.requires_grad
    assert model[3].weight is None


def test_instance_normalisation_of_single_values_is_an_error() -> None:
    model = replace_normalization(nn.Sequential(nn.BatchNorm1d(4)), "instance")
    with pytest.raises(InputError, match="Expected several positions in each channel"):
        model(torch.zeros(2, 4))


def test_a_class_of_ones_own() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    replace_normalization(model, nn.InstanceNorm2d)
    assert isinstance(model[1], nn.InstanceNorm2d)
    replace_normalization(model, partial(nn.GroupNorm, 2))
    assert model[1].num_groups == 2
    replace_normalization(model, "torch.nn:BatchNorm2d")
    assert [type(module).__name__ for module in model] == ["Conv2d", "BatchNorm2d"]


class Standardised(nn.Conv2d):
    """A convolution with standardised weights, as networks without normalisation have them."""

    def forward(self, x: Tensor) -> Tensor:
        weight = F.batch_norm(self.weight.flatten(1)[None], None, None, training=True)
        return F.conv2d(x, weight.view_as(self.weight), self.bias)


def test_kinds() -> None:
    assert normalization_of(nn.Sequential(Standardised(3, 4, 1))) == "none"
    assert normalization_of(nn.Sequential(nn.BatchNorm2d(4), nn.LayerNorm(4))) == "mixed"
    assert normalization_of(Functional()) == "layer"
    assert kind_of(FrozenBatchNorm2d(4)) == "FrozenBatchNorm2d"
    assert kind_of(nn.LocalResponseNorm(4)) is None
    assert normalization_of(nn.Sequential(build_model("cifar:resnet8", activation="nswish"))) == "batch"
    for channels in range(1, 300):
        groups = groups_for(channels)
        assert channels % groups == 0
        assert groups <= 32
        assert groups < channels or channels == 1
