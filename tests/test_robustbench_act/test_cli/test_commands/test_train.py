"""`actrobust train`: a grid of networks, of which those that are there are skipped."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
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
    again = actrobust(*command, "--epochs", 1, "--device", "cpu", "--seeds", "1,11")
    assert again.stdout.count("exists already") == 2
    assert again.stdout.count("clean accuracy") == 2
    assert "relu_11" in again.stdout
    other = actrobust(*command, "--epochs", 2, "--device", "cpu")
    assert other.exit_code == 2
    assert "trained with epochs 1, not 2" in other.stderr


def test_networks_are_checked_while_they_train(actrobust: Callable[..., Result]) -> None:
    line = "--dataset digits --arch resnet8?width=2 --activation relu,nswish --epochs 2 --device cpu"
    watch = "--lr 0.1,nswish=0.05 --validation 0.2 --validate-every 8 --track 0,25%,last --noise 0.2"
    result = actrobust("train", *line.split(), *watch.split(), "--limit", 640)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("on validation images") == 2
    for name, lr in (("relu", 0.1), ("nswish", 0.05)):
        path = Path(f"runs/train-digits/{name}_1.safetensors")
        spec = load_checkpoint(path).spec
        assert (spec.recipe["lr"], spec.recipe["noise"], spec.recipe["images"]) == (lr, 0.2, 640)
        curve = pd.read_parquet(path.with_suffix(".curve.parquet"))
        assert curve["step"].tolist() == [8, 10]
        assert curve["lr"].iloc[0] == pytest.approx(lr / 100)  # after 3/4 of the 10 steps
        assert curve["accuracy"].iloc[-1] == spec.validation_accuracy
        table = pd.read_parquet(path.with_suffix(".track.parquet"))
        assert table["step"].unique().tolist() == [0, 2, 10]
    again = actrobust("train", *line.split(), *watch.split(), "--limit", 640)
    assert again.stdout.count("exists already") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "digit"), "Did you mean 'digits'?"),
        (("--dataset", "mnist-1k"), "not for training"),
        (("--dataset", "digits", "--activation", "silo"), "Did you mean 'silu'?"),
        (("--dataset", "digits", "--arch", "resnet7"), "Unknown architecture 'resnet7'"),
        (("--dataset", "digits", "--arch", "mlp?width=0"), "takes only depth=N and width=N"),
        (("--dataset", "digits", "--arch", "mlp", "--activation", "frelu"), "FReLU expects images (N, 128"),
        (("--dataset", "digits", "--lr", "-1"), "lr > 0"),
        (("--dataset", "digits", "--seeds", "0"), "expected a whole number from 1 up, or seeds with commas"),
        (
            ("--dataset", "digits", "--seeds", "1,x"),
            "expected a whole number from 1 up, or seeds with commas",
        ),
        (("--dataset", "digits", "--lr", "0.1,silu=0.2"), "activation with a learning rate 'silu'"),
        (("--dataset", "digits", "--validation", "10"), "from 0 to below 1, such as 0.1, got 10"),
        (("--dataset", "digits", "--validate-every", "5"), "expected validation images"),
        (("--dataset", "digits", "--track", "0,150%"), "shares as 25%, 'last' or 'all' to track, got '150%'"),
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
