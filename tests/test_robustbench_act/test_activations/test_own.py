"""Activations of a user's own: named, registered, in plugins; never loaded because a file says so."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torchvision
from click.testing import CliRunner
from torch import Tensor, nn

import robustbench_act
from robustbench_act.activations import (
    activation_facts,
    activation_layers,
    activation_name,
    get_activation,
    list_activations,
    register_activation,
    replace_activations,
)
from robustbench_act.activations.facts import ActivationFacts, remember
from robustbench_act.activations.names import activation_label, parse_activation
from robustbench_act.activations.registry import require, resolve
from robustbench_act.checkpoints import load_checkpoint, read_spec
from robustbench_act.cli import main
from robustbench_act.errors import InputError
from robustbench_act.evaluation import make_plan
from robustbench_act.models import build_model
from robustbench_act.user_code import import_modules, source_digest
from tests.test_robustbench_act.test_activations.conftest import GATED_CUBE

Own = Callable[..., Path]
TRAIN = ("train", "--dataset", "digits", "--epochs", "1", "--arch", "cifar:resnet8?width=4")


def run(*arguments: object) -> str:
    """Run the command in this process and return its output; "rc: " and its exit code if that is not 0."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return f"rc: {result.exit_code} {result.output}" if result.exit_code else result.output


class Wide(nn.Module):
    """Takes every size."""

    def __init__(self, channels: int, elements: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = channels, elements, shape

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


def test_each_layer_gets_its_own_sizes(own: Own) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 5, 7), nn.ReLU(), nn.Linear(7, 2)
    )
    replace_activations(network, Wide, input_size=(3, 8, 7))
    assert [one.sizes for _, one in activation_layers(network)] == [
        (4, 120, (4, 6, 5)),
        (7, 7, (7,)),
    ]
    with pytest.raises(InputError, match=r"Expected input_size=\(C, H, W\)"):
        replace_activations(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), Wide)


def test_channels_of_tokens_are_on_the_last_axis(own: Own) -> None:
    tokens = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.ReLU(), nn.Flatten(2), nn.Linear(4, 5), nn.ReLU())
    replace_activations(tokens, Wide, input_size=(3, 8, 8))
    assert [cast(Wide, one).sizes[0] for _, one in activation_layers(tokens)] == [6, 5]
    network = replace_activations(
        torchvision.models.convnext_tiny(num_classes=2), "dyt", input_size=(3, 32, 32)
    )
    assert {len(one.weight) for _, one in activation_layers(network)} == {384, 768, 1536, 3072}  # type: ignore[arg-type]
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


