"""`actrobust doctor`: what is wrong with networks and data."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result


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
    warned = actrobust("evaluate", *facts, *plan, *wrong, "--no-probes", "--report", "none", "--out", "out")
    assert warned.exit_code == 0
    assert "warning: relu_1: accuracy " in warned.stderr
    silent = actrobust("evaluate", *facts, *plan, "--no-probes", "--report", "none", "--out", "out2")
    assert "warning" not in silent.stderr
    assert not Path("runs").exists()
