"""Weights found in files by written rules; programs and bombs are refused."""

import json
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from robustbench_act.checkpoints import (
    Entry,
    Spec,
    find_checkpoints,
    find_entries,
    load_checkpoint,
    load_entries,
    published_spec,
    unique_names,
)
from robustbench_act.checkpoints.fitting import PREFIXES
from robustbench_act.checkpoints.reading import EMA_WRAPPERS, WRAPPERS
from robustbench_act.errors import InputError
from robustbench_act.models import build_model

MODEL = "cifar:resnet8?width=2"
FLAGS: dict[str, Any] = {"classes": 10, "input_size": (1, 8, 8), "mean": (0.1,), "std": (0.3,)}
SAID = "architecture, classes, input_size, mean, std as given"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return dict(build_model(MODEL, channels=1).state_dict())


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that stores something with torch.save and loads it as a checkpoint."""

    def store_and_load(content: object, **options: Any) -> Any:
        torch.save(content, tmp_path / "x.ckpt")
        return load_checkpoint(tmp_path / "x.ckpt", MODEL, **FLAGS, **options)

    return store_and_load


@pytest.mark.parametrize("key", [*WRAPPERS, *EMA_WRAPPERS])
def test_every_wrapper(key: str, state: dict[str, Tensor], load: Callable[..., Any]) -> None:
    found = load({key: state, "epoch": 3, "best": 0.5})
    assert found.digest == load(state).digest
    assert found.notes == (f"weights under {key!r}", SAID)


def test_plain_weights_come_before_averaged_ones(state: dict[str, Tensor], load: Callable[..., Any]) -> None:
    averaged = {key: value + 1 for key, value in state.items()}
    both = {"state_dict_ema": averaged, "state_dict": state, "arch": "resnet8"}
    found = load(both)
    assert found.digest == load(state).digest
    assert found.notes[0] == "weights under 'state_dict', not 'state_dict_ema'"
    asked = load(both, weights="state_dict_ema")
    assert asked.digest == load(averaged).digest
    assert asked.notes[0] == "weights under 'state_dict_ema', as asked"
    with pytest.raises(
        InputError,
        match=r"under the key 'swa', or names that begin with 'swa\.'; got a mapping with the keys 3",
    ):
        load(both, weights="swa")


@pytest.mark.parametrize("prefix", [*PREFIXES, "module.model.", "_orig_mod.module."])
def test_every_prefix(prefix: str, state: dict[str, Tensor], load: Callable[..., Any]) -> None:
    found = load({prefix + key: value for key, value in state.items()})
    assert found.digest == load(state).digest
    names = [note for note in found.notes if note.startswith("prefix")]
    assert names == [f"prefix '{part}.' removed" for part in prefix.rstrip(".").split(".")]


def test_a_prefix_that_the_network_has_stays(module: Callable[[str, str], str]) -> None:
    module(
        "prefixed_for_a_test",
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU())\n"
        "    def forward(self, x): return self.model(x)\n"
        "def net(classes, channels): return Net()\n",
    )
    weights = {"model.1.weight": torch.ones(10, 64), "model.1.bias": torch.zeros(10)}
    torch.save(weights, "x.pt")
    found = load_checkpoint("x.pt", "prefixed_for_a_test:net", **FLAGS)
    assert found.notes == (SAID,)
    torch.save({f"model.{key}": value for key, value in weights.items()}, "y.pt")
    assert load_checkpoint("y.pt", "prefixed_for_a_test:net", **FLAGS).notes[0] == "prefix 'model.' removed"


def test_an_averaged_model_of_torch(load: Callable[..., Any]) -> None:
    network = build_model(MODEL, channels=1)
    averaged = torch.optim.swa_utils.AveragedModel(network)
    found = load({"ema": averaged.state_dict()})
    assert found.digest == load(network.state_dict()).digest
    assert found.notes[:3] == ("weights under 'ema'", "'n_averaged' left out", "prefix 'module.' removed")


def test_a_lightning_checkpoint(state: dict[str, Tensor], load: Callable[..., Any]) -> None:
    """With what Lightning 2 stores beside the weights, as its documentation lists it."""
    content = {
        "epoch": 3,
        "global_step": 1200,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": OrderedDict((f"model.{key}", value) for key, value in state.items()),
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "width": 2},
    }
    found = load(content)
    assert found.digest == load(state).digest
    assert found.notes[:2] == ("weights under 'state_dict'", "prefix 'model.' removed")


def test_programs_are_refused_with_the_reason(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(str(tmp_path / "script.pt"))  # type: ignore[no-untyped-call]
        torch.export.save(torch.export.export(network, (torch.zeros(1, 2),)), tmp_path / "export.pt2")
    for name, kind in (("script.pt", "a TorchScript program"), ("export.pt2", "a program of torch.export")):
        with pytest.raises(
            InputError, match=f"is {kind}: its loader executes pickles, and no layer in it can"
        ):
            load_entries(find_entries([Entry(tmp_path / name, spec={"model": MODEL, **FLAGS})]))


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb/data.pkl", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(2**20))
    with pytest.raises(InputError, match="unpacks to 314,572,800 bytes from"):
        load_checkpoint(tmp_path / "bomb.pth", MODEL, **FLAGS)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.pt").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    for item in (tmp_path, f"{tmp_path}/**/*.pt"):
        assert find_checkpoints([item]) == [tmp_path / "a" / "x.pt"]
    for wrong in ("a\0b", "**x/*.pt"):
        with pytest.raises(InputError, match=r"cannot be searched|nothing is there"):
            find_checkpoints([wrong])


def test_names_have_as_many_folders_as_they_need() -> None:
    paths = [
        Path(f"t/{data}/{net}/relu_1.pth.tar") for data in ("CIFAR10", "CIFAR100") for net in ("r20", "r32")
    ]
    assert unique_names(paths) == [
        "CIFAR10/r20/relu_1",
        "CIFAR10/r32/relu_1",
        "CIFAR100/r20/relu_1",
        "CIFAR100/r32/relu_1",
    ]
    assert unique_names([Path("a/x.pt"), Path("a/y.pt")]) == ["x", "y"]
    assert unique_names([Path("a/x.pt"), Path("x.pt")]) == ["a/x", "x"]
    assert len(set(unique_names([Path("a/x.pt"), Path("a/x.pth")]))) == 1


def test_a_file_cannot_name_a_function_to_run(module: Callable[[str, str], str], tmp_path: Path) -> None:
    module(
        "named_by_a_file",
        "from pathlib import Path\nPath('it-ran').touch()\ndef build(classes, channels): ...\n",
    )
    spec = {**json.loads(Spec("named_by_a_file:build", "native", 10, (1, 8, 8), (0.1,), (0.3,)).to_json())}
    save_file({"a": torch.zeros(1)}, "x.safetensors", metadata={"actrobust": json.dumps(spec)})
    with pytest.raises(
        InputError, match="its network is code of yours, named_by_a_file:build; pass --import named"
    ):
        load_checkpoint("x.safetensors")
    assert not Path("it-ran").exists()
    with pytest.raises(InputError, match=r"expected it to return a torch\.nn\.Module, got NoneType"):
        load_checkpoint("x.safetensors", "named_by_a_file:build")  # the user's own word
    assert Path("it-ran").exists()


def test_a_file_cannot_import_more_of_a_package_that_the_user_named(
    module: Callable[[str, str], str], tmp_path: Path
) -> None:
    (tmp_path / "offered").mkdir()
    module("offered/__init__", "import offered.nets\n")
    module("offered/nets", "import torch\ndef build(): return torch.nn.Linear(1, 1)\n")
    module("offered/scripts", "from pathlib import Path\nPath('it-ran').touch()\ndef build(): ...\n")
    for name in ("scripts", "nets"):
        spec = Spec(f"offered.{name}:build", "native", 10, (1, 8, 8), (0.1,), (0.3,)).to_json()
        save_file({"a": torch.zeros(1)}, f"{name}.safetensors", metadata={"actrobust": spec})
    with pytest.raises(InputError, match=r"code of yours, offered\.scripts:build; pass --import"):
        load_checkpoint("scripts.safetensors", imports=["offered"])
    assert not Path("it-ran").exists()
    with pytest.raises(InputError, match="nets"):  # the package has imported it: only the weights are wrong
        load_checkpoint("nets.safetensors", imports=["offered"])


def test_wrappers_in_a_circle_end(load: Callable[..., Any]) -> None:
    circle: dict[str, Any] = {}
    circle["model"] = circle
    with pytest.raises(InputError, match="expected a state_dict"):
        load(circle)


@pytest.mark.parametrize(
    "strange",
    [
        torch.zeros(1, 8, 8).to_sparse(),
        torch.zeros(1, 8, 8, dtype=torch.complex64),
        torch.zeros(1, 8, 8).to(torch.float8_e4m3fn),
        torch.zeros(1, 8, 8, device="meta"),
    ],
    ids=["sparse", "complex", "8 bits", "meta"],
)
def test_tensors_of_other_kinds_are_refused(
    strange: Tensor, state: dict[str, Tensor], load: Callable[..., Any]
) -> None:
    with pytest.raises(InputError, match=r"expected plain tensors of numbers, got others in 1: linear.bias"):
        load({**state, "linear.bias": strange})


def test_whole_numbers_are_no_weights(state: dict[str, Tensor], load: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r"linear\.bias: expected \(10,\), got torch\.bool \(10,\)"):
        load({**state, "linear.bias": torch.zeros(10, dtype=torch.bool)})


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": 5},
        {"resize": "abc"},
        {"resize": -3},
        {"interpolation": "best"},
        {"activation": 7},
        {"activation_parameters": [1]},
        {"activation_parameters": {"alpha": {"x": 1}}},
        {"classes": -3},
        {"training_seed": "x"},
        {"mean": [100.0]},
        {"input_size": [1, 8]},
    ],
    ids=str,
)
def test_a_spec_of_other_kinds_is_an_input_error(change: dict[str, Any], tmp_path: Path) -> None:
    spec = json.loads(Spec(MODEL, "relu", 10, (1, 8, 8), (0.1,), (0.3,)).to_json())
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"actrobust": json.dumps({**spec, **change})})
    with pytest.raises(InputError, match=r"x\.safetensors"):
        load_checkpoint(path)


def test_names_that_are_nearly_published_ones() -> None:
    assert published_spec(Path("CIFAR10/resnet20/la_silu_alpha0.1.2_3.pth.tar")) is None
    assert published_spec(Path("CIFAR10/resnet20/la_silu_alpha0.1_3.pth.tar")) is not None


def sharded(state: dict[str, Tensor], folder: Path, **changed: str) -> Path:
    """Write a checkpoint in two shards with their index, as Hugging Face's libraries do; return the index."""
    names = sorted(state)
    shards = {f"net-{n:05}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    for shard, own in shards.items():
        save_file({key: state[key].clone() for key in own}, folder / shard)
    index = {key: shard for shard, own in shards.items() for key in own} | changed
    path = folder / "net.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": index}))
    return path


