"""The command line: what it prints, what it writes, and how it refuses."""

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
        assert row["corrupted"] == pytest.approx(mean[activation], abs=1e-12)
        assert row["seeds"] == 2


def test_out_defaults_to_a_dated_folder(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    result = actrobust("evaluate", checkpoints, *QUICK, "--suite", "light", "--no-probes")
    assert result.exit_code == 0, result.output
    (run,) = Path("runs").iterdir()
    assert (run / "report.html").is_file()


def test_report_can_be_made_again(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    actrobust("evaluate", checkpoints, *QUICK, "--suite", "light", "--out", "out")
    first = Path("out/report.html").read_bytes()
    Path("out/report.html").unlink()
    result = actrobust("report", "out")
    assert result.stdout.strip() == str(Path("out/report.html"))
    assert Path("out/report.html").read_bytes() == first


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
        (("--classes", "7"), "other shapes 2: linear.bias: expected (7,), got (10,)"),
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


def test_train_grid_skips_what_is_there(actrobust: Callable[..., Result]) -> None:
    command = (
        "train",
        "--dataset",
        "digits",
        "--arch",
        "resnet8?width=2",
        "--activation",
        "relu,nswish",
        "--limit",
        100,
    )
    first = actrobust(*command, "--epochs", 1, "--device", "cpu")
    assert first.exit_code == 0, first.output
    assert "relu_1" in first.stdout
    assert "clean accuracy" in first.stdout
    assert sorted(path.name for path in Path("runs/train-digits").iterdir()) == [
        "nswish_1.safetensors",
        "relu_1.safetensors",
    ]
    again = actrobust(*command, "--epochs", 1, "--device", "cpu", "--seeds", 2)
    assert again.stdout.count("is there already") == 2
    assert again.stdout.count("clean accuracy") == 2
    other = actrobust(*command, "--epochs", 2, "--device", "cpu")
    assert other.exit_code == 2
    assert "trained with epochs 1, not 2" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "digit"), "Did you mean 'digits'?"),
        (("--dataset", "mnist-1k"), "not for training"),
        (("--dataset", "digits", "--activation", "silo"), "Did you mean 'silu'?"),
        (("--dataset", "digits", "--arch", "resnet7"), "Unknown architecture 'resnet7'"),
        (("--dataset", "digits", "--lr", "-1"), "lr > 0"),
        ((), "Missing option '--dataset'"),
    ],
)
def test_wrong_training_is_refused_before_it_starts(
    arguments: tuple[str, ...], message: str, actrobust: Callable[..., Result]
) -> None:
    result = actrobust("train", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(Path().iterdir())


def heed_interrupts() -> None:
    """Undo what a shell does to jobs in the background: they, and all they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_interrupted_training_keeps_what_is_finished(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "robustbench_act.cli", "train", "--dataset", "digits", "--seeds", "50"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "grid")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - it takes no lock
    )
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "grid").glob("*.safetensors"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "checkpoints are complete" in errors
    assert all(path.name.endswith(".safetensors") for path in (tmp_path / "grid").iterdir())
    for path in (tmp_path / "grid").iterdir():
        load_checkpoint(path)


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
        assert bool(re.search(r"Going on: ([3-9]|\d\d) of \d+ units are there\.", done.stderr)) == (
            name == "killed"
        )
    for kind in ("cells", "layers"):
        files = [tmp_path / name / kind / "part-0000.parquet" for name in ("killed", "whole")]
        assert files[0].read_bytes() == files[1].read_bytes()


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
"""


def test_networks_that_cannot_be_probed_are_said(
    actrobust: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("odd_nets.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(Path.cwd())
    import odd_nets  # type: ignore[import-not-found]

    flags = ("--dataset", "digits", "--mean", "0.3", "--std", "0.3", "--limit", 20, "--device", "cpu")
    for name in ("plain", "swallows"):
        torch.save(getattr(odd_nets, name)(10, 1).state_dict(), f"{name}.pth")
    result = actrobust("probe", "plain.pth", "--model", "odd_nets:plain", *flags)
    assert result.exit_code == 2
    assert "expected a network with activation layers" in " ".join(result.stderr.lower().split())
    result = actrobust("probe", "swallows.pth", "--model", "odd_nets:swallows", *flags)
    assert result.exit_code == 0, result.output
    assert "act: NaN or infinite values in 20 images" in result.stdout
    out = ("--suite", "noise", "--severity", 1, "--report", "none", "--out")
    result = actrobust("evaluate", "plain.pth", "--model", "odd_nets:plain", *flags, *out, "failed")
    assert result.exit_code == 1
    assert "Evaluate it without probes" in " ".join(result.output.split())
    result = actrobust(
        "evaluate", "plain.pth", "--model", "odd_nets:plain", *flags, *out, "fine", "--no-probes"
    )
    assert result.exit_code == 0, result.output


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
    assert 0 < last["input_fluctuation_mean"] / last["elements"] < 0.1  # 0.1 E|z| = 0.0798
    assert training[0]["layers"][0]["gradient_variance"] != rows[0]["gradient_variance"]
    assert training[0]["layers"][0]["rho"] == rows[0]["rho"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shift", "fog"], "expected NAME:SEVERITY, got 'fog'"),
        (["--shift", "fog:x"], "no number after ':'"),
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


def test_list_names_everything(actrobust: Callable[..., Result]) -> None:
    result = actrobust("list")
    assert result.exit_code == 0, result.output
    for name in ("la_hardsilu", "gaussian_noise", "shift_gain_up", "mnist-1k", "cifar:resnet56", "noise"):
        assert name in result.stdout


def test_report_of_something_else(actrobust: Callable[..., Result]) -> None:
    result = actrobust("report", "nowhere")
    assert result.exit_code == 2
    assert "'nowhere' does not exist" in result.stderr


def test_version_and_help(actrobust: Callable[..., Result]) -> None:
    assert actrobust("--version").stdout.startswith("actrobust, version ")
    assert "evaluate" in actrobust("--help").stdout


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


def test_doctor_says_what_is_wrong_and_evaluate_warns(
    actrobust: Callable[..., Result], checkpoints: Path
) -> None:
    facts = (checkpoints / "relu_1.safetensors", "--dataset", "digits", "--device", "cpu")
    plan = ("--suite", "light", "--severity", "1", "--limit", 40)
    sound = actrobust("doctor", *facts, *plan)
    assert sound.exit_code == 0, sound.output
    assert [line.split()[:2] for line in sound.stdout.splitlines()] == [
        ["ok", "machine"],
        ["ok", "data"],
        ["ok", "data"],
        ["ok", "relu_1"],
        ["ok", "run"],
        ["ok", "run"],
        ["ok", "run"],
    ]
    wrong = ("--mean", "0", "--std", "0.00392")
    ill = actrobust("doctor", *facts, *plan, *wrong)
    assert ill.exit_code == 1
    assert "WRONG  relu_1   accuracy" in ill.stdout
    assert "are mean 0 and std 0.00392 right?" in ill.stdout
    warned = actrobust("evaluate", *facts, *plan, *wrong, "--no-probes", "--out", "out")
    assert warned.exit_code == 0
    assert "warning: relu_1: accuracy " in warned.stderr
    silent = actrobust("evaluate", *facts, *plan, "--no-probes", "--out", "out2")
    assert "warning" not in silent.stderr
    assert not Path("runs").exists()


def test_report_writes_what_is_asked_for(actrobust: Callable[..., Result], checkpoints: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made = ("--suite", "noise", "--out", name, "--seed", seed, "--report", "none")
        assert actrobust("evaluate", checkpoints, *QUICK, *made).exit_code == 0
    assert not list(Path("a").glob("report.*"))
    both = actrobust("report", "a", "--format", "html,pdf", "--figures", "figures")
    assert both.exit_code == 0, both.output
    assert both.stdout.splitlines()[:2] == ["a/report.html", "a/report.pdf"]
    assert Path("a/report.pdf").read_bytes().startswith(b"%PDF")
    files = list(Path("figures").iterdir())
    assert f"figures  ({len(files)} files)" in both.stdout
    assert {path.suffix for path in files} == {".svg", ".png", ".csv"}
    beside = actrobust("report", "a", "b", "--out", "beside")
    assert beside.exit_code == 0, beside.output
    assert "LA-SiLU · a" in Path("beside/report-a-b.html").read_text()
    unlike = actrobust("report", "a", "c", "--out", "unlike")
    assert unlike.exit_code == 2
    assert "a and c are not alike: seed 0 against 1" in unlike.stderr
    assert not Path("unlike").exists()
    wrong = actrobust("report", "a", "--format", "docx")
    assert wrong.exit_code == 2
    assert "expected html, pdf or html,pdf, got 'docx'" in wrong.stderr
