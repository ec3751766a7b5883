"""Folders of transformers, against the library's own pipeline: image processor and network."""

import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image, ImageOps

from robustbench_act import evaluate
from robustbench_act.activations.known import known_function
from robustbench_act.checkpoints import Entry, find_checkpoints, load_checkpoint
from robustbench_act.checkpoints.files import unique_names
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.manifest import read_manifest
from robustbench_act.models import build_model
from robustbench_act.view import View
from tests.references.layouts import picture
from tests.references.transformers_folders import CLASSES, save_tiny

transformers: Any = pytest.importorskip("transformers")
KINDS = {
    "vit": ("gelu", "layer", View((32, 32), 32)),
    "resnet": ("relu", "batch", View(40, 32, "bicubic")),
    "convnext": ("gelu", "layer", View(36, 32, "bicubic")),
}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may try to reach another machine."""

    def refuse(*_: object) -> None:
        raise AssertionError("tried to reach another machine")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network of each kind."""
    root = tmp_path_factory.mktemp("folders")
    for kind in KINDS:
        save_tiny(root / kind, kind)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return pictures of several sizes in class folders; their centres are whole pixels after resizing."""
    root = tmp_path_factory.mktemp("photos")
    for label, name in enumerate(CLASSES):
        (root / name).mkdir()
        for number, size in enumerate([(48, 64), (64, 48), (60, 40)]):
            colour = Image.new("RGB", size, f"hsl({97 * (3 * label + number)}, 100%, 50%)")
            shown = Image.blend(ImageOps.autocontrast(picture(label, *size)), colour, 0.7)
            shown.save(root / name / f"{number}.png")
    return root


def pipeline(folder: Path, photos: Path) -> tuple[torch.Tensor, list[int]]:
    """Return the logits of transformers' own processor (with Pillow) and network, and the labels."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    network = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    files = sorted(photos.glob("*/*.png"))
    with torch.inference_mode():
        answers = [
            network(**processor(images=Image.open(file).convert("RGB"), return_tensors="pt")).logits
            for file in files
        ]
    return torch.cat(answers), [CLASSES.index(file.parent.name) for file in files]


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_accuracy_are_those_of_the_librarys_pipeline(
    kind: str, folders: Path, photos: Path, tmp_path: Path
) -> None:
    activation, normalization, view = KINDS[kind]
    wanted, labels = pipeline(folders / kind, photos)
    name = f"transformers:{folders / kind}"
    checkpoint = load_checkpoint(name)
    assert checkpoint.spec.view == view
    assert checkpoint.name == kind
    data = load_dataset(f"folder:{photos}", view=view)
    inputs = checkpoint.preprocessing(data.shape)(data.images)
    with torch.inference_mode():
        found = checkpoint.model(inputs).logits
    assert (found - wanted).abs().max() < 1e-5 * max(1, float(wanted.abs().max()))
    assert len(set(wanted.argmax(1).tolist())) > 1

    run = evaluate(name, dataset=f"folder:{photos}", suites=["light"], severities=[3], out=tmp_path / "run")
    clean = run.cells.query("corruption == 'clean'").iloc[0]
    assert clean["correct"] == (wanted.argmax(1) == torch.tensor(labels)).sum()
    assert clean["activation"] == activation
    assert clean["normalization"] == normalization
    parameters = sum(own.numel() for own in checkpoint.model.parameters())
    assert clean["architecture"].startswith("transformers:")
    assert clean["architecture"].endswith(f"ForImageClassification?parameters={parameters}")
    assert not run.layers.empty
    assert run.info.kernels["transformers"] == transformers.__version__
    layers = {path for path, one in checkpoint.model.named_modules() if "Activation" in type(one).__name__}
    assert activation == "relu" or set(run.layers["layer"]) == layers


