"""Checkpoints: round trips, discovery, and refusing what is damaged, foreign or dangerous."""

import json
import pickle
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from robustbench_act.checkpoints import (
    Entry,
    Spec,
    find_checkpoints,
    find_entries,
    load_checkpoint,
    load_entries,
    published_spec,
    read_spec,
    save_checkpoint,
    weights_digest,
)
from robustbench_act.checkpoints import checkpoint as checkpoint_module
from robustbench_act.checkpoints.weights_cache import WeightsCache
from robustbench_act.errors import InputError
from robustbench_act.models import build_model

SPEC = Spec(
    "cifar:resnet8?width=2",
    "nswish",
    10,
    (1, 28, 28),
    (0.1307,),
    (0.3081,),
    training_seed=3,
    dataset="mnist",
    recipe={"epochs": 2},
    clean_accuracy=0.5,
)
FLAGS: dict[str, Any] = {
    "activation": "nswish",
    "classes": 10,
    "input_size": (1, 28, 28),
    "mean": (0.1,),
    "std": (0.3,),
}


def network() -> torch.nn.Module:
    """Return a network whose ANAct layers have seen a batch."""
    model = build_model(SPEC.architecture, activation="nswish", channels=1)
    model.train()(torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    return model.eval()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a checkpoint file of ours."""
    path = tmp_path / "ours" / "nswish_3.safetensors"
    save_checkpoint(path, network(), SPEC)
    return path


def test_round_trip_keeps_outputs_spec_and_running_values(tmp_path: Path) -> None:
    model = network()
    save_checkpoint(tmp_path / "a.safetensors", model, SPEC)
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    x = torch.randn(4, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), model(x))
    assert loaded.spec == SPEC == read_spec(tmp_path / "a.safetensors")
    assert loaded.name == "a"
    assert loaded.problem is None
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pth.tar"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_files_have_the_digest_of_the_same_weights(
    suffix: str, wrapper: str | None, prefix: str, stored: Path, tmp_path: Path
) -> None:
    state: dict[str, Any] = {prefix + key: value for key, value in load_file(stored).items()}
    path = tmp_path / f"weights{suffix}"
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    loaded = load_checkpoint(path, "resnet8?width=2", **FLAGS)
    assert loaded.digest == load_checkpoint(stored).digest
    assert loaded.name == "weights"
    assert loaded.spec.mean == (0.1,)


def test_digest_sees_one_bit_and_not_the_order(stored: Path) -> None:
    state = load_file(stored)
    digest = weights_digest(state)
    assert digest == weights_digest(dict(reversed(state.items())))
    state["linear.bias"][0] += 1e-6
    assert digest != weights_digest(state)


def test_digest_takes_tensors_of_any_strides() -> None:
    plain = {"a": torch.full((3,), 2.0), "b": torch.ones(1), "c": torch.arange(6.0).reshape(2, 3)}
    strange = {
        "a": torch.full((1,), 2.0).expand(3),
        "b": torch.ones(2).as_strided((1,), (0,)),
        "c": torch.arange(6.0).reshape(2, 3).t().contiguous().t(),
    }
    assert weights_digest(plain) == weights_digest(strange)


def test_the_network_is_in_evaluation_mode_whatever_was_done_to_it(stored: Path) -> None:
    checkpoint = load_checkpoint(stored)
    network = checkpoint.model.train()
    assert checkpoint.model is network
    assert not any(module.training for module in network.modules())


def test_overrides_replace_the_spec(stored: Path) -> None:
    loaded = load_checkpoint(stored, mean=(0.5,), std=None)
    assert loaded.spec.mean == (0.5,)
    assert loaded.spec.std == SPEC.std


def test_published_layout(shared: Callable[[str], Path]) -> None:
    folder = shared("reference/layeract/trained_networks")
    found = load_entries(find_entries([Entry(folder)]))
    assert [(item.name, item.spec.activation, item.spec.training_seed) for item in found] == [
        ("la_hardsilu_1", "la_hardsilu", 1),
        ("la_silu_1", "la_silu", 1),
        ("prelu_1", "prelu", 1),
        ("relu_1", "relu", 1),
    ]
    assert {item.spec.dataset for item in found} == {"cifar-10"}
    assert {item.spec.input_size for item in found} == {(3, 32, 32)}


@pytest.mark.parametrize(
    "path",
    [
        "relu_1.pth.tar",
        "CIFAR10/resnet20/unknown_1.pth.tar",
        "CIFAR10/resnet20/relu.pth.tar",
        "SVHN/resnet20/relu_1.pth.tar",
    ],
)
def test_other_names_are_not_published_ones(path: str) -> None:
    assert published_spec(Path(path)) is None


def test_finding_files_folders_and_globs(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.pt", "sub/c.pth.tar", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    everything = [tmp_path / name for name in ("a.pt", "b.safetensors", "sub/c.pth.tar")]
    assert find_checkpoints([tmp_path]) == everything
    assert find_checkpoints([tmp_path / "*.pt", tmp_path]) == everything
    assert find_checkpoints([f"{tmp_path}/**/*.pth.tar"]) == everything[2:]
    (tmp_path / "empty").mkdir()
    for wrong, message in [
        ("none*", "nothing is there"),
        ("empty", "no checkpoint in this folder"),
        ("notes.txt", "expected a checkpoint"),
        ("gone.pt", "nothing is there"),
    ]:
        with pytest.raises(InputError, match=message):
            find_checkpoints([tmp_path / wrong])


def test_equal_stems_get_different_names(stored: Path, tmp_path: Path) -> None:
    other = tmp_path / "theirs" / stored.name
    save_checkpoint(other, network(), SPEC)
    names = [item.name for item in load_entries([Entry(stored), Entry(other)])]
    assert len(set(names)) == 2
    assert all(name.endswith("/nswish_3") for name in names)


def test_weights_that_are_not_finite_are_named(stored: Path, tmp_path: Path) -> None:
    state = load_file(stored)
    state["layers2.0.bn1.weight"][1] = torch.inf
    save_file(state, tmp_path / "bad.safetensors", metadata={"actrobust": SPEC.to_json()})
    problem = load_checkpoint(tmp_path / "bad.safetensors").problem
    assert problem == "weights that are not finite (NaN or infinite) in 1: layers2.0.bn1.weight"


def test_keys_that_do_not_fit_are_listed(stored: Path, tmp_path: Path) -> None:
    state = load_file(stored)
    del state["linear.bias"]
    state["head.bias"] = torch.zeros(3)
    state["conv1.bias"] = torch.zeros(7)
    save_file(state, tmp_path / "x.safetensors", metadata={"actrobust": SPEC.to_json()})
    with pytest.raises(InputError) as error:
        load_checkpoint(tmp_path / "x.safetensors")
    assert (
        "missing 1: linear.bias; unexpected 1: head.bias; other shapes 1: conv1.bias: expected (2,), got (7,)"
        in str(error.value)
    )


def test_another_activation_does_not_load(stored: Path) -> None:
    with pytest.raises(InputError, match=r"unexpected 35: act1.initialized, .* and 30 more"):
        load_checkpoint(stored, activation="relu")


def test_what_is_missing_is_named_by_its_flag(stored: Path, tmp_path: Path) -> None:
    torch.save(load_file(stored), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="add --model, --classes, --input-size, --mean, --std"):
        load_checkpoint(tmp_path / "weights.pt", activation="relu")


class Malicious:
    """Runs code where a pickle of it is loaded without care."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    target = tmp_path / "it-ran"
    path = tmp_path / "evil.pth"
    torch.save({"weight": Malicious(target)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="refused, the pickle asks for more than tensors"):
        load_checkpoint(path, "resnet8", **FLAGS)
    path.write_bytes(pickle.dumps(Malicious(target)))
    with pytest.raises(InputError):
        load_checkpoint(path, "resnet8", **FLAGS)
    assert not target.exists()


def test_not_a_state_dict(tmp_path: Path) -> None:
    for data, message in [
        ([1, 2], "expected a state_dict .* got list"),
        ({"epoch": 3}, "got a mapping with the keys 1: epoch"),
        ({}, "got an empty mapping"),
    ]:
        torch.save(data, tmp_path / "x.pt")
        with pytest.raises(InputError, match=message):
            load_checkpoint(tmp_path / "x.pt", "resnet8", **FLAGS)


def damaged(kind: str, good: bytes) -> bytes:
    """Return file contents that are no checkpoint."""
    return {
        "empty": b"",
        "text": b"this is not a checkpoint",
        "half": good[: len(good) // 2],
        "head": good[:20],
        "huge header": struct.pack("<Q", 2**40) + good[8:],
        "zip": b"PK\x03\x04" + bytes(100),
    }[kind]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kind", ["empty", "text", "half", "head", "huge header", "zip"])
def test_damaged_files_are_one_line(suffix: str, kind: str, stored: Path, tmp_path: Path) -> None:
    torch.save(load_file(stored), tmp_path / "good.pt")
    good = (stored if suffix == ".safetensors" else tmp_path / "good.pt").read_bytes()
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damaged(kind, good))
    with pytest.raises(InputError) as error:
        load_checkpoint(path, "resnet8", **FLAGS)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_zip_that_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        file.writestr("../../escape", "x")
    with pytest.raises(InputError, match=r"not a PyTorch checkpoint \(it is a zip archive: unpack it"):
        load_checkpoint(tmp_path / "x.pt", "resnet8", **FLAGS)


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.1, 0.2]},
        {"std": [0]},
        {"input_size": [1, 28]},
        {"classes": "many"},
        {"mean": None},
        {"architecture": None},
    ],
)
def test_a_spec_that_makes_no_sense_is_an_input_error(
    change: dict[str, Any], stored: Path, tmp_path: Path
) -> None:
    data = {
        key: value for key, value in {**json.loads(SPEC.to_json()), **change}.items() if value is not None
    }
    save_file(load_file(stored), tmp_path / "x.safetensors", metadata={"actrobust": json.dumps(data)})
    with pytest.raises(InputError, match="spec cannot be read"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_reading_only_the_spec_of_foreign_or_damaged_files(stored: Path, tmp_path: Path) -> None:
    save_file(load_file(stored), tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="no actrobust spec in the metadata"):
        read_spec(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(stored.read_bytes()[:100])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        read_spec(tmp_path / "y.safetensors")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("def eval(self): super().eval()", None),
        ("def train(self, mode=True): super().train(mode)", None),
        ("def eval(self): pass", "still in training mode after eval()"),
        ("def train(self, mode=True): self.fc.train(mode)", "still in training mode after eval()"),
        ("def train(self): super().train(True)", "eval() of its network raised TypeError"),
        ("def eval(self): raise ValueError('no\\nway')", "raised ValueError: no."),
    ],
)
def test_networks_with_an_eval_of_their_own(
    override: str, problem: str | None, module: Callable[[str, str], str]
) -> None:
    name = module(
        f"modes_{abs(hash(override))}",
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(784, 10)\n"
        "    def forward(self, x): return self.fc(x.flatten(1))\n"
        f"    {override}\n"
        "def net(classes, channels): return Net()\n",
    )
    torch.save(torch.nn.Linear(784, 10).state_dict(prefix="fc."), "x.pt")
    flags = {key: value for key, value in FLAGS.items() if key != "activation"}
    if problem is None:
        model = load_checkpoint("x.pt", f"{name}:net", **flags).model
        assert not any(layer.training for layer in model.modules())
        return
    with pytest.raises(InputError, match=re.escape(problem)):
        load_checkpoint("x.pt", f"{name}:net", **flags)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such checkpoint file"):
        load_checkpoint(tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    ("name", "seed"),
    [("net_3.pt", 3), ("net_12.pth.tar", 12), ("net3.pt", 0), ("net_1.5.pt", 0), ("vgg-16_bn.pth", 0)],
)
def test_the_seed_is_at_the_end_of_a_name_unless_it_is_given(name: str, seed: int, tmp_path: Path) -> None:
    facts: dict[str, Any] = {"classes": 10, "input_size": (1, 8, 8), "mean": (0.3,), "std": (0.3,)}
    torch.save(build_model("resnet8?width=2", channels=1).state_dict(), tmp_path / name)
    assert load_checkpoint(tmp_path / name, "resnet8?width=2", **facts).spec.training_seed == seed
    given = load_checkpoint(tmp_path / name, "resnet8?width=2", **facts, training_seed=5)
    assert given.spec.training_seed == 5


