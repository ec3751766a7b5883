"""Data and checkpoints as flags name them: the same for every command that takes them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from robustbench_act.datasets import load_dataset
from robustbench_act.models import build_model
from robustbench_act.records import load_run
from tests.references.layouts import picture, write_imagenet, write_imagenet_c

NETWORK = "cifar:resnet8?width=2"
FLAGS = (
    "--model",
    NETWORK,
    "--mean",
    "0.5,0.5,0.5",
    "--std",
    "0.5,0.5,0.5",
    "--device",
    "cpu",
    "--no-probes",
)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Return a network of ImageNet's classes that nobody trained."""
    path = tmp_path / "net.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(build_model(NETWORK, classes=1000).state_dict(), path)
    return path


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    root = write_imagenet(tmp_path / "imagenet")
    write_imagenet_c(root, "ImageNet-C", groups=False)
    return root


def test_imagenet_c_end_to_end(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    result = actrobust("evaluate", network, *FLAGS, "--dataset", f"imagenet-c:{imagenet}", "--out", "a")
    assert result.exit_code == 0, result.output
    run = load_run("a")
    assert run.info["dataset"]["view"]["what"] == "resized to 256, centre of 224 x 224, bilinear"
    assert run.info["dataset"]["view"]["source"] == "usual for ImageNet"
    assert run.info["dataset"]["size"] == [3, 224, 224]
    assert [(suite["source"], suite["codec"]) for suite in run.info["suites"]] == [("files", "jpeg")]
    assert set(run.cells["table"]) == {"", "jpeg files"}
    assert "jpeg files" not in set(run.cells.query("severity == 0")["table"])
    both = ("--suite", "noise", "--severity", 2)
    result = actrobust(
        "evaluate", network, *FLAGS, "--dataset", f"imagenet-c:{imagenet}", "--out", "b", *both
    )
    assert result.exit_code == 0, result.output
    cells = load_run("b").cells
    assert set(cells["table"]) == {"", "224", "jpeg files"}
    shot = cells[cells["corruption"] == "shot_noise"]
    assert sorted(shot["table"]) == ["224", "jpeg files"]
    assert shot["pixels"].nunique() == 2


def test_sizes_by_flags(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    flags = ("--dataset", f"imagenet:{imagenet}", "--suite", "light", "--severity", "3")
    sized = ("--resize", 40, "--crop", 32, "--interpolation", "bicubic", "--workers", 3)
    result = actrobust("evaluate", network, *FLAGS, *flags, *sized, "--out", "a")
    assert result.exit_code == 0, result.output
    info = load_run("a").info
    assert info["dataset"]["view"] == {
        "what": "resized to 40, centre of 32 x 32, bicubic",
        "resize": 40,
        "crop": 32,
        "interpolation": "bicubic",
        "source": "as given",
    }
    assert info["checkpoints"][0]["input_size"] == [3, 32, 32]
    other = actrobust("evaluate", network, *FLAGS, *flags, "--out", "a")
    assert other.exit_code == 2
    assert "holds a run with another plan (different: dataset" in other.stderr


def test_flags_that_need_others(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    flags = ("evaluate", network, *FLAGS, "--dataset", f"imagenet:{imagenet}", "--out", "x")
    for more, message in (
        (
            ("--crop", 8, "--dataset", "digits", "--interpolation", "bicubic"),
            "--interpolation needs --resize.",
        ),
        (("--resize-corrupted",), "--resize-corrupted needs --resize and --crop."),
        (("--resize", 8, "--interpolation", "cubic"), "Did you mean 'bicubic'"),
        (("--crop", 300), "cannot be read: "),
        (
            ("--input-size", "3,32,32"),
            "expects images of (C, H, W) = (3, 32, 32), dataset 'imagenet' has (3, 224, 224)",
        ),
    ):
        result = actrobust(*flags, *more)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert len(result.stderr.strip().splitlines()) <= 4
    assert not Path("x").exists()


def test_unreadable_pictures(actrobust: Callable[..., Result], network: Path, imagenet: Path) -> None:
    bad = min((imagenet / "val" / "n02123045").iterdir())
    bad.write_bytes(bad.read_bytes()[:700])
    flags = (
        "--dataset",
        f"imagenet:{imagenet}",
        "--suite",
        "light",
        "--severity",
        "3",
        "--crop",
        64,
        "--resize",
        64,
    )
    refused = actrobust("evaluate", network, *FLAGS, *flags, "--out", "a")
    assert refused.exit_code == 2
    assert f"1 of 6 images cannot be read: {bad} (" in refused.stderr
    assert "--skip-unreadable leaves them out" in refused.stderr
    assert not Path("a").exists()
    result = actrobust("evaluate", network, *FLAGS, *flags, "--out", "a", "--skip-unreadable")
    assert result.exit_code == 0, result.output
    assert f"warning: 1 picture cannot be read, 1 of 6 images left out: {bad}" in result.stderr
    run = load_run("a")
    assert run.info["dataset"]["unreadable"] == [str(bad)]
    assert run.info["dataset"]["images"] == 5
    assert run.info["dataset"]["total"] == 6
    assert (run.cells["n"] == 5).all()


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
    assert info["dataset"]["view"]["source"] == "torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1"
    assert info["checkpoints"][0]["mean"] == [0.485, 0.456, 0.406]
    assert info["checkpoints"][0]["read"] == [
        "architecture as given",
        "mean, std as torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1 has them",
    ]


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
    assert load_run("a").info["dataset"]["digest"] == load_dataset("digits").subset(30).digest


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


def test_half_of_a_view_leaves_the_other_half(
    actrobust: Callable[..., Result], network: Path, imagenet: Path
) -> None:
    flags = (*FLAGS, "--dataset", f"imagenet:{imagenet}", "--suite", "light", "--severity", "3")
    for number, (flag, what) in enumerate(
        {
            ("--crop", "64"): "resized to 256, centre of 64 x 64, bilinear",
            ("--resize", "232"): "resized to 232, centre of 224 x 224, bilinear",
            ("--interpolation", "bicubic"): "resized to 256, centre of 224 x 224, bicubic",
        }.items()
    ):
        result = actrobust("evaluate", network, *flags, *flag, "--out", number)
        assert result.exit_code == 0, result.output
        assert load_run(str(number)).info["dataset"]["view"]["what"] == what
        assert f"{what} (as given)" in result.stderr


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
    assert load_run("a").info["dataset"]["size"] == [3, 64, 64]


def test_stored_pictures_are_looked_at_before_anything_is_written(
    actrobust: Callable[..., Result], network: Path, imagenet: Path
) -> None:
    flags = ("evaluate", network, *FLAGS, "--dataset", f"imagenet-c:{imagenet}", "--out", "a")
    sized = actrobust(*flags, "--resize", 64, "--crop", 64)
    assert sized.exit_code == 2
    assert "has 224 x 224 pixels, the clean images have 64 x 64" in sized.stderr
    bad = next((imagenet / "ImageNet-C" / "fog" / "5" / "n02123045").iterdir())
    bad.write_bytes(bad.read_bytes()[:500])
    cut = actrobust(*flags)
    assert cut.exit_code == 2
    assert f"1 of 60 images cannot be read: {bad}" in cut.stderr
    assert not Path("a").exists()
    result = actrobust(*flags, "--skip-unreadable")
    assert result.exit_code == 0, result.output
    assert load_run("a").info["dataset"]["images"] == 5


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
    rows = {entry["name"]: entry for entry in load_run("o").info["checkpoints"]}
    assert {name: row["training_seed"] for name, row in rows.items()} == {"both": 2, "averaged": 0}
    assert rows["averaged"]["read"][0] == "weights under 'ema', as asked"
    assert rows["averaged"]["digest"] != rows["both"]["digest"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return x, x", "expected logits (2, classes) from the network, got tuple"),
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
    )
    result = actrobust("evaluate", "--manifest", "m.toml", *flags, "--out", "o", "--batch-size", 2)
    assert result.exit_code == 1, result.output
    assert "failed: odd: " in result.stdout
    assert said.replace("(2, ", "(") in result.stdout.replace("(2, ", "(")
    assert len(load_run("o").leaderboard()) == 1


def test_networks_trained_on_pictures_are_shown_them_alike(
    actrobust: Callable[..., Result], tmp_path: Path
) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(3):
            picture(number + len(name), 40 + number, 50).save(tmp_path / "animals" / name / f"{number}.png")
    data = ("--dataset", f"folder:{tmp_path / 'animals'}")
    refused = actrobust("train", *data, "--out", "nets")
    assert refused.exit_code == 2
    assert "set a common size, e.g. --resize 256 --crop 224" in refused.stderr
    small = (
        "--arch",
        "cifar:resnet8?width=2",
        "--epochs",
        1,
        "--batch-size",
        2,
        "--device",
        "cpu",
        "--out",
        "nets",
    )
    trained = actrobust("train", *data, "--resize", 20, "--crop", 16, "--interpolation", "bicubic", *small)
    assert trained.exit_code == 0, trained.output
    result = actrobust(
        "evaluate", "nets", *data, "--suite", "light", "--device", "cpu", "--no-probes", "--out", "o"
    )
    assert result.exit_code == 0, result.output
    assert "resized to 20, centre of 16 x 16, bicubic (the checkpoint's spec)" in result.stderr
    made = actrobust("generate", data[1], "--resize", 20, "--crop", 16, "--suite", "light", "--out", "c")
    assert made.exit_code == 0, made.output
    assert np.load("c/contrast.npy").shape == (30, 16, 16, 3)


def test_signs_that_a_terminal_obeys_are_not_repeated(actrobust: Callable[..., Result]) -> None:
    Path("x.toml").write_text('"\\u001b[2J" = 1')
    result = actrobust("evaluate", "--manifest", "x.toml")
    assert result.exit_code == 2
    assert "Unknown key" in result.stderr
    assert "\x1b" not in result.stderr
