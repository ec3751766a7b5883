"""`actrobust train`: a grid of networks, of which those that are there are skipped."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from robustbench_act.checkpoints import load_checkpoint


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
    assert again.stdout.count("exists already") == 2
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
