"""Images without labels: agreement and fluctuation alone, and nothing calls them accuracy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

import reports
from robustbench_act import layer_correlations
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.datasets import load_dataset
from robustbench_act.doctor import check_accuracy, examine, examine_data
from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate
from robustbench_act.metrics import labelled, leaderboard
from robustbench_act.records import outcomes
from robustbench_act.run import Run
from tests.test_reports.pieces import page_of

CPU = torch.device("cpu")
NEED_LABELS = ["correct", "accuracy", "top5", "loss", "brier", "ece", "ece_debiased", "ece_mass"]
KEYS = ["checkpoint", "corruption", "severity"]


@pytest.fixture(scope="module")
def pair(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Return runs on the same images with labels and without."""
    data = load_dataset("digits").subset(300)
    facts: dict[str, Any] = {"suites": ["noise"], "severities": [1, 5], "device": "cpu"}
    folder = tmp_path_factory.mktemp("unlabelled")
    known = evaluate([checkpoints], dataset=data, out=folder / "a", **facts)
    bare = replace(data, labels=None, classes=())
    return known, evaluate([checkpoints], dataset=bare, out=folder / "b", **facts)


def test_agreement_and_fluctuation_are_those_of_the_labelled_run(pair: tuple[Run, Run]) -> None:
    """The order of the images differs (there are no classes to balance), sums of integers do not."""
    known, bare = (run.cells.sort_values(KEYS, ignore_index=True) for run in pair)
    assert bare[NEED_LABELS].isna().to_numpy().all()
    assert bare["error"].isna().all()
    assert known[[*KEYS, "n", "agreement", "severity_flips"]].equals(
        bare[[*KEYS, "n", "agreement", "severity_flips"]]
    )
    layers = [run.layers.sort_values([*KEYS, "index"], ignore_index=True) for run in pair]
    columns = ["input_fluctuation_mean", "output_fluctuation_mean", "output_fluctuation_var"]
    assert np.allclose(layers[0][columns], layers[1][columns], rtol=1e-9)


def test_outcomes_are_agreement(pair: tuple[Run, Run]) -> None:
    _, bare = pair
    assert np.allclose(outcomes(bare.cells).mean(axis=1), bare.cells["agreement"])
    assert bare.labels is None
    assert bare.images["label"].isna().all()
    assert pair[0].labels is not None
    assert not bare.info.dataset.labelled


def test_the_leaderboard_ranks_agreement(pair: tuple[Run, Run]) -> None:
    _, bare = pair
    board = bare.leaderboard()
    assert (board["clean"] == 1).all()
    bad = bare.cells[bare.cells["severity"] > 0]
    by_corruption = bad.groupby(["activation", "checkpoint", "corruption"])["agreement"].mean()
    wanted = by_corruption.groupby(["activation", "checkpoint"]).mean().groupby("activation").mean()
    assert board.set_index("activation")["mca"].to_dict() == pytest.approx(wanted.to_dict())
    summary = bare.summary()
    assert summary[["top5", "loss", "worst_class", "ece"]].isna().to_numpy().all()
    assert summary["agreement"].notna().all()
    assert len(layer_correlations(bare))


def test_missing_accuracies_of_a_labelled_run_are_still_a_fault(pair: tuple[Run, Run]) -> None:
    cells = pair[0].cells.assign(accuracy=None)
    assert labelled(cells)
    with pytest.raises(InputError, match="has neither an accuracy nor an error"):
        leaderboard(cells)
    assert not labelled(pair[1].cells)
    assert labelled(pair[1].cells.assign(error="x"))


def test_the_report_says_agreement(pair: tuple[Run, Run]) -> None:
    bare = reports.write_html(pair[1].path).read_text()
    known = page_of(reports.make_report(pair[0].path), "verdict", "glossary")
    assert "The images have no labels." in bare
    assert "<dt>Agreement</dt>" in bare
    assert "Agreement in %" in bare
    assert "Accuracy in %" not in bare
    assert "% accuracy" not in bare
    assert "The images have no labels." not in known
    assert "<dt>Accuracy</dt>" in known


def test_compare_and_gate(pair: tuple[Run, Run], actrobust: Callable[..., Result]) -> None:
    path = pair[1].path
    assert pair[1].compare(pair[1]).moved().empty
    for command in (("table", path), ("compare", path, path), ("baseline", path, "-o", "b.parquet")):
        result = actrobust(*command)
        assert result.exit_code == 0, result.output
        assert "No labels: accuracy means agreement" in result.stdout
    result = actrobust("check", path, "--baseline", "b.parquet")
    assert result.exit_code == 0, result.output
    assert "Robustness kept" in result.stdout
    assert "No labels: accuracy means agreement" in result.stderr


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(load_dataset("digits").subset(20).images):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:02d}.png")
    return folder


def test_from_the_command_line(actrobust: Callable[..., Result], checkpoints: Path, photos: Path) -> None:
    result = actrobust(
        "evaluate",
        checkpoints,
        "--dataset",
        f"folder:{photos}",
        "--suite",
        "light",
        "--device",
        "cpu",
        "--out",
        "o",
    )
    assert result.exit_code == 0, result.output
    assert "Agreement with the prediction on the clean image (no labels) in %" in result.stdout
    assert "Accuracy" not in result.stdout
    for command in (
        ("probe", checkpoints, "--dataset", f"folder:{photos}", "--gradients"),
        ("train", "--dataset", f"folder:{photos}"),
        ("generate", f"folder:{photos}", "--suite", "light", "--out", "made"),
    ):
        refused = actrobust(*command)
        assert refused.exit_code == 2, refused.output
        assert "has no labels, but they are needed here" in refused.stderr
    assert not Path("made/labels.npy").exists()


def test_the_doctor_counts_predicted_classes(checkpoints: Path, photos: Path) -> None:
    data = load_dataset(f"folder:{photos}")
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    (found,) = examine(checkpoint, data, CPU)
    assert found.good
    assert "of 10 classes predicted for 20 clean images" in found.text
    torch.nn.init.zeros_(checkpoint.model.get_parameter("linear.weight"))
    blind = check_accuracy(checkpoint, data, CPU)
    assert not blind.good
    assert blind.text == "no labels; 1 of 10 classes predicted for 20 clean images"
    assert [one.text for one in examine_data(data)] == [
        "20 of 20 images of photos, 1 x 8 x 8 (as it is)",
        "no labels: only agreement and fluctuation are measured",
    ]
