"""Checkpoints and data as flags and manifests name them: the same for every command that takes them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from robustbench_act.datasets import load_dataset
from robustbench_act.models import build_model
from robustbench_act.run import load_run
from tests.references.layouts import picture

from .conftest import NETWORK


def test_a_network_of_torchvision_tells_its_own_preprocessing(
    actrobust: Callable[..., Result], imagenet: Path
) -> None:
    torch.save(
        build_model("torchvision:squeezenet1_1", classes=1000).state_dict(), "squeezenet1_1-b8a52dc0.pth"
    )
    flags = ("--dataset", f"imagenet:{imagenet}", "--suite", "light", "--severity", "3", "--device", "cpu")
    model = ("--model", "torchvision:squeezenet1_1", "--no-probes", "--limit", 2, "--out", "a")
    result = actrobust("evaluate", "squeezenet1_1-b8a52dc0.pth", *flags, *model)
    assert result.exit_code == 0, result.output
    info = load_run("a").info
    assert (info.dataset.view or {})["source"] == "torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1"
    assert info.checkpoints[0].mean == (0.485, 0.456, 0.406)
    assert info.checkpoints[0].read == (
        "architecture as given",
        "mean, std as torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1 has them",
    )


def test_a_function_gives_data(
    actrobust: Callable[..., Result], module: Callable[[str, str], str], checkpoints: Path
) -> None:
    module(
        "data_by_function",
        "from robustbench_act import load_dataset\ndef some(): return load_dataset('digits').subset(30)\n",
    )
    flags = ("--suite", "light", "--severity", "3", "--device", "cpu", "--no-probes", "--out", "a", "--json")
    result = actrobust("evaluate", checkpoints, "--dataset", "data_by_function:some", *flags)
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["leaderboard"]) == 2
    assert load_run("a").info.dataset.digest == load_dataset("digits").subset(30).digest


def test_a_published_tree_is_read_as_activations_and_training_seeds(
    actrobust: Callable[..., Result], tmp_path: Path
) -> None:
    """Folders, alpha in the name, trial as training seed, `module.` before names."""
    tree = tmp_path / "trained_networks" / "CIFAR10" / "resnet20"
    tree.mkdir(parents=True)
    for name in ("relu", "silu", "la_silu", "la_silu_alpha0.1"):
        for trial in (1, 2):
            activation, _, alpha = name.partition("_alpha")
            parameters = {"alpha": float(alpha)} if alpha else {}
            model = build_model("resnet20", activation=activation, activation_parameters=parameters)
            state = {
                ("module." if trial == 2 else "") + key: value for key, value in model.state_dict().items()
            }
            torch.save(state, tree / f"{name}_{trial}.pth.tar")
    (tmp_path / "pictures").mkdir()
    for number in range(4):
        picture(number, 32, 32).save(tmp_path / "pictures" / f"{number}.png")
    flags = (
        "--dataset",
        f"folder:{tmp_path / 'pictures'}",
        "--suite",
        "light",
        "--severity",
        "3",
        "--device",
        "cpu",
    )
    result = actrobust("evaluate", tmp_path / "trained_networks", *flags, "--out", "a", "--no-probes")
    assert result.exit_code == 0, result.output
    board = load_run("a").leaderboard()
    assert sorted(board["activation"]) == ["la_silu", "la_silu(alpha=0.1)", "relu", "silu"]
    assert (board["seeds"] == 2).all()
    assert "LA-SiLU (alpha=0.1)" in result.stdout
    assert "la_silu(alpha=0.1)" in Path("a/report.html").read_text()


def test_the_published_networks_that_we_have(
    actrobust: Callable[..., Result], shared: Callable[[str], Path], tmp_path: Path
) -> None:
    """Four ResNet-20 in the layout of the LayerAct reference code, without a flag about them."""
    tree = shared("reference/layeract/trained_networks")
    for number in range(4):
        picture(number, 32, 32).save(tmp_path / f"{number}.png")
    flags = ("--dataset", f"folder:{tmp_path}", "--suite", "light", "--severity", "3", "--device", "cpu")
    result = actrobust("evaluate", tree, *flags, "--out", "a", "--no-probes")
    assert result.exit_code == 0, result.output
    board = load_run("a").leaderboard()
    assert sorted(board["activation"]) == ["la_hardsilu", "la_silu", "prelu", "relu"]
    assert set(board["architecture"]) == {"resnet20"}
    assert (board["seeds"] == 1).all()


def test_flags_decide_between_networks_of_different_sizes(
    actrobust: Callable[..., Result], imagenet: Path, tmp_path: Path
) -> None:
    """Two networks named like published files, one of them of weights that are resized to 232."""
    for name, file in (
        ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
        ("resnet50", "resnet50-11ad3fa6.pth"),
    ):
        torch.save(build_model(f"torchvision:{name}", classes=1000).state_dict(), tmp_path / file)
    Path("m.toml").write_text(
        f"""
        dataset = "imagenet:{imagenet}"
        suite = ["light"]
        severity = [3]
        limit = 1
        probes = false
        report = "none"
        device = "cpu"
        [[checkpoint]]
        path = "{tmp_path}/squeezenet1_1-b8a52dc0.pth"
        model = "torchvision:squeezenet1_1"
        [[checkpoint]]
        path = "{tmp_path}/resnet50-11ad3fa6.pth"
        model = "torchvision:resnet50"
        """
    )
    refused = actrobust("evaluate", "--manifest", "m.toml", "--out", "a")
    assert refused.exit_code == 2
    assert "all are shown the same: set --resize and --crop" in refused.stderr
    result = actrobust("evaluate", "--manifest", "m.toml", "--out", "a", "--resize", 64, "--crop", 64)
    assert result.exit_code == 0, result.output
    assert load_run("a").info.dataset.size == (3, 64, 64)


def test_the_last_that_a_manifest_says_of_a_file_holds(
    actrobust: Callable[..., Result], network: Path, tmp_path: Path
) -> None:
    state = torch.load(network, weights_only=True)
    torch.save(
        {"state_dict": state, "ema": {key: value + 1 for key, value in state.items()}}, tmp_path / "both.pth"
    )
    folder = Path("a[1]")  # a name that would be a pattern
    folder.mkdir()
    (tmp_path / "both.pth").rename(folder / "both.pth")
    (folder / "m.toml").write_text(
        f"""
        [spec]
        model = "{NETWORK}"
        classes = 1000
        mean = [0.5, 0.5, 0.5]
        std = [0.5, 0.5, 0.5]
        [[checkpoint]]
        path = "*.pth"
        training_seed = 1
        [[checkpoint]]
        path = "both.pth"
        training_seed = 2
        [[checkpoint]]
        path = "both.pth"
        name = "averaged"
        weights = "ema"
        """
    )
    picture(1, 32, 32).save(tmp_path / "1.png")
    flags = (
        "--dataset",
        f"folder:{tmp_path}",
        "--suite",
        "light",
        "--device",
        "cpu",
        "--no-probes",
        "--out",
        "o",
    )
    result = actrobust("evaluate", "--manifest", folder / "m.toml", *flags)
    assert result.exit_code == 0, result.output
    rows = {entry.name: entry for entry in load_run("o").info.checkpoints}
    assert {name: row.training_seed for name, row in rows.items()} == {"both": 2, "averaged": 0}
    assert rows["averaged"].read[0] == "weights under 'ema', as asked"
    assert rows["averaged"].digest != rows["both"].digest


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return {'logits': x}", "got dict"),
        ("raise KeyError('x')", "'x'"),
        ("return x", "expected logits (2, classes) from the network, got (2, 1, 8, 8)"),
    ],
)
def test_a_network_that_gives_no_logits_fails_alone(
    body: str,
    said: str,
    actrobust: Callable[..., Result],
    module: Callable[[str, str], str],
    checkpoints: Path,
) -> None:
    name = module(
        f"net_{len(said)}_{len(body)}",
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.a = nn.Linear(2, 2)\n    def forward(self, x):\n        {body}\n"
        "def net(classes, channels): return Net()\n",
    )
    torch.save({"a.weight": torch.zeros(2, 2), "a.bias": torch.zeros(2)}, "odd.pth")
    Path("m.toml").write_text(
        f"[[checkpoint]]\npath = 'odd.pth'\nmodel = '{name}:net'\nmean = [0.5]\nstd = [0.5]\n"
        f"[[checkpoint]]\npath = '{checkpoints}/relu_1.safetensors'\n"
    )
    flags = (
        "--dataset",
        "digits",
        "--suite",
        "light",
        "--severity",
        1,
        "--limit",
        20,
        "--device",
        "cpu",
        "--no-probes",
        "--report",
        "none",
    )
    result = actrobust("evaluate", "--manifest", "m.toml", *flags, "--out", "o", "--batch-size", 2)
    assert result.exit_code == 1, result.output
    assert "failed: odd: " in result.stdout
    assert said.replace("(2, ", "(") in result.stdout.replace("(2, ", "(")
    assert len(load_run("o").leaderboard()) == 1


def test_signs_that_a_terminal_obeys_are_not_repeated(actrobust: Callable[..., Result]) -> None:
    Path("x.toml").write_text('"\\u001b[2J" = 1')
    result = actrobust("evaluate", "--manifest", "x.toml")
    assert result.exit_code == 2
    assert "Unknown key" in result.stderr
    assert "\x1b" not in result.stderr
