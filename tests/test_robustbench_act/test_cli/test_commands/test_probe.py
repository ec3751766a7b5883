"""`actrobust probe`: layers in the terminal and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import Result


def test_probe_shows_a_line_for_each_layer(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    result = actrobust("probe", checkpoints, "--dataset", "digits", "--limit", 20, "--device", "cpu")
    assert result.exit_code == 0, result.output
    for name in ("relu_1", "relu_2", "la_silu_1", "la_silu_2"):
        assert f"{name}: 20 images of digits, shift_gaussian:3" in result.stdout
    lines = result.stdout.splitlines()
    assert len({len(line) for line in lines if "layers2.0.act1" in line}) == 1  # nothing wraps
    assert sum("layers2.0.act1" in line for line in lines) == 4
    assert "█" in result.stdout


NETWORKS = """
import torch
from torch import nn

def plain(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

class Swallows(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head, self.act = nn.Linear(64, classes), nn.ReLU6()

    def forward(self, x):
        x = x.flatten(1)
        return self.head(torch.nan_to_num(self.act(x / (x - x[:, :1]))))  # the first element is x / 0

def swallows(classes, channels):
    return Swallows(classes)

class Near(nn.ReLU):
    def forward(self, x):
        return super().forward(x + nn.functional.avg_pool2d(x.mean(1, keepdim=True), 3, 1, 1))

def near(classes, channels):
    return nn.Sequential(nn.Conv2d(channels, 2, 1), Near(), nn.Flatten(), nn.Linear(128, classes))
"""


def test_networks_that_cannot_be_probed_are_said(
    actrobust: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("odd_nets.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(Path.cwd())
    import odd_nets  # type: ignore[import-not-found]

    flags = ("--dataset", "digits", "--mean", "0.3", "--std", "0.3", "--limit", 20, "--device", "cpu")
    for name in ("plain", "swallows", "near"):
        torch.save(getattr(odd_nets, name)(10, 1).state_dict(), f"{name}.pth")
    result = actrobust("probe", "plain.pth", "--model", "odd_nets:plain", *flags)
    assert result.exit_code == 2
    assert "it calls no activation layer that can be watched" in result.stderr
    result = actrobust("probe", "swallows.pth", "--model", "odd_nets:swallows", *flags)
    assert result.exit_code == 0, result.output
    assert "act: NaN or infinite values in 20 images" in result.stdout
    result = actrobust("probe", "near.pth", "--model", "odd_nets:near", *flags)
    assert result.exit_code == 0, result.output
    assert "note: near: layers left out: slopes of 1 (an output depends on many inputs" in result.stderr
    out = ("--suite", "noise", "--severity", 1, "--report", "none", "--out")
    result = actrobust("evaluate", "plain.pth", "--model", "odd_nets:plain", *flags, *out, "fine")
    assert result.exit_code == 0, result.output
    assert "note: plain: its layers are not measured" in result.stdout


def test_probe_json_has_every_column(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    file = checkpoints / "la_silu_1.safetensors"
    flags = ("--dataset", "digits", "--limit", 20, "--device", "cpu", "--gradients", "--json")
    first, again, injected, training = (
        json.loads(actrobust("probe", file, *flags, *more).stdout)
        for more in ([], ["--batch-size", 6], ["--inject", "gaussian:0.1"], ["--train-mode"])
    )
    assert [answer["checkpoint"] for answer in first] == ["la_silu_1"]
    rows = first[0]["layers"]
    assert [row["version"] for row in rows] == [0] * 7 + [1] * 7
    assert rows[0]["gradient_variance"] > 0
    assert rows[7]["gradient_variance"] is None
    one, other = (pd.DataFrame(answer[0]["layers"]) for answer in (first, again))
    pd.testing.assert_frame_equal(one, other, rtol=1e-6)
    last = injected[0]["layers"][13]
    assert last["layer"] == "layers3.0.act2"
    moved = pd.DataFrame(injected[0]["layers"]).query("version == 1")
    in_units = (
        moved["input_fluctuation_mean"] / moved["elements"] / one["input_variance"][:7].to_numpy() ** 0.5
    )
    assert in_units.to_numpy() == pytest.approx(0.0798, rel=0.1)  # 0.1 E|z|, in each layer's own units
    assert training[0]["layers"][0]["gradient_variance"] != rows[0]["gradient_variance"]
    assert training[0]["layers"][0]["rho"] == rows[0]["rho"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shift", "fog"], "expected NAME:SEVERITY, got 'fog'"),
        (["--shift", "fog:x"], "There is no number after ':'."),
        (["--shift", "fog:9"], "got 9.0"),
        (["--shift", "frog:1"], "'frog'"),
        (["--inject", "gaussian"], "NAME:SCALE"),
        (["--train-mode"], "--gradients"),
        (["--dataset", "nothing"], "'nothing'"),
    ],
)
def test_wrong_probe_is_one_line(
    arguments: list[str], message: str, actrobust: Callable[..., Result], checkpoints: Path
) -> None:
    result = actrobust("probe", checkpoints / "relu_1.safetensors", "--dataset", "digits", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""
