"""The guides run as they are printed."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from corruptions.conformity import load_photographs
from robustbench_act import load_run
from robustbench_act.cli import main
from tests.pages import ROOT, blocks, commands, read_page
from tests.test_robustbench_act.test_activations.conftest import own
from tests.test_robustbench_act.test_behaviour.test_unlisted import COLLEAGUE

__all__ = ["own"]

CHECKPOINTS = ROOT / "robustbench_act" / "assets" / "checkpoints"


def run(line: str) -> str:
    result = CliRunner().invoke(main, shlex.split(line)[1:])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_your_own_activation() -> None:
    Path("acts.py").write_text(blocks("docs/your-activation.md", "python")[0])
    train, evaluate, compare, table, _ = commands("docs/your-activation.md")
    assert "4 checkpoints in nets" in run(train)
    assert "GatedCube (alpha=0.5)" in run(evaluate)
    assert "GatedCube (alpha=0.5)" in run(compare)
    assert "Gated cube" in run(table)
    assert {"act1", "layers3.0.act2"} <= set(load_run("runs/cube").layers["layer"])


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_a_colleagues_network() -> None:
    Path("colleague.py").write_text(COLLEAGUE)
    sys.path.insert(0, str(Path.cwd()))
    import colleague  # type: ignore[import-not-found]

    torch.save(colleague.cnn(10, 1).state_dict(), "colleague.pt")
    *_, evaluate = commands("docs/your-activation.md")
    page = (ROOT / "docs/your-activation.md").read_text()
    (note,) = [line for line in page.splitlines() if "note: " in line]
    assert note.strip() in run(evaluate)


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_your_own_corruption() -> None:
    listing, _ = blocks("docs/your-corruption.md", "python")[:2]
    assert len(listing.splitlines()) < 30
    Path("mine.py").write_text(listing)
    Image.fromarray(load_photographs(64)[0].permute(1, 2, 0).numpy()).save("photo.png")
    sheet = [line for line in read_page("docs/your-corruption.md").splitlines() if "-m corruptions" in line]
    subprocess.run([sys.executable, *shlex.split(sheet[0])[1:]], check=True)
    assert Path("sheet.png").is_file()
    evaluate, generate = commands("docs/your-corruption.md")
    assert "own" in run(evaluate.replace("evaluate", f"evaluate {CHECKPOINTS}/relu_1.safetensors"))
    assert load_run("runs/dust").info.suites[0].corruptions[:2] == ("dust", "fog")
    run(generate)
    assert Path("mnist-dust/dust.npy").is_file()


def test_the_guide_of_networks_is_short() -> None:
    """`test_docs` runs it."""
    assert len(blocks("docs/your-network.md", "python")[0].splitlines()) < 30
