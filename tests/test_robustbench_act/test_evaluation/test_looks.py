"""What networks do that others do not changes how they are run, never what others get."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import Result
from torch import Tensor, nn

from corruptions import corrupt
from robustbench_act.checkpoints import Checkpoint, load_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.errors import InputError
from robustbench_act.evaluation import CHUNK, Execution, behaviour_of, evaluate, few_images
from robustbench_act.evaluation.plan import probe_sample_first
from robustbench_act.preprocessing import normalise
from robustbench_act.run import Run
from tests.test_robustbench_act.test_behaviour import networks

IMAGES = CHUNK + 40


@pytest.fixture
def as_checkpoint(checkpoints: Path) -> Callable[[nn.Module], Checkpoint]:
    trained = load_checkpoint(checkpoints / "relu_1.safetensors")
    return lambda network: replace(trained, name=type(network).__name__, load=network.eval)


def evaluated(found: Any, out: Path, **options: Any) -> Run:
    few = {"dataset": "digits", "suites": ["light"], "severities": [1, 4], "limit": 20, "device": "cpu"}
    return evaluate(found, out=out, **{**few, **options})


def test_images_that_see_each_other_go_through_chunk_by_chunk(
    as_checkpoint: Callable[[nn.Module], Checkpoint], tmp_path: Path
) -> None:
    """As in a plain loop over chunks, whatever the batch size and whichever severities come along."""
    network = networks.BatchNormWithoutStatistics()
    checkpoint = as_checkpoint(network)
    runs = [
        evaluated([checkpoint], tmp_path / str(size), limit=IMAGES, batch_size=size, severities=severities)
        for size, severities in ((16, [1, 4]), (500, [4]))
    ]
    data = probe_sample_first(load_dataset("digits").subset(IMAGES))
    right = 0
    for part in data.chunks(CHUNK):
        pale = corrupt(part.images, "contrast", severity=4, ids=part.ids)
        with torch.inference_mode():
            logits = network(normalise(pale, checkpoint.spec.mean, checkpoint.spec.std))
        right += int((logits.argmax(1) == part.labels).sum())
    for run in runs:
        cells = run.cells.set_index(["corruption", "severity"])
        assert cells.loc[("contrast", 4), "correct"] == right
        assert run.layers.empty
        assert run.info.checkpoints[0].behaviour.batch_dependent
        assert "depends on which images share a batch" in run.network_notes[0]


def test_the_extremes_of_a_batch_are_seen(as_checkpoint: Callable[[nn.Module], Checkpoint]) -> None:
    """Although the images of digits have the same extremes, as most images do."""
    few, execution = few_images(load_dataset("digits")), Execution(torch.device("cpu"))
    for kind, sees in ((networks.ByExtremes, True), (networks.Net, False)):
        assert behaviour_of(as_checkpoint(kind()), few, execution).batch_dependent == sees


def test_a_decision_for_a_whole_batch_is_seen(as_checkpoint: Callable[[nn.Module], Checkpoint]) -> None:
    """An early exit that is taken if the network is sure of all images of the batch: of digits, of some."""
    few, execution = few_images(load_dataset("digits")), Execution(torch.device("cpu"))
    assert behaviour_of(as_checkpoint(networks.BatchExit()), few, execution).batch_dependent
    assert not behaviour_of(as_checkpoint(networks.BatchExit(whole=False)), few, execution).batch_dependent


def test_weights_in_half_precision_are_judged_in_the_precision_of_the_run(
    as_checkpoint: Callable[[nn.Module], Checkpoint], tmp_path: Path
) -> None:
    checkpoint = as_checkpoint(networks.BatchNormWithoutStatistics().bfloat16())
    runs = [
        evaluated([checkpoint], tmp_path / str(size), precision="bf16", batch_size=size) for size in (8, 64)
    ]
    pd.testing.assert_frame_equal(runs[0].cells, runs[1].cells, check_exact=True)
    assert runs[0].cells["error"].isna().all()
    notes = " ".join(runs[0].network_notes)
    assert "fails in fp32, so it was looked at in bf16" in notes
    assert "depends on which images share a batch" in notes


def test_random_numbers_are_fixed_by_seeds(
    as_checkpoint: Callable[[nn.Module], Checkpoint], tmp_path: Path
) -> None:
    checkpoint = as_checkpoint(networks.DropoutLeftOn())
    with pytest.raises(InputError, match=r"relu_1\.safetensors: draws random numbers .* --allow-random"):
        evaluated([checkpoint], tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    runs = [
        evaluated([checkpoint], tmp_path / str(place), allow_random=True, seed=seed)
        for place, seed in enumerate((0, 0, 1))
    ]
    pd.testing.assert_frame_equal(runs[0].cells, runs[1].cells, check_exact=True)
    pd.testing.assert_frame_equal(runs[0].layers, runs[1].layers, check_exact=True)
    assert (runs[0].cells["loss"] != runs[2].cells["loss"]).any()
    assert "random numbers were fixed by seeds" in runs[0].network_notes[0]


def test_a_network_that_writes_to_its_input_changes_nothing_for_others(
    as_checkpoint: Callable[[nn.Module], Checkpoint], checkpoints: Path, tmp_path: Path
) -> None:
    trained = checkpoints / "la_silu_1.safetensors"
    alone = evaluated([trained], tmp_path / "alone")
    after = evaluated([as_checkpoint(networks.InPlace()), trained], tmp_path / "after", batch_size=1000)
    cells = after.cells[after.cells["checkpoint"] == "la_silu_1"].reset_index(drop=True)
    pd.testing.assert_frame_equal(cells, alone.cells, check_exact=True)


def test_one_note_for_a_layer_that_some_images_do_not_reach(
    as_checkpoint: Callable[[nn.Module], Checkpoint], tmp_path: Path
) -> None:
    run = evaluated([as_checkpoint(networks.EarlyExit())], tmp_path / "run", batch_size=12)
    (note,) = run.info.notes
    assert note.startswith(
        "EarlyExit: layer more is measured on some images at most: its rows cannot be told"
    )


class Probabilities(networks.Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).softmax(1)


def test_probabilities_are_worth_their_logits(
    as_checkpoint: Callable[[nn.Module], Checkpoint], tmp_path: Path
) -> None:
    logits, probabilities = (
        evaluated([as_checkpoint(network)], tmp_path / type(network).__name__).cells
        for network in (networks.Net(), Probabilities())
    )
    for name in ("loss", "brier", "ece"):
        assert probabilities[name].tolist() == pytest.approx(logits[name].tolist(), rel=1e-4)


class Scripted(networks.Net):
    """Its activation cannot be followed: it is not a module, and not a function of torch."""

    def features(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.first(x.flatten(1))
        return hidden * (hidden > 0)


def test_a_network_without_layers_to_watch_keeps_its_accuracy(
    as_checkpoint: Callable[[nn.Module], Checkpoint], checkpoints: Path, tmp_path: Path
) -> None:
    run = evaluated([as_checkpoint(Scripted()), checkpoints / "relu_1.safetensors"], tmp_path / "run")
    assert run.cells["error"].isna().all()
    assert run.layers["checkpoint"].unique().tolist() == ["relu_1"]
    (note,) = run.network_notes
    assert "Scripted: its layers are not measured: it calls no activation layer that can be watched" in note
    assert note.endswith("must be a module of its own to be seen.")


def test_who_goes_on_looks_at_no_network_again(
    as_checkpoint: Callable[[nn.Module], Checkpoint], tmp_path: Path
) -> None:
    network = networks.Net()
    passes: list[int] = []
    network.register_forward_hook(lambda *_: passes.append(1))
    first = evaluated([as_checkpoint(network)], tmp_path / "run", probes=False)
    seen = len(passes)
    again = evaluated([as_checkpoint(network)], tmp_path / "run", probes=False)
    assert len(passes) == seen
    assert again.info.checkpoints == first.info.checkpoints
    next(iter((tmp_path / "run" / "parts").glob("*.zip"))).unlink()
    evaluated([as_checkpoint(network)], tmp_path / "run", probes=False)
    assert len(passes) == seen + 2  # the unit whose part is missing: clean images, then the others


CHANGING = """
from tests.test_robustbench_act.test_behaviour import networks
def make(classes, channels): return networks.{kind}()
"""


def test_a_factory_that_was_edited_is_looked_at_again(
    actrobust: Callable[..., Result], module: Callable[[str, str], str]
) -> None:
    """The weights are the same: only its code says that images now see each other."""
    name = module("edited", CHANGING.format(kind="Net"))
    torch.save(networks.Net().state_dict(), "net.pth")
    flags = ["--dataset", "digits", "--mean", "0.3", "--std", "0.3", "--device", "cpu", "--limit", "20"]
    few = ["--suite", "light", "--severity", "3", "--out", "run", "--report", "none"]

    def run() -> Result:
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return actrobust("evaluate", "net.pth", "--model", f"{name}:make", *flags, *few)

    assert run().exit_code == 0
    assert run().exit_code == 0
    module("edited", CHANGING.format(kind="CentredBatch"))
    refused = run()
    assert refused.exit_code == 2
    assert (
        "different plan (checkpoints[0].behaviour.batch_dependent (None there, True here)" in refused.stderr
    )


NETS = """
import torch
from tests.test_robustbench_act.test_behaviour import networks
def dropping(classes, channels): return networks.DropoutLeftOn()
def dependent(classes, channels): return networks.BatchNormWithoutStatistics()
def headless(classes, channels):
    network = networks.Net()
    network.last = torch.nn.Identity()
    return network
