"""load_state_dict decides: it loads every tensor, or one error lists the names and shapes that do not fit."""

import re
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor, nn
from torchvision.models import densenet, get_model

from robustbench_act.checkpoints import Checkpoint, Spec, load_checkpoint, save_checkpoint
from robustbench_act.errors import InputError

FLAGS: dict[str, Any] = {"classes": 3, "input_size": (1, 2, 2), "mean": (0.1,), "std": (0.3,)}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc: nn.Module = nn.Linear(4, 4)
        self.out: nn.Module = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.out(torch.relu(self.fc(x.flatten(1)))))


class Renaming(Net):
    """Its layers were called model.first and model.last, which look like names with a prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(self.rename)  # type: ignore[no-untyped-call]

    @staticmethod
    def rename(_: nn.Module, state: dict[str, Any], *__: object) -> None:
        for key in list(state):
            state[key.replace("model.first", "fc").replace("model.last", "out")] = state.pop(key)


class Versioned(Net):
    """Version 1 had the transposed weight."""

    _version = 2

    def _load_from_state_dict(self, *arguments: Any) -> None:
        state, prefix, metadata, *_ = arguments
        if metadata.get("version") in (None, 1):
            state[prefix + "fc.weight"] = state[prefix + "fc.weight"].t()
        super()._load_from_state_dict(*arguments)


class Lazy(Net):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.LazyLinear(4), nn.LazyLinear(3)


class Tied(Net):
    """One layer under two names, and a layer that shares only its weight."""

    def __init__(self) -> None:
        super().__init__()
        view = nn.Linear(4, 4)
        view.weight.data = self.fc.get_parameter("weight").data
        self.again, self.view = self.fc, view

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.view(self.again(x.flatten(1))))


class Lenient(Net):
    def load_state_dict(self, state: Any) -> Any:  # type: ignore[override]
        known = {key: item for key, item in state.items() if key in self.state_dict()}
        return super().load_state_dict(known, strict=False)


class Passing(Net):
    def load_state_dict(self, state: Any, strict: bool = False, assign: bool = False) -> Any:
        return super().load_state_dict(state, strict, assign)


class Forgiving(Net):
    """Passes over statistics that a file lacks, as Lenient does over anything."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        return super().load_state_dict(state, False, assign)


class Raising(Net):
    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        raise KeyError("no such\nlayer")


class Extra(Net):
    note: object = None

    def get_extra_state(self) -> object:
        return {"epoch": 3}

    def set_extra_state(self, state: object) -> None:
        self.note = state


class Scalar(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.0))


class DenseNet(densenet.DenseNet):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(growth_rate=4, block_config=(2,), num_init_features=4, num_classes=3)


def build(classes: int, channels: int, net: int) -> nn.Module:
    return NETS[net]()


NETS: list[type[nn.Module]] = [
    Net,
    Renaming,
    Versioned,
    Lazy,
    Tied,
    Lenient,
    Passing,
    Forgiving,
    Raising,
    Extra,
    Scalar,
    DenseNet,
]


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def architecture(net: type[nn.Module]) -> str:
    return f"{__name__}:build?net={NETS.index(net)}"


def spec(net: type[nn.Module]) -> Spec:
    return Spec(architecture(net), "native", **FLAGS)


def stored(content: object, net: type[nn.Module]) -> Checkpoint:
    """Store something with torch.save and load it into a network."""
    torch.save(content, "x.pt")
    return load_checkpoint("x.pt", architecture(net), **FLAGS)


def same_numbers(found: Checkpoint, network: nn.Module) -> bool:
    x = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return torch.allclose(found.model(x), network.eval()(x), rtol=1e-5, atol=1e-6)


