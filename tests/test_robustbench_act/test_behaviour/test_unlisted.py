"""Networks of a colleague: what looks like an activation is named with the option that measures it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from torch import Tensor, nn

from robustbench_act import load_run
from robustbench_act.activations import activation_layers
from robustbench_act.activations.layers import watch_layers
from robustbench_act.behaviour.unlisted import unlisted_activations
from robustbench_act.errors import InputError
from robustbench_act.models import build_model

COLLEAGUE = """
import torch
from torch import nn


class Swish2(nn.Module):  # sees its whole layer
    def forward(self, x):
        return x * torch.sigmoid(x / x.flatten(1).std(1).view(-1, *(1,) * (x.ndim - 1)))


class RMSNorm(nn.Module):
    def forward(self, x):
        return x / x.square().mean((1, 2, 3), keepdim=True).sqrt()


class Scale(nn.Module):
    def forward(self, x):
        return 2 * x + 1


def cnn(classes, channels, act=Swish2):
    torch.manual_seed(0)
    middle = [RMSNorm(), act(), Scale(), nn.Conv2d(4, 4, 3), nn.ReLU(), act()]
    return nn.Sequential(nn.Conv2d(channels, 4, 3), *middle, nn.Flatten(), nn.Linear(64, classes))


def by_hand(classes, channels):
    class Silu(nn.Sequential):
        def forward(self, x):
            x = super().forward(x)
            return x * torch.sigmoid(x)
    return Silu(nn.Flatten(), nn.Linear(64 * channels, classes))


if __name__ == "__main__":
    torch.save(cnn(10, 1).state_dict(), "a.pt")
    torch.save(by_hand(10, 1).state_dict(), "b.pt")
"""
STUDY = (
    *("--dataset", "digits", "--mean", "0.3", "--std", "0.4", "--limit", "20"),
    *("--suite", "light", "--severity", "3", "--report", "none"),
)
CNN = ("evaluate", "a.pt", "--model", "colleague:cnn")
NOTE = "colleague.Swish2 may be an activation, and is not measured as one: add --layers colleague.Swish2"


@pytest.fixture
def colleague(module: Callable[[str, str], str], tmp_path: Path) -> str:
    """Return the name of a module, with weights of its networks in the working folder."""
    name = module("colleague", COLLEAGUE)
    scope: dict[str, object] = {"__name__": "__main__"}
    here = Path.cwd()
    try:
        os.chdir(tmp_path)
        exec(COLLEAGUE, scope)
    finally:
        os.chdir(here)
    return name


def test_the_note_names_the_option_and_the_option_measures(
    actrobust: Callable[..., Result], colleague: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = actrobust(*CNN, *STUDY, "--out", "one")
    said = " ".join((result.output + result.stderr).split())
    assert (
        "colleague.Swish2 may be an activation, and is not measured as one: add --layers colleague.Swish2"
        in said
    )
    assert "RMSNorm" not in said
    assert "Scale" not in said
    assert set(load_run("one").layers["layer"]) == {"5"}
    layers = ("--layers", "colleague.Swish2")
    result = actrobust(*CNN, *STUDY, *layers, "--out", "two")
    assert "Swish2" not in result.output + result.stderr
    two = load_run("two")
    assert set(two.layers["layer"]) == {"2", "5", "6"}
    assert two.info.checkpoints[0].layers == ("colleague.Swish2",)
    assert two.cells["accuracy"].equals(load_run("one").cells["accuracy"])


def test_a_pattern_that_matches_nothing_is_named_with_the_classes(
    actrobust: Callable[..., Result], colleague: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = actrobust(
        "evaluate", "a.pt", "--model", "colleague:cnn", *STUDY, "--layers", "Swish3", "--out", "r"
    )
    assert result.exit_code == 2
    assert (
        "expected classes or names of modules of Sequential, got Swish3; it has the classes" in result.stderr
    )
    assert not Path("r").exists()


def test_what_is_written_by_hand_is_explained(
    actrobust: Callable[..., Result], colleague: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = actrobust("evaluate", "b.pt", "--model", "colleague:by_hand", *STUDY, "--out", "r")
    assert "must be a module of its own to be seen" in " ".join((result.output + result.stderr).split())


def test_names_match_too_and_only_in_their_network() -> None:
    one, other = (nn.Sequential(nn.Sigmoid(), nn.Sequential(nn.Sigmoid())) for _ in range(2))
    watch_layers(one, ["1.*"])
    assert [path for path, _ in activation_layers(one)] == ["1.0"]
    assert activation_layers(other) == []
    with pytest.raises(InputError, match="got 2; it"):
        watch_layers(other, ["2"])


def test_networks_that_are_known_are_not_run() -> None:
    class Loud(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError

    network = nn.Sequential(build_model("cifar:resnet8?width=2", activation="la_silu"))
    network.register_forward_pre_hook(lambda *_: pytest.fail("it was run"))
    assert unlisted_activations(network, torch.zeros(2, 3, 8, 8)) == ()
    assert unlisted_activations(nn.Sequential(Loud()), torch.zeros(2, 3, 8, 8)) == ()
