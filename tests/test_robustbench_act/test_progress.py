"""Progress shows itself in a terminal, and nowhere else; a stopped call says how to continue."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robustbench_act.errors import StoppedError
from robustbench_act.evaluation import evaluate
from robustbench_act.training import train
from tests.kernel import COUNTED


def test_a_terminal_gets_a_bar_and_a_pipe_gets_nothing() -> None:
    code = COUNTED.format(last="bar.note('a worker died')")
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stderr=theirs, check=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "evaluating" in shown
    assert "images/s" in shown
    assert "note: a worker died" in shown
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert (quiet.stdout, quiet.stderr) == ("a worker died\n", "")


def stop_after(images: int) -> Callable[..., Callable[[int], None]]:
    left = [images]

    def count(done: int) -> None:
        left[0] -= done
        if left[0] < 0:
            raise KeyboardInterrupt

    return lambda *_: count


def test_a_stopped_evaluation_says_what_is_kept(checkpoints: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset": "digits", "suites": ["noise"], "severities": [3], "limit": 20}
    options |= {"out": tmp_path / "run", "device": "cpu", "probes": False}
    with pytest.raises(StoppedError) as stopped:
        evaluate(checkpoints, **options, on_start=stop_after(300))
    kept = len(list(tmp_path.glob("run/parts/*.zip")))
    assert kept > 0
    assert str(stopped.value) == (
        f'Interrupted: {kept} of 4 units are kept; the same call with out="{tmp_path / "run"}" continues.'
    )
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert evaluate(checkpoints, **options).info.status == "complete"


def test_a_stopped_training_says_what_is_complete(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"arch": "cifar:resnet8?width=2", "limit": 100, "epochs": 1, "seeds": 2}
    with pytest.raises(StoppedError, match=f"1 of 2 networks in {tmp_path} are complete; the same"):
        train("digits", **settings, out=tmp_path, on_start=stop_after(200))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["relu_1.safetensors"]