def test_names_that_a_hook_translates() -> None:
    """All old, some old, and old ones below the prefix of DataParallel."""
    network = Renaming()
    new = network.state_dict()
    some = {key.replace("fc.", "model.first."): item for key, item in new.items()}
    old = {key.replace("out.", "model.last."): item for key, item in some.items()}
    for state in (old, some, {f"module.{key}": item for key, item in old.items()}):
        found = stored(state, Renaming)
        assert same_numbers(found, network)
        assert found.digest == stored(new, Renaming).digest


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(("version", "transposed"), [(1, True), (2, False), (None, True)])
def test_versions_of_modules(version: int | None, transposed: bool, prefix: str) -> None:
    """As PyTorch has it: no versions in a file means the oldest."""
    network = Versioned()
    state = OrderedDict((prefix + key, value) for key, value in network.state_dict().items())
    if version is not None:
        state._metadata = {"": {}, prefix.rstrip("."): {"version": version}}  # type: ignore[attr-defined]
    found = stored({"state_dict": state}, Versioned)
    if transposed:
        weight = network.fc.get_parameter("weight")
        weight.data = weight.data.t()
    assert same_numbers(found, network)


def test_our_own_files_have_the_versions_of_the_network() -> None:
    network = Versioned()
    save_checkpoint(Path("x.safetensors"), network, spec(Versioned))
    assert same_numbers(load_checkpoint("x.safetensors", architecture(Versioned)), network)


def test_a_network_that_asks_for_a_version(tmp_path: Path) -> None:
    """torchvision's MNASNet refuses a state without versions, as safetensors and plain dictionaries are."""
    network = get_model("mnasnet0_5", num_classes=3)
    with pytest.raises(ValueError, match="version"):
        network.load_state_dict(dict(network.state_dict()))
    torch.save(dict(network.state_dict()), tmp_path / "x.pt")
    flags = {**FLAGS, "input_size": (3, 32, 32), "mean": (0.1,) * 3, "std": (0.3,) * 3}
    found = load_checkpoint(tmp_path / "x.pt", "torchvision:mnasnet0_5", **flags)
    for key, value in network.state_dict().items():
        assert torch.equal(found.model.state_dict()[key], value)


@pytest.mark.parametrize("prefix", ["", "net."])
def test_lazy_layers(prefix: str) -> None:
    network = Net()
    found = stored({prefix + key: value for key, value in network.state_dict().items()}, Lazy)
    assert same_numbers(found, network)
    assert found.digest == stored(network.state_dict(), Net).digest
    with pytest.raises(InputError, match=r"missing 1: out\.bias"):
        stored({key: value for key, value in network.state_dict().items() if key != "out.bias"}, Lazy)


def test_the_names_of_the_first_densenet_files() -> None:
    """torchvision's own loader of its files is the judge."""
    theirs = DenseNet()
    old = {
        re.sub(r"(layer\d+\.\w+)([12])", r"\1.\2", key): item for key, item in DenseNet().state_dict().items()
    }
    old = {key: item for key, item in old.items() if "num_batches_tracked" not in key}
    densenet._load_state_dict(theirs, SimpleNamespace(get_state_dict=lambda **_: dict(old)), progress=False)
    found = stored(old, DenseNet)
    assert all(torch.equal(found.model.state_dict()[key], item) for key, item in theirs.state_dict().items())
    assert found.notes[0] == "20 names of torchvision's first DenseNet files changed"


def test_shared_tensors_are_written_and_read() -> None:
    """As `train` writes them, as safetensors' save_model leaves some out, and as torch.save has them."""
    network = Tied()
    save_checkpoint(Path("x.safetensors"), network, spec(Tied))
    assert load_file("x.safetensors").keys() == network.state_dict().keys()
    ours = load_checkpoint("x.safetensors", architecture(Tied))
    save_model(network, "y.safetensors")
    assert len(load_file("y.safetensors")) < len(network.state_dict())
    theirs = load_checkpoint("y.safetensors", architecture(Tied), **FLAGS)
    for found in (ours, theirs, stored(network.state_dict(), Tied)):
        assert same_numbers(found, network)
        assert found.digest == ours.digest
    assert any("also read as" in note for note in theirs.notes)


def test_shared_tensors_that_differ_in_the_file() -> None:
    """load_state_dict would keep whichever comes last."""
    state = {key: value.clone() for key, value in Tied().state_dict().items()}
    assert stored(state, Tied).problem is None
    state["again.bias"] = state["again.bias"] + 1
    with pytest.raises(InputError, match=r"fc\.bias and again\.bias differ in the file, but are one tensor"):
        stored(state, Tied)
    nan = {key: value * torch.nan for key, value in Tied().state_dict().items()}
    assert "not finite" in str(stored({key: value.clone() for key, value in nan.items()}, Tied).problem)


