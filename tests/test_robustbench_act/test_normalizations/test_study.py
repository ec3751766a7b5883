"""A study of two activations with two normalisations, from training to the gate."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import Result
from torch import Tensor, nn

from robustbench_act import load_checkpoint, load_run
from robustbench_act.checkpoints import read_spec, save_checkpoint
from robustbench_act.errors import InputError
from robustbench_act.models import build_model
from robustbench_act.normalizations import normalization_code

STUDY = {("relu", "batch"), ("relu", "layer"), ("la_silu", "batch"), ("la_silu", "layer")}


class Whitening(nn.Module):
    """A normalisation of one's own, with running state: minus the running mean of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(x.mean(dim=(0, 2, 3)), 0.1)
        return x - self.mean.view(-1, 1, 1)


ARCHITECTURE = "cifar:resnet8?width=4"
OWN = f"{__name__}:Whitening"


@pytest.mark.slow
def test_from_training_to_the_gate(actrobust: Callable[..., Result], tmp_path: Path) -> None:
    def run(*arguments: object) -> Result:
        found = actrobust(*arguments)
        assert found.exit_code == 0, found.output
        return found

    out = ("--epochs", 1, "--out", "nets")
    train = ("train", "--dataset", "digits", "--arch", ARCHITECTURE, *out)
    data = (
        "--dataset",
        "digits",
        "--severity",
        3,
        "--limit",
        12,
        "--suite",
        "c15",
        "--no-probes",
        "--processes",
        1,
    )
    grid = ("--activation", "relu,la_silu", "--norm", "native,layer", "--seeds", 2, "--limit", 200)
    run(*train, *grid)
    assert "relu_layer_2" in run(*train, *grid).stdout  # exists already
    assert read_spec(Path("nets/relu_layer_2.safetensors")).normalization == "layer"
    assert read_spec(Path("nets/relu_2.safetensors")).normalization == "native"
    board = json.loads(run("evaluate", "nets", *data, "--out", "run", "--json").stdout)["leaderboard"]
    assert {(row["activation"], row["normalization"]) for row in board} == STUDY
    assert {row["seeds"] for row in board} == {2}
    found = load_run("run")
    assert {entry.normalization for entry in found.info.checkpoints} == {"batch", "layer"}
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "LA-SiLU · layer norm" in page
    assert "4 variants compared" in page
    table = pd.read_csv(io.StringIO(run("table", "run", "--format", "csv").stdout))
    assert set(table[["activation", "normalization"]].itertuples(index=False, name=None)) == STUDY
    run("baseline", "run", "-o", "base.parquet")
    checked = run("check", "run", "--baseline", "base.parquet", "--json").stdout
    assert "relu ‹batch norm›" in str(json.loads(checked))
    assert "la_silu ‹layer norm›" in str(json.loads(checked))
    answer = run("compare", "run", "--activations", "la_silu,relu").stdout
    assert f"{ARCHITECTURE}, layer: LA-SiLU has" in answer


def test_a_normalisation_of_ones_own_enters_where_the_user_names_it(tmp_path: Path) -> None:
    """It is stored by name; a file alone imports nothing, and the error has the option that does."""
    torch.manual_seed(0)
    model = build_model(ARCHITECTURE, normalization=OWN, channels=1).train()
    x = torch.randn(4, 1, 8, 8)
    model(x)
    spec = read_spec(Path(__file__).parents[3] / "robustbench_act/assets/checkpoints/relu_1.safetensors")
    spec = spec.override(architecture=ARCHITECTURE, normalization=OWN)
    save_checkpoint(tmp_path / "own.safetensors", model, spec)
    with pytest.raises(
        InputError, match=f"its normalisation is code of yours, {OWN}; pass --import {__name__}"
    ):
        load_checkpoint(tmp_path / "own.safetensors")
    found = load_checkpoint(tmp_path / "own.safetensors", normalization=OWN)
    assert found.normalization == OWN
    assert len(normalization_code(OWN)) == 64
    assert torch.equal(found.model(x), model.eval()(x))
    with pytest.raises(InputError, match="Unknown normalization"):
        load_checkpoint(tmp_path / "own.safetensors", normalization="own")