PROCESSORS: dict[str, tuple[dict[str, Any], View | None]] = {
    "ViTImageProcessor": (
        {"size": {"height": 40, "width": 40}, "rescale_factor": 1 / 127.5},
        View((40, 40), 40),
    ),
    "SiglipImageProcessor": ({"size": {"height": 40, "width": 40}}, View((40, 40), 40, "bicubic")),
    "DeiTImageProcessor": (
        {"size": {"height": 48, "width": 48}, "crop_size": {"height": 40, "width": 40}},
        View((48, 48), 40, "bicubic"),
    ),
    "LevitImageProcessor": (
        {"size": {"shortest_edge": 42}, "crop_size": {"height": 42, "width": 42}},
        View(48, 42, "bicubic"),
    ),
    "ConvNextImageProcessor": ({"size": {"shortest_edge": 384}}, View((384, 384), 384, "bicubic")),
    "EfficientNetImageProcessor": (
        {"size": {"height": 40, "width": 40}, "rescale_offset": True, "rescale_factor": 1 / 127.5},
        View((40, 40), 40, "bicubic"),
    ),
    "BitImageProcessor": (
        {"do_resize": False, "do_normalize": False, "crop_size": {"height": 40, "width": 40}},
        View(None, 40),
    ),
}


@pytest.mark.parametrize("kind", PROCESSORS)
def test_a_processor_gives_the_pixels_of_its_view(kind: str, folders: Path, tmp_path: Path) -> None:
    settings, view = PROCESSORS[kind]
    shutil.copytree(folders / "resnet", tmp_path / "net")
    getattr(transformers, kind)(**settings).save_pretrained(tmp_path / "net")
    checkpoint = load_checkpoint(f"transformers:{tmp_path / 'net'}")
    assert Entry(f"transformers:{tmp_path / 'net'}").wanted_view(5) == view
    for seed, size in enumerate([(66, 54), (48, 72)]):
        (tmp_path / "photos" / "a").mkdir(parents=True, exist_ok=True)
        picture(seed, *size).save(tmp_path / "photos" / "a" / f"{seed}.png")
    data = load_dataset(f"folder:{tmp_path / 'photos'}", view=view)
    found = checkpoint.preprocessing(data.shape)(data.images).numpy()
    own = transformers.AutoImageProcessor.from_pretrained(tmp_path / "net", backend="pil")
    files = sorted((tmp_path / "photos" / "a").iterdir())
    wanted = own(images=[Image.open(file) for file in files], return_tensors="np")["pixel_values"]
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_what_a_view_cannot_say_is_named_and_may_be_given(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "resnet", tmp_path / "net")
    flips = transformers.MobileViTImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
    )
    flips.save_pretrained(tmp_path / "net")
    name = f"transformers:{tmp_path / 'net'}"
    said = r"MobileViTImageProcessor does more than .* \(do_flip_channel_order\); set --mean, --std, --resize"
    with pytest.raises(InputError, match=said):
        load_checkpoint(name)
    with pytest.raises(InputError, match=said):
        Entry(name).wanted_view(5)
    given = load_checkpoint(name, mean=0.5, std=0.5, input_size=(3, 32, 32))
    assert "do_flip_channel_order" in given.warnings[0]


def test_a_folder_without_a_processor_needs_mean_and_std(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "vit", tmp_path / "net_7")
    (tmp_path / "net_7" / "preprocessor_config.json").unlink()
    name = f"transformers:{tmp_path / 'net_7'}"
    with pytest.raises(InputError, match=r"fully; add --mean, --std \(or"):
        load_checkpoint(name)
    found = load_checkpoint(name, mean=(0.1, 0.2, 0.3), std=0.5, labels={"architecture": "mine"})
    assert found.spec.mean == (0.1, 0.2, 0.3)
    assert found.spec.input_size == (3, 32, 32)
    assert found.spec.training_seed == 7
    assert found.spec.architecture_name == "mine"
    assert found.spec.activation_name == "gelu"


