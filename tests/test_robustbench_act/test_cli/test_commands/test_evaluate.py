"""`actrobust evaluate`: what it prints, what it writes, and how it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import Result

from robustbench_act.checkpoints import load_checkpoint, save_checkpoint

QUICK = ("--dataset", "digits", "--limit", 40, "--severity", "1,5", "--device", "cpu")


def test_evaluate_writes_a_run_and_shows_the_leaderboard(
    actrobust: Callable[..., Result], checkpoints: Path
) -> None:
    result = actrobust(
        "evaluate", checkpoints, *QUICK, "--out", "out", "--suite", "noise", "--suite", "light"
    )
    assert result.exit_code == 0, result.output
    assert "LA-SiLU" in result.stdout
    assert "4 checkpoints x 6 corruptions x severities 1, 5 x 40 of 360 images of digits" in result.stderr
    for name in (
        "run.json",
        "report.html",
        "cells/part-0000.parquet",
        "layers/part-0000.parquet",
        "samples/contrast.png",
    ):
        assert Path("out", name).stat().st_size > 0
    info = json.loads(Path("out/run.json").read_text())
    assert info["seed"] == 0
    assert set(info["libraries"]) >= {"torch", "python"}


def test_json_equals_the_tables(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    result = actrobust(
        "evaluate", checkpoints, *QUICK, "--suite", "noise", "--out", "out", "--json", "--report", "none"
    )
    answer = json.loads(result.stdout)
    assert answer["run"] == "out"
    assert answer["report"] is None
    assert not Path("out/report.html").exists()
    cells = pd.read_parquet("out/cells")
    mean = cells.query("severity > 0").groupby("activation")["accuracy"].mean()  # equally many cells for each
    board = {row["activation"]: row for row in answer["leaderboard"]}
    assert set(board) == {"relu", "la_silu"}
    for activation, row in board.items():
        assert row["mca"] == pytest.approx(mean[activation], abs=1e-12)
        assert row["seeds"] == 2


def test_out_defaults_to_a_dated_folder(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    result = actrobust("evaluate", checkpoints, *QUICK, "--suite", "light", "--no-probes")
    assert result.exit_code == 0, result.output
    (run,) = Path("runs").iterdir()
    assert (run / "report.html").is_file()


def test_a_failed_checkpoint_is_named_and_the_exit_code_is_1(
    actrobust: Callable[..., Result], checkpoints: Path, tmp_path: Path
) -> None:
    broken = load_checkpoint(checkpoints / "relu_1.safetensors")
    broken.model.get_parameter("linear.bias")[0] = torch.nan
    save_checkpoint(tmp_path / "broken_9.safetensors", broken.model, broken.spec)
    result = actrobust(
        "evaluate", checkpoints, tmp_path / "broken_9.safetensors", *QUICK, "--suite", "light", "--out", "out"
    )
    assert result.exit_code == 1, result.output
    assert "failed: broken_9: weights that are not finite" in result.stdout
    assert "LA-SiLU" in result.stdout
    assert "broken_9" in Path("out/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "nois"), "Unknown suite 'nois'. Did you mean 'noise'?"),
        (("--dataset", "mnist-1m"), "Unknown dataset 'mnist-1m'. Did you mean 'mnist-1k'?"),
        (("--dataset", "mnist:/nowhere"), "/nowhere/MNIST/raw/t10k-images-idx3-ubyte, which does not exist"),
        (("--severity", "7"), "7"),
        (("--severity", "mild"), "expected numbers with commas between them, got 'mild'"),
        (("--device", "cuda:7"), "CUDA device(s)"),
        (("--activation", "rellu"), "Unknown activation 'rellu'. Did you mean 'relu'?"),
        (("--model", "cifar:resnet9"), "Unknown architecture 'cifar:resnet9'"),
        (("--classes", "7"), "other shapes 2: linear.weight: expected (7, 16), got (10, 16)"),
        (("--input-size", "1,8.5,8"), "expected three whole numbers with commas between them, got '1,8.5,8'"),
        (("--mean", "0.1,0.2"), "Expected mean and std with 1 value(s)"),
        (("--report", "pdf2"), "expected html, pdf, html,pdf or none, got 'pdf2'"),
        (("missing.pt",), "missing.pt: expected a checkpoint file, a folder or a pattern; nothing is there."),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...], message: str, actrobust: Callable[..., Result], checkpoints: Path
) -> None:
    result = actrobust("evaluate", checkpoints, "--dataset", "digits", *arguments)
    assert result.exit_code == 2, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.output
    assert not list(Path().iterdir())


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(checkpoints: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", str(checkpoints), *map(str, QUICK), "--report", "none"]
    command = [sys.executable, "-m", "robustbench_act.cli", *arguments]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "killed" / "parts").glob("*.zip"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "cells").exists()
    for name in ("killed", "whole"):
        done = subprocess.run(
            [*command, "--out", str(tmp_path / name)], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0
        assert bool(re.search(r"Continuing: ([3-9]|\d\d) of \d+ units are done\.", done.stderr)) == (
            name == "killed"
        )
    for kind in ("cells", "layers"):
        files = [tmp_path / name / kind / "part-0000.parquet" for name in ("killed", "whole")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_corrupted_images_from_files(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    made = actrobust("generate", "digits", "--suite", "light", "--severity", "1,3", "--out", "digits-c")
    assert made.exit_code == 0, made.output
    facts = ("--dataset", "digits", "--device", "cpu", "--no-probes", "--limit", 40)
    result = actrobust("evaluate", checkpoints, *facts, "--corrupted", "digits-c", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "4 checkpoints x 2 corruptions x severities 1, 3 x 40 of 360 images" in result.stderr
    assert "files:digits-c" in Path("out/report.html").read_text()
    refused = actrobust("evaluate", checkpoints, *facts, "--corrupted", "nowhere", "--out", "x")
    assert refused.exit_code == 2
    assert "nowhere: expected a folder of corrupted images" in refused.stderr


@pytest.fixture
def finished(actrobust: Callable[..., Result], checkpoints: Path) -> tuple[object, ...]:
    """Return the command line of a finished run in the folder a, which has no report."""
    arguments = ("evaluate", checkpoints, *QUICK, "--suite", "light", "--no-probes", "--out", "a")
    assert actrobust(*arguments, "--report", "none").exit_code == 0
    return arguments


@pytest.mark.parametrize("as_json", [False, True])
def test_a_report_that_fails_costs_no_number(
    as_json: bool, actrobust: Callable[..., Result], finished: tuple[object, ...]
) -> None:
    """One line names what failed, and how to make it from the tables."""
    Path("a/report.html").mkdir()  # is in the way
    result = actrobust(*finished, *["--json"] * as_json)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    reason = "No report: cannot write a/report.html: Is a directory."
    assert f"{reason} `actrobust report a` makes it from the tables." in result.stderr.splitlines()
    if as_json:
        answer = json.loads(result.stdout)
        assert answer["report"] is None
        assert len(answer["leaderboard"]) == 2
    else:
        assert "LA-SiLU" in result.stdout
        assert result.stdout.splitlines()[-1].startswith("a  (")


def test_a_pdf_that_fails_costs_no_page(
    actrobust: Callable[..., Result], finished: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.pdf.find_spec", lambda _: None)
    result = actrobust(*finished, "--report", "html,pdf")
    assert result.exit_code == 1
    reason = "Report incomplete: the PDF needs plutoprint: pip install plutoprint."
    assert f"{reason} `actrobust report a` makes it from the tables." in result.stderr.splitlines()
    assert result.stdout.splitlines()[-1].startswith("a/report.html  (")


def test_the_leaderboard_comes_before_the_report(
    actrobust: Callable[..., Result], finished: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the report is drawn does not take the leaderboard with it."""
    monkeypatch.setattr("reports.tables.curves", lambda *_: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    try:
        result = actrobust(*finished)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert "LA-SiLU" in result.stdout
    assert "Interrupted" in result.stderr
