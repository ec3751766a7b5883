"""Names of files and folders that are not UTF-8, as old archives leave them, cost neither run nor report."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from corruptions import Cell
from reports import make_report
from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.errors import InputError
from robustbench_act.evaluation import Series, WorkUnit
from robustbench_act.run import load_run
from robustbench_act.tally.cell_rows import failed_cells
from tests.build_run import Builder
from tests.test_robustbench_act.conftest import ARCHITECTURE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are always Unicode")

NETS, BAD, OUT = (os.fsdecode(name) for name in (b"n\xe9t.pth", b"b\xe9d.pth", b"r\xfcn"))
FLAGS = ("--model", ARCHITECTURE, "--activation", "relu", "--mean", "0.5", "--std", "0.5", "--device", "cpu")


def test_a_run_and_all_that_is_made_of_it(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    """Pictures in folders, two networks, of which one has failed, and the run's own folder."""
    weights = load_checkpoint(checkpoints / "relu_1.safetensors").model.state_dict()
    torch.save(weights, "net")
    Path("net").rename(NETS)
    torch.save({**weights, "linear.bias": torch.full((10,), torch.nan)}, "net")
    Path("net").rename(BAD)
    for place, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (20, 8, 8), dtype=np.uint8)):
        folder = Path(os.fsdecode(b"ph\xf6tos/\xe9%d" % (place // 2)))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / os.fsdecode(b"\xe4%d.png" % place))
    data = ("--dataset", os.fsdecode(b"folder:ph\xf6tos"), "--suite", "light", "--severity", 3, "--no-probes")
    arguments = ("evaluate", NETS, BAD, *FLAGS, *data, "--out", OUT)
    made = actrobust(*arguments)
    assert made.exit_code == 1, made.output
    assert "failed: b\\xe9d: weights that are not finite" in made.stdout
    assert "No report" not in made.stderr
    assert actrobust(*arguments, "--report", "none").stderr.count("Continuing: 2 of 2 units") == 1
    run = load_run(OUT)
    assert set(run.cells["checkpoint"]) == {"n\\xe9t", "b\\xe9d"}
    assert run.cells["architecture"].notna().all()
    assert "ph\\xf6tos" in str(run.info.dataset.name) + run.info.command
    assert "b\\xe9d" in Path(OUT, "report.html").read_text("utf-8")
    assert actrobust("compare", OUT, OUT).exit_code == 0
    copy = os.fsdecode(b"c\xf6py")
    stored = ("--suite", "light", "--severity", 3, "--layout", "folders", "--out", copy)
    written = actrobust("generate", data[1], *stored)
    assert written.exit_code == 0, written.output
    again = actrobust("evaluate", NETS, *FLAGS, *data[:2], "--no-probes", "--corrupted", copy, "--out", "b")
    assert again.exit_code == 0, again.output
    assert "files:c\\xf6py" in set(load_run("b").cells["suite"])
    refused = actrobust("manifest", ".")
    assert refused.exit_code == 2
    assert "b\\xe9d.pth: a manifest cannot hold a name that is not UTF-8; rename the file." in refused.stderr


def test_safetensors_are_read(checkpoints: Path, tmp_path: Path) -> None:
    """Under a folder, too; their library refuses such paths."""
    there = checkpoints / "relu_1.safetensors"
    path = tmp_path / os.fsdecode(b"r\xfcn") / os.fsdecode(b"n\xe9t.safetensors")
    path.parent.mkdir()
    shutil.copy(there, path)
    found, wanted = load_checkpoint(path), load_checkpoint(there)
    assert found.spec == wanted.spec
    weights = wanted.model.state_dict()
    assert all(torch.equal(weights[name], own) for name, own in found.model.state_dict().items())
    path.write_bytes(there.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        load_checkpoint(path)


def test_reports_of_several_runs_and_a_baseline(actrobust: Callable[..., Result]) -> None:
    names = [os.fsdecode(name) for name in (b"\xe9 1", b"\xe9 2")]
    for name in names:
        builder = Builder(probes=False)
        data = {**builder.run_json()["dataset"], "classes": [os.fsdecode(b"\xe9"), "b", "c", "d"]}
        builder.info = {"dataset": data, "command": f"actrobust evaluate --out {name}"}
        builder.write(Path("run")).rename(name)
    assert "\\xe9 1" in make_report(*names).html()
    assert make_report(names[0]).pdf().startswith(b"%PDF")
    file = os.fsdecode(b"b\xe9.parquet")
    assert actrobust("baseline", names[0], "--out", file).exit_code == 0
    checked = actrobust("check", names[1], "--baseline", file)
    assert checked.exit_code == 0, checked.output


def test_units_and_errors_have_names_that_can_be_written() -> None:
    series = Series("files:g\udce9n", "npy files", "fog", "weather", (Cell("fog", 3),))
    unit = WorkUnit((series,), 0, range(1))
    assert unit.key("plan").startswith("000000-0000-0000-files_g_n-fog-")
    assert unit.row_keys("x")[1]["suite"] == "files:g\\xe9n"
    (row,) = failed_cells({0: {}}, "n\udce9t.pth: has changed")
    assert row["error"] == "n\\xe9t.pth: has changed"
