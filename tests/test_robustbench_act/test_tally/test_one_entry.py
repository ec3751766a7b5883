"""A quantity that is declared in one entry is in parts, tables, failed cells, summaries and rules."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import robustbench_act
from robustbench_act.checkpoints import load_checkpoint, save_checkpoint
from robustbench_act.records.parts import unpack

SCRIPT = """
import sys
from dataclasses import replace

from robustbench_act.tally import cell_quantities
from robustbench_act.tally.quantity_kinds import MeanOverImages
from robustbench_act.tally.metric import SHARE, Metric

cell_quantities.CELL_QUANTITIES += (
    MeanOverImages(
        "top1",
        needs_labels=True,
        of_images=lambda a: (a.logits > a.of_label(a.logits)[..., None]).sum(-1) < 1,
        metric=Metric("Top-1", "%", "higher", "Share of images with no logit above the label's.", SHARE),
    ),
)

from robustbench_act import evaluate
from robustbench_act.datasets import load_dataset
from robustbench_act.gate.rules import RULE_METRICS
from robustbench_act.metrics import METRICS

data = load_dataset("mnist-1k").subset(20)
facts = {"suites": ["light"], "severities": [5], "probes": False, "device": "cpu"}
run = evaluate(sys.argv[1:], dataset=data, out="known", **facts)
run.summary().to_csv("summary.csv")
evaluate(sys.argv[1:2], dataset=replace(data, labels=None, classes=()), out="bare", **facts)
assert METRICS["top1"].title == "Top-1"
assert "top1" in RULE_METRICS
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs of a sound network and one that fails, made with one entry more."""
    folder = tmp_path_factory.mktemp("one_entry")
    sound = Path(robustbench_act.__file__).parent / "assets/checkpoints/relu_1.safetensors"
    broken = load_checkpoint(sound)
    torch.nn.init.constant_(next(broken.model.parameters()), torch.nan)
    save_checkpoint(folder / "broken.safetensors", broken.model, broken.spec)
    subprocess.run([sys.executable, "-c", SCRIPT, sound, "broken.safetensors"], cwd=folder, check=True)
    return folder


def read(folder: Path) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted(folder.glob("cells/*.parquet"))))


def test_it_is_counted_as_declared(folder: Path) -> None:
    cells = read(folder / "known").query("checkpoint == 'relu_1'")
    assert cells["error"].isna().all()
    assert cells["top1"].equals(cells["accuracy"])
    assert cells["top1"].between(0, 1, inclusive="right").any()
    assert list(cells).index("top1") == list(cells).index("severity_flips") + 1


def test_parts_and_failed_cells_have_it(folder: Path) -> None:
    files = (folder / "known").glob("parts/*.zip")
    parts = pd.concat([unpack(file.read_bytes(), file).cells for file in files])
    whole, failed = parts.query("checkpoint == 'relu_1'"), parts.query("checkpoint == 'broken'")
    assert len(whole) == len(failed) > 0
    assert (whole["top1_sum"] == whole["correct"]).all()
    assert (failed["top1_sum"] == 0).all()
    failed = read(folder / "known").query("checkpoint == 'broken'")
    assert failed["error"].notna().all()
    assert failed["top1"].isna().all()


def test_it_is_missing_without_labels(folder: Path) -> None:
    bare = read(folder / "bare")
    assert bare["error"].isna().all()
    assert bare["top1"].isna().all()


def test_summaries_average_it(folder: Path) -> None:
    (row,) = pd.read_csv(folder / "summary.csv").to_dict("records")
    assert row["top1"] == pytest.approx(row["mca"])