class Twice(nn.Module):
    """Calls one activation twice, on inputs of different sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.act(self.second(self.act(self.first(x)))))


def test_one_module_for_calls_of_different_sizes_is_refused(own: Own) -> None:
    network = Twice()
    with pytest.raises(InputError, match=r"act: is called with inputs of several sizes, .*'channels': 4"):
        replace_activations(network, Wide, elements=1, shape=())
    assert isinstance(network.act, nn.ReLU)


def test_a_shared_module_with_state_gets_one_for_each_call_with_its_own_size(own: Own) -> None:
    own()
    import_modules(["own"])
    network = replace_activations(Twice(), sys.modules["own"].GatedCube)
    assert [cast(Tensor, one.weight).numel() for _, one in activation_layers(network)] == [4, 8]
    assert network(torch.zeros(2, 3, 5, 5)).shape == (2, 8, 5, 5)


def test_a_layer_that_is_not_called_is_named(own: Own) -> None:
    class Spare(Twice):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.ReLU()

    with pytest.raises(InputError, match=r"spare: is not called in evaluation mode"):
        replace_activations(Spare(), Wide, input_size=(3, 8, 8))


def test_what_a_notebook_defines_is_not_looked_for_elsewhere(own: Own) -> None:
    record = {"origin": "__main__:GatedCube"}
    with pytest.raises(
        InputError, match=r"^a\.pt: its activation GatedCube is defined in a script or a notebook"
    ):
        require("GatedCube", record, where="a.pt", trusted=True)


def test_registered_names_work_everywhere(own: Own) -> None:
    @register_activation(
        name="gated_cube", label="Gated cube", formula="x^3 s(x)", family="gated", colour="#123456"
    )
    class GatedCube(nn.Module):
        def __init__(self, alpha: float = 1.0) -> None:
            super().__init__()
            self.alpha = alpha

        def forward(self, x: Tensor) -> Tensor:
            return x**3 * torch.sigmoid(self.alpha * x)

    assert "gated_cube" in list_activations()
    assert activation_facts("gated_cube").formula == "x^3 s(x)"
    assert get_activation("gated_cube(alpha=0.5)").alpha == 0.5
    assert activation_name("gated_cube", {"alpha": 0.5}) == "gated_cube(alpha=0.5)"
    assert activation_name("gated_cube", {"alpha": 1.0}) == "gated_cube"
    assert activation_label("gated_cube(alpha=0.5)") == "Gated cube (alpha=0.5)"
    assert resolve(GatedCube) == ("gated_cube", {})
    network = build_model("cifar:resnet8?width=2", activation="gated_cube")
    assert {type(one) for _, one in activation_layers(network)} == {GatedCube}
    with pytest.raises(
        InputError, match=r"'gated_cube' .*: the name is that of .*GatedCube; register it under another"
    ):
        register_activation(nn.Tanhshrink, name="gated_cube")
    with pytest.raises(InputError, match=r"'all' .*: train --activation all means every one"):
        register_activation(nn.Tanhshrink, name="all")
    with pytest.raises(InputError, match=r"'relu' .*: the name is that of one of this package"):
        register_activation(nn.Tanhshrink, name="relu")
    register_activation(type("Bare", (nn.Module,), {}), name="bare")
    assert activation_facts("bare").formula == ""  # not the docstring of nn.Module
    for name, label in (("mine", "ReLU"), ("mine", "relu"), ("SiLU", None), ("mine", "Gated cube")):
        with pytest.raises(
            InputError, match=f"'{name}' .* is what .* is called; register it with a different"
        ):
            register_activation(nn.Tanhshrink, name=name, label=label)
    with pytest.raises(InputError, match="expected a name of letters, digits and _"):
        register_activation(nn.Tanhshrink, name="my act")


def test_the_same_class_named_or_in_the_registry_trains_to_the_same_bits(own: Own) -> None:
    own()
    assert "rc" not in run(*TRAIN, "--activation", "own:GatedCube(alpha=0.5)", "--out", "named")
    named = load_checkpoint("named/GatedCube_alpha0.5_1.safetensors", imports=["own"])
    own.forget()  # type: ignore[attr-defined]
    own(
        own().read_text()
        + "\nimport robustbench_act as r\nr.register_activation(GatedCube, name='cube', label='Cube')\n"
    )
    assert "rc" not in run(
        *TRAIN, "--import", "own", "--activation", "cube(alpha=0.5)", "--out", "registered"
    )
    registered = load_checkpoint("registered/cube_alpha0.5_1.safetensors")
    assert named.digest == registered.digest
    names = named.spec.activation_name, registered.spec.activation_name
    assert names == ("GatedCube(alpha=0.5)", "cube(alpha=0.5)")
    assert registered.spec.activation_facts["label"] == "Cube"


def test_a_file_alone_loads_nothing(own: Own) -> None:
    own()
    run(*TRAIN, "--activation", "own:GatedCube", "--out", "nets")
    own.forget()  # type: ignore[attr-defined]
    path = "nets/GatedCube_1.safetensors"
    said = run("evaluate", path, "--dataset", "digits", "--limit", "20", "--out", "run")
    assert said.startswith("rc: 2")
    assert "its activation GatedCube is code of yours, own:GatedCube; pass --import own (" in said
    assert "own" not in sys.modules
    assert not Path("run").exists()
    spec = read_spec(Path(path))
    assert (spec.activation_name, activation_label(spec.activation_name)) == ("GatedCube", "GatedCube")
    checkpoint = load_checkpoint(path, imports=["own"])
    assert {type(one).__name__ for _, one in activation_layers(checkpoint.model)} == {"GatedCube"}


def test_a_manifest_and_python_name_the_module_too(own: Own) -> None:
    own()
    run(*TRAIN, "--activation", "own:GatedCube", "--out", "nets")
    Path("study.toml").write_text('import = ["own"]\ndataset = "digits"\n[[checkpoint]]\npath = "nets/*"\n')
    own.forget()  # type: ignore[attr-defined]
    assert "1 checkpoint " in run("plan", "--manifest", "study.toml")
    own.forget()  # type: ignore[attr-defined]
    plan = make_plan(["nets"], dataset="digits", imports=["own"])
    assert plan.checkpoints[0].spec.activation == "GatedCube"
    with pytest.raises(InputError, match=r"--import 'owm': No module named 'owm', .* Did you mean 'own'\?"):
        make_plan(["nets"], dataset="digits", imports=["owm"])
    with pytest.raises(InputError, match="Unknown option of train 'epoch'"):
        robustbench_act.train("digits", epoch=1)
    assert len(make_plan(["nets"], dataset="digits", imports="own").checkpoints) == 1
    with pytest.raises(InputError, match=r"--import 'own.py': .* Write own\."):
        make_plan(["nets"], dataset="digits", imports=["own.py"])


def test_a_file_reaches_only_what_the_named_module_defines(own: Own) -> None:
    own()
    run(*TRAIN, "--activation", "own:GatedCube", "--out", "nets")
    path = Path("nets/GatedCube_1.safetensors")
    content = path.read_bytes()
    own.forget()  # type: ignore[attr-defined]
    own("from subprocess import run as GatedCube\n")
    with pytest.raises(InputError, match="own does not define GatedCube"):
        load_checkpoint(path, imports=["own"])
    path.write_bytes(content.replace(b"own:GatedCube", b"sys:GatedCube"))
    with pytest.raises(InputError, match="pass --import sys"):
        load_checkpoint(path)


def test_changed_code_is_another_run_and_is_said(own: Own) -> None:
    path = own()
    run(*TRAIN, "--activation", "own:GatedCube", "--out", "nets")
    network = "nets/GatedCube_1.safetensors"
    options = "--dataset digits --limit 20 --suite light --severity 3 --report none --import own --out run"
    study = ["evaluate", network, *options.split()]
    assert "has changed" not in run(*study)
    own.forget()  # type: ignore[attr-defined]
    path.write_text(path.read_text() + "\n# another version\n")
    importlib.invalidate_caches()
    said = run(*study)
    assert said.startswith("rc: 2")
    assert "different" in said
    assert "has changed since it was trained" in run(*study[:-1], "other")
    said = run(*TRAIN, "--activation", "own:GatedCube", "--out", "nets")
    assert said.startswith("rc: 2")
    assert "the code of its activation or normalisation has changed since it was trained" in said


def test_changed_code_of_a_normalisation_is_not_skipped(own: Own) -> None:
    path = own("from torch import nn\nclass Norm(nn.BatchNorm2d):\n    pass\n")
    command = (*TRAIN, "--norm", "own:Norm", "--out", "nets")
    assert "1 checkpoint " in run(*command)
    assert "exists already" in run(*command)
    own.forget()  # type: ignore[attr-defined]
    path.write_text(path.read_text() + "\n# another version\n")
    importlib.invalidate_caches()
    said = run(*command)
    assert said.startswith("rc: 2")
    assert "the code of its activation or normalisation has changed" in said


def test_the_digest_covers_the_users_modules_that_the_code_uses(own: Own) -> None:
    (helper := own("def gate(x):\n    return x.sigmoid()\n", "helper_of_own")).touch()
    own("from torch import nn\nfrom helper_of_own import gate\nclass A(nn.Module):\n    pass\n")
    beside = own("x = 1\n", "beside_own")
    import_modules(["own", "beside_own"])
    kind = sys.modules["own"].A
    first = source_digest(kind)
    beside.write_text("x = 2\n")
    assert source_digest(kind) == first
    helper.write_text("def gate(x):\n    return x.tanh()\n")
    assert source_digest(kind) != first


NETWORK = """