@pytest.mark.parametrize(
    ("net", "change", "message"),
    [
        (Lenient, {"fc.weight": None}, "its load_state_dict left as built 1: fc.weight"),
        (Passing, {"out.bias": None, "x": torch.zeros(1)}, "its load_state_dict left as built 1: out.bias"),
        (
            Forgiving,
            {"norm.weight": torch.ones(4), "norm.bias": torch.ones(4), "norm.running_mean": torch.ones(4)},
            "its load_state_dict left as built 1: norm.running_var",
        ),
        (Raising, {}, "its load_state_dict raised KeyError: 'no such"),
        (
            Net,
            {"fc.weight": torch.zeros(4, 5)},
            r"other shapes 1: fc.weight: expected \(4, 4\), got \(4, 5\)\.",
        ),
        (Net, {"fc.weight": None, "a": torch.zeros(1)}, r"missing 1: fc.weight; unexpected 1: a\."),
        (Net, {f"x{i}": torch.zeros(1) for i in range(9)}, "unexpected 9: x0, x1, x2, x3, x4 and 4 more"),
        (
            Net,
            {"out.bias": torch.ones(3, dtype=torch.int64)},
            r"out.bias: expected \(3,\), got torch.int64",
        ),
    ],
)
def test_what_does_not_fit(net: type[nn.Module], change: dict[str, Tensor | None], message: str) -> None:
    state = {**Net().state_dict(), **change}
    with pytest.raises(InputError, match=message) as error:
        stored({key: value for key, value in state.items() if value is not None}, net)
    assert "\n" not in str(error.value)


def test_what_a_network_passes_over_is_noted() -> None:
    found = stored({**Net().state_dict(), "loss.weight": torch.ones(3)}, Passing)
    assert found.notes[0] == "its load_state_dict passed over 1: loss.weight"


def test_a_scalar_that_was_a_vector_of_one_is_read_as_pytorch_reads_it() -> None:
    assert stored({"scale": torch.ones(1)}, Scalar).model.state_dict()["scale"] == 1


def test_extra_states_are_data() -> None:
    network = Extra()
    found = stored(network.state_dict(), Extra)
    assert same_numbers(found, network)
    assert found.model.note == {"epoch": 3}
    assert found.digest == stored(Net().state_dict() | network.state_dict(), Extra).digest
    with pytest.raises(InputError, match=r"_extra_state of Extra: expected a tensor, got dict"):
        save_checkpoint(Path("x.safetensors"), network, spec(Extra))
    assert not Path("x.safetensors").exists()


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_part_of_a_file_is_hinted_at_and_taken(suffix: str) -> None:
    student, teacher = Net(), Net()
    state = {
        **{f"student.{key}": value for key, value in student.state_dict().items()},
        **{f"teacher.model.{key}": value for key, value in teacher.state_dict().items()},
        "criterion.weight": torch.ones(3),
    }
    path = Path(f"last{suffix}")
    if suffix == ".ckpt":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        save_file(state, path)

    def load(weights: str | None) -> Checkpoint:
        return load_checkpoint(path, architecture(Net), **FLAGS, weights=weights)

    with pytest.raises(InputError) as error:
        load(None)
    assert str(error.value).endswith(
        "; its names are there behind 'student.', 'teacher.model.': pass --weights student."
    )
    for weights, network in [("student.", student), ("student", student), ("teacher.model", teacher)]:
        assert same_numbers(load(weights), network)
    found = load("teacher")
    assert same_numbers(found, teacher)
    assert found.notes[-4:-1] == (
        "weights whose names begin with 'teacher.', as asked",
        "left out 5: criterion.weight, student.fc.bias, student.fc.weight, student.out.bias, "
        "student.out.weight",
        "prefix 'model.' removed",
    )
    with pytest.raises(
        InputError, match="expected weights under the key 'ema', or names that begin with 'ema"
    ):
        load("ema")