def changed(folder: Path, file: str, **entries: Any) -> None:
    data = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**data, **entries}))


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, r"net: expected a folder of transformers; no such folder"),
    "no config": (lambda net: (net / "config.json").unlink(), r"net: expected .* it holds no config\.json"),
    "not JSON": (lambda net: (net / "config.json").write_text("{"), r"net/config\.json: expected JSON \("),
    "not an object": (
        lambda net: (net / "config.json").write_text("[]"),
        r"expected a JSON object, got list",
    ),
    "another task": (
        lambda net: changed(net, "config.json", architectures=["ViTForMaskedImageModeling"]),
        r"config\.json: expected ViTForImageClassification in 'architectures', got \['ViTForMasked",
    ),
    "text": (
        lambda net: changed(net, "config.json", model_type="bert", architectures=["BertModel"]),
        r"config\.json: expected an image classifier in 'architectures', got \['BertModel'\]",
    ),
    "unknown kind": (
        lambda net: changed(net, "config.json", model_type="mine"),
        r"knows no model_type 'mine'",
    ),
    "code in the network": (
        lambda net: changed(net, "config.json", auto_map={"AutoConfig": "mine.Config"}),
        r"config\.json: refused, its 'auto_map' names code",
    ),
    "code in the processor": (
        lambda net: changed(net, "preprocessor_config.json", auto_map={"AutoImageProcessor": "mine.P"}),
        r"preprocessor_config\.json: refused, its 'auto_map' names code",
    ),
    "a kernel to download": (
        lambda net: changed(net, "config.json", attn_implementation="someone/attention"),
        r"its 'attn_implementation' names code to download: 'someone/attention'",
    ),
    "quantised": (
        lambda net: changed(net, "config.json", quantization_config={"bits": 4}),
        r"its weights are quantised \('quantization_config'\)",
    ),
    "timm": (
        lambda net: changed(net, "config.json", model_type="timm_wrapper"),
        r"is a network of timm; give its model\.safetensors with --model timm:NAME",
    ),
    "an adapter": (lambda net: (net / "adapter_config.json").write_text("{}"), r"merge the adapter into"),
    "a pickle": (
        only_pickle,
        r"expected model\.safetensors, found pytorch_model\.bin, a pickle.*save_pretra",
    ),
    "no weights": (lambda net: (net / "model.safetensors").unlink(), r"found neither it nor its index"),
    "cut off": (cut_off, r"model\.safetensors: not a complete safetensors file"),
    "other weights": (
        lambda net: changed(net, "config.json", hidden_size=64),
        r"the weights do not fit the network; other shapes \d+: ",
    ),
    "missing weights": (
        lambda net: changed(net, "config.json", num_hidden_layers=3),
        r"the weights do not fit the network; missing \d+: vit\.",
    ),
    "impossible": (
        lambda net: changed(net, "config.json", hidden_size="wide"),
        r"config\.json: transformers cannot read it \(",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, folders: Path, tmp_path: Path) -> None:
    change, message = REFUSED[case]
    shutil.copytree(folders / "vit", tmp_path / "net")
    change(tmp_path / "net")
    with pytest.raises(InputError, match=message) as error:
        load_checkpoint(f"transformers:{tmp_path / 'net'}")
    assert "\n" not in str(error.value)


def test_what_the_files_fix_cannot_be_chosen(folders: Path) -> None:
    options: list[dict[str, Any]] = [{"model": "a"}, {"activation": "silu"}, {"normalization": "batch"}]
    for option in (*options, {"weights": "a"}):
        with pytest.raises(InputError, match=r"vit: is built as its files say, which --\w+ cannot change"):
            load_checkpoint(f"transformers:{folders / 'vit'}", **option)
    with pytest.raises(InputError, match=r"is read from its files; give transformers:PATH as a checkpoint"):
        build_model("transformers:vit")