def test_labels_change_names_alone(checkpoints: Path) -> None:
    path = checkpoints / "relu_1.safetensors"
    plain, named = load_checkpoint(path), load_checkpoint(path, labels={"activation": "Mine", "group": "b"})
    assert named.spec.activation_name == "Mine"
    assert named.spec.architecture_name == plain.spec.architecture_name == plain.spec.architecture
    assert named.digest == plain.digest
    assert type(named.model.act1) is type(plain.model.act1) is torch.nn.ReLU
    for labels in ({"activatoin": "Mine"}, {"group": " "}, {"group": 3}):
        with pytest.raises(InputError, match=r"Unknown label|as the label 'group'"):
            load_checkpoint(path, labels=labels)


def test_a_network_that_was_put_down_is_read_again(checkpoints: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    shutil.copy(checkpoints / "relu_1.safetensors", path)
    checkpoint = load_checkpoint(path)
    before = checkpoint.model
    assert checkpoint.model is before
    checkpoint.put_down()
    with torch.inference_mode():
        again = checkpoint.model
    assert again is not before
    assert not again.training
    for name, tensor in before.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
        assert not again.state_dict()[name].is_inference()
    checkpoint.put_down()
    shutil.copy(checkpoints / "relu_2.safetensors", path)
    with pytest.raises(InputError, match="the weights have changed since they were first read"):
        _ = checkpoint.model
    path.unlink()
    with pytest.raises(InputError, match="the checkpoint has gone since"):
        _ = checkpoint.model


def test_no_more_networks_are_held_than_there_is_room_for(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(checkpoints.glob("*.safetensors"))
    size = load_checkpoint(files[0]).size
    monkeypatch.setattr(checkpoint_module, "_CACHE", WeightsCache(room=2 * size))
    loaded = [load_checkpoint(path) for path in files]
    assert [one.is_held for one in loaded] == [False, False, True, True]
    _ = loaded[0].model
    assert [one.is_held for one in loaded] == [True, False, False, True]