def test_shards_are_one_checkpoint(
    state: dict[str, Tensor], load: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "sharded"
    folder.mkdir()
    path = sharded({f"model.{key}": item for key, item in state.items()}, folder)
    for named in (folder, path, folder / "net-00001-of-00002.safetensors", folder / "*.safetensors"):
        (found,) = load_entries(find_entries([Entry(named, spec={"model": MODEL, **FLAGS})]))
        assert (found.path, found.name) == (path, "net")
        assert found.digest == load(state).digest
    found.put_down()
    assert not found.model.training
    assert load_checkpoint(path, MODEL, **FLAGS, weights="model").digest == found.digest
    path.rename(folder / "other.json")
    with pytest.raises(InputError, match="the weights do not fit the network; missing"):
        load_entries(
            find_entries([Entry(folder / "net-00001-of-00002.safetensors", spec={"model": MODEL, **FLAGS})])
        )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"linear.bias": "net-00002-of-00002.safetensors"}, "differ in 1: linear.bias"),
        ({"extra": "net-00001-of-00002.safetensors"}, "differ in 1: extra"),
        ({"extra": "net-00003-of-00002.safetensors"}, "not a complete safetensors file"),
        ({"extra": "../net.safetensors"}, "a .safetensors file next to it, got '../net.safetensors'"),
        ({"extra": "/etc/passwd"}, "a .safetensors file next to it, got '/etc/passwd'"),
        ({"extra": "x.pkl"}, "a .safetensors file next to it, got 'x.pkl'"),
    ],
)
def test_an_index_that_does_not_fit_its_shards(
    changed: dict[str, str], message: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load_checkpoint(sharded(state, tmp_path, **changed), MODEL, **FLAGS)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": []}', "[" * 100_000]
)
def test_an_index_of_other_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(InputError, match="expected JSON with the shard of each tensor in weight_map"):
        load_checkpoint(path, MODEL, **FLAGS)