def test_without_the_library_the_error_names_the_extra(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'actrobust\[transformers\]'"):
        load_checkpoint(f"transformers:{folders / 'vit'}")


def test_names_patterns_and_manifests(folders: Path, tmp_path: Path) -> None:
    found = find_checkpoints([f"transformers:{folders}/*"])
    assert [str(path) for path in found] == [f"transformers:{folders / kind}" for kind in sorted(KINDS)]
    assert unique_names(found) == sorted(KINDS)
    with pytest.raises(InputError, match=r"/x\*: expected networks; nothing is there"):
        find_checkpoints([f"transformers:{folders}/x*"])
    with pytest.raises(InputError, match=rf"add --model, .*, or give transformers:{folders / 'vit'}\."):
        load_checkpoint(folders / "vit" / "model.safetensors")
    (tmp_path / "study.toml").write_text('[[checkpoint]]\npath = "transformers:nets/vit"\n')
    (entry,) = read_manifest(tmp_path / "study.toml").entries
    assert entry.path == f"transformers:{tmp_path / 'nets' / 'vit'}"


def test_shards_have_the_digest_of_the_whole_and_a_changed_network_is_noticed(
    folders: Path, tmp_path: Path
) -> None:
    whole = load_checkpoint(f"transformers:{folders / 'vit'}")
    shutil.copytree(folders / "vit", tmp_path / "net")
    (tmp_path / "net" / "model.safetensors").unlink()
    network = transformers.ViTForImageClassification.from_pretrained(folders / "vit")
    network.save_pretrained(tmp_path / "net", max_shard_size="20KB")
    assert len(list((tmp_path / "net").glob("*.safetensors"))) > 1
    name = f"transformers:{tmp_path / 'net'}"
    shards = load_checkpoint(name)
    assert shards.digest == whole.digest
    shards.put_down()
    changed(tmp_path / "net", "config.json", hidden_act="relu")
    assert load_checkpoint(name).digest != whole.digest
    with pytest.raises(InputError, match="the network has changed since it was first read"):
        _ = shards.model


def test_another_order_of_the_classes_is_refused_with_the_remedy(
    folders: Path, tmp_path: Path, actrobust: Callable[..., Result]
) -> None:
    shutil.copytree(folders / "vit", tmp_path / "net")
    names = dict(enumerate(reversed(CLASSES)))
    changed(tmp_path / "net", "config.json", id2label=names, label2id={name: i for i, name in names.items()})
    for name in CLASSES[:3]:
        (tmp_path / "photos" / name).mkdir(parents=True)
        picture(1, 40, 40).save(tmp_path / "photos" / name / "a.png")
    asked = ("doctor", f"transformers:{tmp_path / 'net'}", "--dataset", f"folder:{tmp_path / 'photos'}")
    refused = actrobust(*asked)
    assert refused.exit_code == 2
    remedy = f"--class-order {tmp_path / 'net' / 'config.json'}"
    assert refused.stderr.count("\n") == 1
    assert f"in a different order, or more of them: pass {remedy}." in refused.stderr
    assert "images of photos" in actrobust(*asked, *remedy.split()).output


@pytest.mark.parametrize(
    ("name", "wanted"),
    {
        "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh",
        "silu": "silu", "mish": "mish", "quick_gelu": None, "gelu_10": None, "relu2": None, "laplace": None,
    }.items(),
)  # fmt: skip
def test_activations_of_the_library_have_the_names_of_ours(name: str, wanted: str | None) -> None:
    assert known_function(transformers.activations.ACT2FN[name]) == wanted


@pytest.mark.slow
def test_processes_resume_and_give_the_same_numbers(folders: Path, photos: Path, tmp_path: Path) -> None:
    def run(out: str, **how: Any) -> Any:
        name = f"transformers:{folders / 'vit'}"
        asked: dict[str, Any] = {"dataset": f"folder:{photos}", "suites": ["noise"], "severities": [3]}
        return evaluate(name, **asked, out=tmp_path / out, **how)

    one, several = run("one"), run("several", processes=2, batch_size=5)
    assert one.cells.equals(several.cells)
    for part in sorted((tmp_path / "several" / "parts").iterdir())[:2]:
        part.unlink()
    assert run("several").cells.equals(one.cells)
