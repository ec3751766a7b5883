"""The libraries' configurations: torchvision's by the published file, timm's by the tag; flags come first."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models as torchvision_models

from robustbench_act.checkpoints import Spec, common_view, load_checkpoint, save_checkpoint, wanted_view
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import make_plan
from robustbench_act.models import build_model, native
from robustbench_act.view import View
from tests.references.layouts import picture, write_imagenet

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTIONS = [
    ("inception_v3", "inception_v3_google-0cc3c7bd.pth"),
    ("googlenet", "googlenet-1378be20.pth"),
]
V2 = "resnet50-11ad3fa6.pth"  # torchvision's second weights of this network, trained to be resized to 232


def test_torchvision_by_the_name_of_the_published_file() -> None:
    first, second = native("resnet50"), native("resnet50", Path("anywhere") / V2)
    assert first is not None
    assert second is not None
    assert (first.view, second.view) == (View(256, 224), View(232, 224))
    assert not first.published
    assert second.published
    assert (first.mean, first.std) == IMAGENET
    assert second.source == "torchvision's ResNet50_Weights.IMAGENET1K_V2"


def test_every_network_of_torchvision_has_a_configuration() -> None:
    names = torchvision_models.list_models(module=torchvision_models)
    found = {name: native(f"torchvision:{name}") for name in names}
    assert len(found) > 70
    assert [name for name in names if (own := found[name]) is None or own.classes != 1000] == []


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
    with pytest.raises(InputError, match=r"add --mean, --std \(or \[spec\] in a manifest\)"):
        load_checkpoint(path, "torchvision:squeezenet1_1", **facts)
    assert wanted_view(path, "torchvision:squeezenet1_1", 10) is None


def test_the_view_is_that_of_the_checkpoints_or_they_must_agree(tmp_path: Path) -> None:
    spec = Spec("cifar:resnet8?width=2", "relu", 10, (3, 48, 48), (0.5,) * 3, (0.5,) * 3, resize=56)
    ours, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_checkpoint(ours, build_model(spec.architecture), spec)
    save_checkpoint(other, build_model(spec.architecture), spec.override(resize=60, interpolation="bicubic"))
    assert wanted_view(ours) == View(56, 48)
    assert wanted_view(tmp_path / V2, "resnet50") == View(232, 224)
    assert wanted_view(tmp_path / "x.pth", "cifar:resnet8") is None
    assert wanted_view(tmp_path / "y.pth") is None
    assert common_view([("a", View(56, 48)), ("b", None), ("c", View(56, 48, source="x"))]) == View(56, 48)
    assert common_view([("a", None)]) is None
    with pytest.raises(InputError, match=r"a wants pictures resized to 56, .*, b wants them resized to 60, "):
        common_view([("a", wanted_view(ours)), ("b", wanted_view(other))])
    (tmp_path / "c.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        wanted_view(tmp_path / "c.safetensors")


def test_what_is_not_a_centre_must_be_said(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    squashed = native("timm:coat_lite_medium_384.in1k")
    assert squashed is not None
    assert squashed.view == View((384, 384), 384, "bicubic")
    name = "timm:vit_base_patch16_sapiens2.fb"  # its pictures are not square
    found = native(name)
    assert found is not None
    assert found.view is None
    assert found.mean == IMAGENET[0]
    with pytest.raises(InputError, match="does not use a centre crop; set --resize and --crop"):
        wanted_view(tmp_path / "x.pth", name)


def test_the_library_is_asked_with_the_number_of_classes_of_the_data(tmp_path: Path) -> None:
    """Ten classes, pictures of 64 pixels: a network of this shape, and none of the library's."""
    for name in "abcdefghij":
        (tmp_path / "data" / name).mkdir(parents=True)
        picture(3, 64, 64).save(tmp_path / "data" / name / "0.png")
    path = weights(tmp_path, classes=10)
    ours = load_checkpoint(
        path, "torchvision:squeezenet1_1", input_size=(3, 64, 64), classes=10, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    plan = make_plan([ours], dataset=f"folder:{tmp_path / 'data'}", suites=["light"], severities=[1])
    assert plan.dataset.shape == (3, 64, 64)


def test_loaded_checkpoints_say_how_pictures_are_shown(tmp_path: Path) -> None:
    root = write_imagenet(tmp_path)
    data = load_dataset(f"imagenet:{root}").with_view(View(232, 224, "bicubic"))
    path = tmp_path / "w.pth"
    torch.save(build_model("torchvision:squeezenet1_1", classes=1000).state_dict(), path)
    loaded = load_checkpoint(
        path, "torchvision:squeezenet1_1", data=data, resize=240, interpolation="bicubic"
    )
    plan = make_plan([loaded], dataset=f"imagenet:{root}", suites=["light"], severities=[1])
    assert plan.dataset.view == View(240, 224, "bicubic")
    assert (plan.describe().dataset.view or {})["source"] == "the checkpoint's spec"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), INCEPTIONS)
def test_published_inceptions_transform_their_input(name: str, file: str, tmp_path: Path) -> None:
    """As torchvision's own loading function does, which sets it whenever it is asked for weights."""
    torch.save(build_model(f"torchvision:{name}", classes=1000).state_dict(), tmp_path / file)
    found = load_checkpoint(tmp_path / file, f"torchvision:{name}")
    assert bool(found.model.transform_input)
    assert found.notes[0].startswith("transform_input on, as for torchvision's ")
    (tmp_path / file).rename(tmp_path / "mine.pth")
    assert not bool(load_checkpoint(tmp_path / "mine.pth", f"torchvision:{name}").model.transform_input)


def test_a_vit_is_built_for_the_size_of_its_images() -> None:
    model = build_model("torchvision:vit_b_16", classes=3, input_size=(3, 64, 64))
    assert model.get_parameter("encoder.pos_embedding").shape == (1, 17, 768)


def test_older_files_without_counters_and_with_versions_load(tmp_path: Path) -> None:
    for name in ("resnet18", "mnasnet0_5"):
        model = build_model(f"torchvision:{name}", classes=1000)
        state = {key: value for key, value in model.state_dict().items() if "num_batches_tracked" not in key}
        torch.save(state, tmp_path / "x.pth")
        found = load_checkpoint(tmp_path / "x.pth", f"torchvision:{name}")
        assert found.notes[0].startswith("'num_batches_tracked' of ")
        assert torch.equal(dict(found.model.named_parameters())[first := next(iter(state))], state[first])


@pytest.mark.parametrize("name", ["hf-hub:some/model", "resnet10t?pretrained=1", "local-dir:x"])
def test_nothing_is_downloaded(name: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(InputError, match="nothing is downloaded; name the network alone"):
        build_model(f"timm:{name}")
