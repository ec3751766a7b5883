"""An activation of a user's file on its whole way, from training to the gate."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from robustbench_act import evaluate, load_run
from robustbench_act.activations import facts
from robustbench_act.activations.layers import declare_activation
from robustbench_act.activations.registry import FACTORIES
from robustbench_act.cli import main
from robustbench_act.user_code import import_modules, source_digest
from tests.references.grid import TABLES
from tests.test_robustbench_act.test_activations.conftest import GATED_CUBE, own

__all__ = ["own"]
STUDY = (
    *("evaluate", "nets", "--dataset", "digits", "--suite", "noise", "--severity", "3", "--limit", "260"),
    *("--import", "own", "--report", "none"),
)
RECIPE = (
    *("train", "--dataset", "digits", "--epochs", "1", "--arch", "cifar:resnet8?width=4", "--seeds", "2"),
    *("--activation", "own:GatedCube,relu", "--out", "nets"),
)


def actrobust(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_from_a_file_of_ones_own_to_the_gate(own: Callable[..., Path], tmp_path: Path) -> None:
    own(GATED_CUBE)
    actrobust(*RECIPE)
    assert "exists already" in actrobust(*RECIPE)

    command = [sys.executable, "-m", "robustbench_act.cli", *STUDY, "--processes", "2", "--out", "killed"]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(Path("killed").glob("parts/*.zip")):
        assert killed.poll() is None
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not Path("killed/cells").exists()
    actrobust(*STUDY, "--processes", "2", "--out", "killed")
    actrobust(*STUDY, "--executor", "ray", "--processes", "2", "--out", "on_ray")

    import_modules(["own"])
    kind = sys.modules["own"].GatedCube
    FACTORIES["GatedCube"] = kind
    facts.SHEET["GatedCube"] = facts.ActivationFacts(
        "GatedCube", "GatedCube", "other", "", origin="own:GatedCube", digest=source_digest(kind)
    )
    declare_activation(kind)
    evaluate(["nets"], dataset="digits", suites=["noise"], severities=[3], limit=260, out="as_ours")
    for name in TABLES:
        ours = Path("as_ours", name).read_bytes()
        assert Path("killed", name).read_bytes() == ours, name
        assert Path("on_ray", name).read_bytes() == ours, name
    run = load_run("killed")
    assert set(run.layers.loc[run.layers["activation"] == "GatedCube", "layer"]) >= {"act1", "layers1.0.act1"}
    assert run.layers.loc[run.layers["activation"] == "GatedCube", "saturated"].notna().any()

    own_network = ("nets/GatedCube_1.safetensors", "--dataset", "digits", "--import", "own")
    assert "layers1.0.act1" in actrobust("probe", *own_network)
    assert "GatedCube_1" in actrobust("doctor", *own_network)
    Path("own.py").unlink()  # what comes now does not need the user's module
    own.forget()  # type: ignore[attr-defined]
    actrobust("report", "killed", "--format", "html")
    assert "GatedCube" in Path("killed/report.html").read_text(encoding="utf-8")
    assert "GatedCube" in actrobust("table", "killed")
    assert "GatedCube" in actrobust("compare", "killed", "--activations", "GatedCube,relu")
    actrobust("baseline", "killed", "--out", "baseline.parquet")
    actrobust("check", "killed", "--baseline", "baseline.parquet")
