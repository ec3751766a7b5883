"""The libraries' configurations: torchvision's by the published file, timm's by the tag; flags come first."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models as torchvision_models

from robustbench_act.checkpoints import Spec, choose_view, load_checkpoint, save_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.models import build_model, native
from robustbench_act.preprocessing import View
from tests.references.layouts import write_imagenet

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
V2 = "resnet50-11ad3fa6.pth"  # torchvision's second weights of this network, trained to be resized to 232


def test_torchvision_by_the_name_of_the_published_file() -> None:
    first, second = native("resnet50"), native("resnet50", Path("anywhere") / V2)
    assert first is not None
    assert second is not None
    assert (first.view.resize, second.view.resize) == (256, 232)
    assert first.view.crop == second.view.crop == 224
    assert (first.mean, first.std) == IMAGENET
    assert second.source == "torchvision's ResNet50_Weights.IMAGENET1K_V2"


@pytest.mark.parametrize("name", torchvision_models.list_models(module=torchvision_models))
def test_every_network_of_torchvision_has_a_configuration(name: str) -> None:
    found = native(f"torchvision:{name}")
    assert found is not None
    assert found.classes == 1000


def test_timm_by_the_tag() -> None:
    timm = pytest.importorskip("timm")
    found = native("timm:resnet50.a1_in1k")
    assert found is not None
    config = timm.models.get_pretrained_cfg("resnet50.a1_in1k")
    assert found.view == View(int(288 / config.test_crop_pct), 288, "bicubic")
    assert (found.mean, found.std) == IMAGENET
    assert found.source == "timm's resnet50.a1_in1k"
    with pytest.raises(InputError, match=r"Unknown architecture 'timm:resnet5'\. Did you mean"):
        native("timm:resnet5")


def test_timm_networks_are_built_with_any_activation(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    model = build_model("timm:resnet10t", activation="la_silu", classes=7, channels=1)
    assert model(torch.zeros(2, 1, 64, 64)).shape == (2, 7)
    assert any(type(module).__name__ == "LASiLU" for module in model.modules())
    with pytest.raises(InputError, match="Unknown architecture 'timm:resnet10x'"):
        build_model("timm:resnet10x")
    with pytest.raises(InputError, match=r"Architecture 'timm:resnet10t\?colour=3': .*colour"):
        build_model("timm:resnet10t?colour=3")


def weights(tmp_path: Path, classes: int = 1000) -> Path:
    path = tmp_path / "w.pth"
    torch.save(build_model("torchvision:squeezenet1_1", classes=classes).state_dict(), path)
    return path


def test_a_checkpoint_takes_its_librarys_configuration_and_says_so(tmp_path: Path) -> None:
    data = load_dataset(f"imagenet:{write_imagenet(tmp_path)}")
    found = load_checkpoint(weights(tmp_path), "torchvision:squeezenet1_1", data=data)
    assert (found.spec.mean, found.spec.std) == IMAGENET
    assert found.spec.classes == 1000
    assert found.spec.input_size == (3, 224, 224)
    assert found.spec.view == View(256, 224)
    source = "as torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1 has them"
    assert found.notes == ("architecture as given", f"mean, std {source}")
    given = load_checkpoint(weights(tmp_path), "torchvision:squeezenet1_1", data=data, mean=(0.5, 0.5, 0.5))
    assert given.spec.mean == (0.5, 0.5, 0.5)
    assert given.spec.std == IMAGENET[1]
    assert given.notes == ("architecture, mean as given", f"std {source}")


def test_a_network_of_other_classes_is_not_the_librarys(tmp_path: Path) -> None:
    path = weights(tmp_path, classes=10)
    facts: dict[str, Any] = {"classes": 10, "input_size": (3, 64, 64)}
    with pytest.raises(InputError, match=r"add --mean, --std\."):
        load_checkpoint(path, "torchvision:squeezenet1_1", **facts)
    assert choose_view([(path, "torchvision:squeezenet1_1", 10)]) is None


def test_the_view_is_that_of_the_checkpoints_or_they_must_agree(tmp_path: Path) -> None:
    spec = Spec("cifar:resnet8?width=2", "relu", 10, (3, 48, 48), (0.5,) * 3, (0.5,) * 3, resize=56)
    ours, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_checkpoint(ours, build_model(spec.architecture), spec)
    save_checkpoint(other, build_model(spec.architecture), spec.override(resize=60, interpolation="bicubic"))
    assert choose_view([(ours, None, None)]) == View(56, 48)
    assert choose_view([(tmp_path / V2, "resnet50", None)]) == View(232, 224)
    assert (
        choose_view([(tmp_path / "x.pth", "cifar:resnet8", None), (tmp_path / "y.pth", None, None)]) is None
    )
    with pytest.raises(
        InputError, match=r"a\.safetensors wants pictures resized to 56, .* choose by --resize"
    ):
        choose_view([(ours, None, None), (other, None, None)])
    (tmp_path / "c.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        choose_view([(tmp_path / "c.safetensors", None, None)])