def cnn(classes, channels, act="GatedCube"):
    kind = {"GatedCube": GatedCube, "ReLU": lambda channels: nn.ReLU()}[act]
    return nn.Sequential(nn.Conv2d(channels, 4, 3), kind(4), nn.Flatten(), nn.Linear(144, classes))


from os import makedirs
"""


def test_a_network_of_ones_own_needs_its_module_and_nothing_else(own: Own) -> None:
    path = own(GATED_CUBE + NETWORK)
    arch = ("--arch", "own:cnn?act=GatedCube", "--activation", "native")
    assert "rc" not in run("train", "--dataset", "digits", "--epochs", "1", *arch, "--out", "nets")
    network = "nets/native_1.safetensors"
    with pytest.raises(InputError, match=r"its network is code of yours, own:cnn; pass --import own"):
        load_checkpoint(network)
    checkpoint = load_checkpoint(network, imports=["own"])
    assert [type(one).__name__ for _, one in activation_layers(checkpoint.model)] == []
    watched = load_checkpoint(network, imports=["own"], layers=("own.GatedCube",))
    assert [path for path, _ in activation_layers(watched.model)] == ["1"]
    content = Path(network).read_bytes()
    reaching = content.replace(b"own:cnn?act=GatedCube", b"own:makedirs?name=gone")
    assert len(reaching) == len(content) + 1
    length = int.from_bytes(content[:8], "little") + 1
    Path(network).write_bytes(length.to_bytes(8, "little") + reaching[8:])
    with pytest.raises(InputError, match=r"'own:makedirs': own does not define makedirs"):
        load_checkpoint(network, imports=["own"])
    assert not Path("gone").exists()
    assert path.exists()


WRONG = {
    "Shape": (
        "return x[:, :1]",
        "expected an output of the input's shape (3, 4, 8, 8), got one of (3, 1, 8, 8)",
    ),
    "Double": ("return x.double()", "expected an output of the input's torch.float32, got torch.float64"),
    "Nothing": ("pass", "expected an output of the input's shape (3, 4, 8, 8), got NoneType"),
    "Random": ("return x * torch.rand(())", "gives different outputs for the same input in evaluation mode"),
    "Counts": (
        "self.n = getattr(self, 'n', 0) + 1; return x * self.n",
        "gives different outputs for the same input",
    ),
    "Writes": ("return x.relu_()", "writes into its input"),
    "Nan": ("return x / 0 * 0", "returned NaN for finite inputs"),
    "Raises": ("raise KeyError('a')", "raised KeyError for an input of shape (3, 4, 8, 8): 'a'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_activation_is_named_before_training(own: Own, name: str) -> None:
    body, message = WRONG[name]
    own(f"import torch\nclass {name}(torch.nn.Module):\n    def forward(self, x):\n        {body}\n")
    said = run(*TRAIN, "--activation", f"own:{name}", "--out", "nets")
    assert said.startswith("rc: 2")
    assert f"Activation {name}, layer act1: {message}" in " ".join(said.split())
    assert not list(Path("nets").glob("*"))


def test_a_wrong_activation_is_named_before_a_run(own: Own) -> None:
    path = own()
    run(*TRAIN, "--activation", "own:GatedCube", "--out", "nets")
    own.forget()  # type: ignore[attr-defined]
    path.write_text(path.read_text().replace("return x", "return x.sqrt() + x"))
    said = run("evaluate", "nets", "--import", "own", "--dataset", "digits", "--limit", "20", "--out", "run")
    assert said.startswith("rc: 2")
    assert "GatedCube_1.safetensors: Activation GatedCube, layer act1: returned NaN for finite" in said
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing_there:A", "No module named 'nothing_there'"),
        ("own:B", "has no attribute 'B'"),
        ("own:A(alpha=3)", "raised TypeError"),
        ("own:A", "raised ValueError: no"),
        ("own:number", "number is not a function"),
        ("own:box", "returned a Sequential, whose parts would count one by one; write a class"),
        ("own:part", "expected a class or a function, got a partial"),
        ("own:text", "expected it to return a torch.nn.Module, got str"),
        ("relu(", "expected NAME or NAME(parameter=value, ...)"),
        ("relu(__import__('os'))", "expected NAME or NAME(parameter=value, ...)"),
        ("elu(alpha=1e999)", "expected NAME or NAME(parameter=value, ...)"),
        ("native(alpha=1)", "native takes no parameters"),
    ],
)
def test_what_cannot_be_an_activation_is_one_line(own: Own, text: str, message: str) -> None:
    own(
        "from torch import nn\nnumber = 3\ndef box(): return nn.Sequential(nn.ReLU())\n"
        "def text(): return ''\nimport functools\npart = functools.partial(nn.ELU, 2.0)\n"
        "class A(nn.Module):\n    def __init__(self):\n        raise ValueError('no')\n"
    )
    said = run(*TRAIN, "--activation", text, "--out", "nets")
    assert said.startswith("rc: 2")
    assert message in " ".join(said.split())
    assert "Traceback" not in said


def plugin(folder: Path, value: str) -> None:
    info = folder / "act_plugin-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: act-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[actrobust.activations]\ncube = {value}\n")


def test_plugins_are_listed_unloaded_and_loaded_when_used(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(name="cube_plugin")
    plugin(tmp_path, "cube_plugin:GatedCube")
    monkeypatch.syspath_prepend(str(tmp_path))
    robustbench_act.user_code.plugins.cache_clear()
    assert "cube  (act-plugin, cube_plugin:GatedCube)" in " ".join(run("list").split()).replace(
        "cube (", "cube  ("
    )
    assert "cube_plugin" not in sys.modules
    assert type(get_activation("cube", channels=2)).__name__ == "GatedCube"
    assert activation_facts("cube").formula.startswith("x sigmoid(alpha x)")


def test_a_broken_plugin_is_one_line_and_stops_nothing_else(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own("raise RuntimeError('broken')", name="cube_plugin")
    plugin(tmp_path, "cube_plugin:GatedCube")
    monkeypatch.syspath_prepend(str(tmp_path))
    robustbench_act.user_code.plugins.cache_clear()
    assert "  cube" in run("list")
    assert get_activation("silu") is not None
    with pytest.raises(
        InputError, match="'cube': loading cube_plugin:GatedCube of act-plugin raised RuntimeError"
    ):
        get_activation("cube")


def test_records_of_other_machines_are_labels_and_nothing_else(own: Own) -> None:
    remember([("mine(alpha=2)", {"label": "Mine", "colour": "red; }", "family": 3, "origin": "os:system"})])
    assert activation_label("mine(alpha=2)") == "Mine (alpha=2)"
    assert "mine" not in list_activations()
    with pytest.raises(InputError, match="Unknown activation 'mine'"):
        get_activation("mine")
    facts = ActivationFacts.from_record("mine", {"colour": "red; }", "family": 3})
    assert (facts.colour, facts.family) == ("", "other")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("la_silu", {"alpha": 0.1}), ("a", {"b": (0.5, 2.0), "c": "x", "d": True}), ("a", {"b": 0.123456789})],
)
def test_the_label_of_a_table_is_read_back(name: str, parameters: dict[str, Any]) -> None:
    assert parse_activation(activation_name(name, parameters)) == (name, parameters)