"""


def test_the_command_line_says_so_everywhere(
    actrobust: Callable[..., Result], module: Callable[[str, str], str]
) -> None:
    name = module("misbehaving", NETS)
    flags = ["--dataset", "digits", "--mean", "0.3", "--std", "0.3", "--device", "cpu"]
    few = ["--limit", "20", "--suite", "light", "--severity", "3"]
    weights = {
        "dropping": networks.DropoutLeftOn().state_dict(),
        "dependent": networks.BatchNormWithoutStatistics().state_dict(),
        "headless": {key: own for key, own in networks.Net().state_dict().items() if "last" not in key},
    }
    for kind, state in weights.items():
        torch.save(state, f"{kind}.pth")

    def run(command: str, kind: str, *more: str) -> Result:
        return actrobust(command, f"{kind}.pth", "--model", f"{name}:{kind}", *flags, *more)

    result = run("evaluate", "dropping", *few, "--out", "r")
    assert (result.exit_code, Path("r").exists()) == (2, False)
    assert "dropping.pth: draws random numbers" in result.stderr
    result = run("evaluate", "headless", *few, "--out", "r")
    assert (result.exit_code, Path("r").exists()) == (2, False)
    assert "headless.pth: returns 16 columns, expected 10" in result.stderr
    said = "depends on which images share a batch"
    result = run("evaluate", "dependent", *few, "--out", "run", "--report", "html")
    assert result.exit_code == 0, result.output
    assert said in result.stdout
    assert said in result.stderr
    assert said in Path("run/report.html").read_text()
    assert said in run("evaluate", "dependent", *few, "--out", "run", "--report", "none", "--json").stdout
    assert said in run("plan", "dependent", *few).stderr
    assert said in actrobust("table", "run").stdout
    assert said in actrobust("compare", "run", "run").stdout
    result = run("doctor", "dependent", *few)
    assert (result.exit_code, said in result.stdout) == (1, True)
    result = run("probe", "dependent", "--limit", "20")
    assert result.exit_code == 2
    assert "no layer can be measured" in result.stderr
