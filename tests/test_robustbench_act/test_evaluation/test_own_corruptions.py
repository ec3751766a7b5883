"""Corruptions of a user's own in a run: named, chosen, checked, failing, on their way to other processes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import corruptions
from corruptions import Suite
from robustbench_act import evaluate, load_run
from robustbench_act.cli import main
from robustbench_act.errors import InputError
from robustbench_act.evaluation import Execution, PlanRequest, make_plan
from robustbench_act.evaluation.looks import check_own_corruptions
from tests.references.grid import assert_alike
from tests.test_robustbench_act.test_activations.conftest import own

__all__ = ["own"]

MODULE = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

import corruptions


@corruptions.register
@dataclass(frozen=True)
class Dust(corruptions.Corruption):
    name: ClassVar = "dust"
    group: ClassVar = "weather"
    severities: ClassVar = {"share": (0.01, 0.02, 0.05, 0.1, 0.2)}

    share: float

    def draw(self, stream, images):
        return {"u": stream.uniform(1, *images.shape[2:])}

    def apply(self, images, noise):
        return torch.where(noise["u"] < self.share, 0, images)


def soot(image, rng, share):
    sooty = image.copy()
    sooty[rng.random(image.shape[:2]) < share] = 9
    return sooty


corruptions.from_function(soot, name="soot", severities={"share": (0.01, 0.02, 0.05, 0.1, 0.2)})


@corruptions.register
@dataclass(frozen=True)
class Drift(corruptions.Corruption):
    name: ClassVar = "drift"
    domain: ClassVar = "input"
    severities: ClassVar = {"slope": (0.1, 0.2, 0.3, 0.4, 0.5)}

    slope: float

    def apply(self, images, noise):
        return images + self.slope * torch.linspace(-1, 1, images.shape[-1], device=images.device)
"""

STUDY = ("--dataset", "digits", "--import", "own", "--severity", "1,5", "--limit", "260", "--report", "none")


def actrobust(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_every_command_takes_them(own: Callable[..., Path], checkpoints: Path) -> None:
    own(MODULE)
    network = checkpoints / "relu_1.safetensors"
    study = ("--dataset", "digits", "--import", "own", "--limit", "20")
    actrobust("evaluate", network, *STUDY, "--corruption", "dust,soot,drift", "--limit", "20", "--out", "run")
    run = evaluate(network, dataset="digits", limit=20, corruptions=["dust", "fog"], severities=[3])
    assert run.info.suites[0].name == "dust,fog"
    assert list(run.info.suites[0].code) == ["dust"]
    assert set(run.cells["group"]) == {"clean", "weather"}
    assert "6 corruptions" in actrobust("plan", network, *study, "--corruption", "*_blur,dust")
    said = actrobust("doctor", network, *study, "--corruption", "soot")
    assert "ok corruption soot keeps the contract" in said
    actrobust("probe", network, *study, "--shift", "dust:3")
    actrobust("generate", "digits", *study[2:], "--corruption", "soot", "--out", "stored")
    assert Path("stored/soot.npy").is_file()
    assert "own soot" in actrobust("list", "--import", "own")
    Path("study.toml").write_text('import = ["own"]\ncorruption = ["dust"]\nseverity = [2]\nlimit = 20\n')
    assert "1 corruption x 1 severity" in actrobust(
        "plan", network, "--manifest", "study.toml", "--dataset", "digits"
    )


def test_suites_may_be_objects_with_severities_of_their_own(checkpoints: Path) -> None:
    mine = Suite.build("mine", ["fog", "contrast"], severities=[1.5, 4])
    plan = make_plan([checkpoints], dataset="digits", suites=[mine, "light"])
    assert plan.severities == (1.5, 4.0)
    assert [suite.name for suite in plan.chosen_suites()] == ["mine", "light"]
    assert plan.describe().suites[0].hash == mine.hash
    assert make_plan([checkpoints], dataset="digits", suites=mine).chosen_suites() == [mine]
    other = make_plan([checkpoints], dataset="digits", suites=mine, severities=[2])
    assert other.chosen_suites() == [mine.with_severities([2])]


def test_suites_and_corruptions_are_chosen_together(checkpoints: Path) -> None:
    def names(**options: object) -> list[str]:
        return [suite.name for suite in make_plan([checkpoints], dataset="digits", **options).chosen_suites()]

    assert names() == ["c19", "shift"]
    assert names(corruptions=["fog", "frost"]) == ["fog,frost"]
    assert names(corruptions="fog") == ["fog"]
    assert names(suites="light", corruptions=["*_noise"]) == [
        "light",
        "gaussian_noise,impulse_noise,shot_noise,speckle_noise",
    ]
    assert names(suites=["light", "light"]) == ["light"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corruptions": ["fgo"]}, "Unknown corruption 'fgo'. Did you mean 'fog'"),
        ({"suites": ["fgo"]}, "Unknown suite 'fgo'. Did you mean 'fog'"),
        ({"suites": [3]}, "Expected suites or their names, got 3"),
        (
            {
                "suites": [
                    Suite.build("a", ["fog"], severities=[1]),
                    Suite.build("b", ["fog"], severities=[2]),
                ]
            },
            "Suites 'a' and 'b' have different severities",
        ),
        (
            {"suites": Suite("a", (corruptions.Cell("fog", 1), corruptions.Cell("frost", 2)))},
            "Suite 'a': expected every corruption at every severity",
        ),
        ({"suites": ["light", Suite.build("light", ["fog"])]}, "different names, got two called 'light'"),
        ({"suites": Suite.build("a", ["fog"], severities=[0, 1])}, r"severities in \[1, 5\]"),
    ],
)
def test_a_wrong_choice_is_refused(options: dict[str, object], message: str, checkpoints: Path) -> None:
    with pytest.raises(InputError, match=message):
        make_plan([checkpoints], dataset="digits", **options)


def test_what_breaks_the_contract_is_refused_before_anything_is_written(
    own: Callable[..., Path], checkpoints: Path
) -> None:
    own(MODULE.replace("rng.random(", "np.random.default_rng().random("))
    said = actrobust("evaluate", checkpoints, *STUDY, "--corruption", "soot", "--out", "run", code=2)
    assert "Corruption 'soot' at severity 1: gives other pixels a second time" in said
    assert not Path("run").exists()
    said = actrobust("doctor", checkpoints / "relu_1.safetensors", *STUDY[:4], "--corruption", "soot", code=1)
    assert "WRONG corruption Corruption 'soot'" in said


def test_a_corruption_that_fails_later_costs_its_own_cells_alone(
    own: Callable[..., Path], checkpoints: Path
) -> None:
    failing = "    if image.sum() % 97 == 3:\n        raise OSError('no')\n    sooty = image"
    own(MODULE.replace("    sooty = image", failing))
    network = checkpoints / "relu_1.safetensors"
    study = (*STUDY, "--corruption", "soot,dust", "--limit", "900", "--out", "run")
    said = actrobust("evaluate", network, *study, code=1)
    assert "failed: relu_1: Corruption 'soot', soot(share=0.01), image" in said
    assert "raised OSError: no" in said
    cells = evaluate(network, dataset="digits", corruptions="dust", severities=[1, 5], limit=900).cells
    found = load_run("run").cells
    assert set(found.loc[found["error"].notna(), "corruption"]) == {"soot"}
    whole = found[found["error"].isna()]
    assert whole["correct"].tolist() == cells["correct"].tolist()


def test_what_a_corruption_warns_of_is_a_note(own: Callable[..., Path], checkpoints: Path) -> None:
    once = "    if not soot.__dict__.setdefault('said', []):\n        soot.said.append(1)\n"
    once += "        import warnings\n        warnings.warn('old lens')\n"
    own(MODULE.replace("    sooty = image", f"{once}    sooty = image"))
    network = checkpoints / "relu_1.safetensors"
    said = actrobust("evaluate", network, *STUDY, "--corruption", "soot", "--limit", "20", "--out", "run")
    assert said.count("note: old lens") == 1


def test_ray_needs_it_in_a_module(own: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    own(MODULE)
    plan = PlanRequest(dataset="digits", corruptions=["dust"], limit=10, imports=["own"]).plan()
    on_ray = Execution(torch.device("cpu"), executor="ray")
    check_own_corruptions(plan, on_ray)
    monkeypatch.setattr(corruptions.get_corruption("dust"), "home", "__main__")
    with pytest.raises(InputError, match="'dust' is defined in a script; Ray needs it in a module"):
        check_own_corruptions(plan, on_ray)


def test_changed_code_is_another_run(own: Callable[..., Path], checkpoints: Path) -> None:
    own(MODULE)
    network = checkpoints / "relu_1.safetensors"
    study = (*STUDY, "--corruption", "soot", "--limit", "20")
    actrobust("evaluate", network, *study, "--out", "first")
    own.forget()  # type: ignore[attr-defined]
    own(MODULE.replace("= 9", "= 10"))
    said = actrobust("evaluate", network, *study, "--out", "first", code=2)
    assert "suites[0].code.soot" in said
    actrobust("evaluate", network, *study, "--out", "second")
    said = actrobust("compare", "first", "second", code=2)
    assert "suite 'soot' with other code of soot" in said


def test_the_request_knows_the_users_names_only_after_the_import(own: Callable[..., Path]) -> None:
    own(MODULE)
    with pytest.raises(InputError, match="Unknown corruption 'dust'"):
        PlanRequest(dataset="digits", corruptions=["dust"], limit=10).plan()
    assert (
        PlanRequest(dataset="digits", corruptions=["dust"], limit=10, imports=["own"]).plan().own_corruptions
    )


SCRIPT = """
import own_parts
from robustbench_act import evaluate
import corruptions

def flip(image, rng):
    return image[:, ::-1] if rng.random() < 0.5 else image

corruptions.from_function(flip, name="flip", severities={})

if __name__ == "__main__":
    for processes in (1, 2):
        evaluate(NETWORK, dataset="digits", corruptions=["flip", "dust"], severities=[1], limit=300,
                 processes=processes, out=f"by_{processes}")
"""


@pytest.mark.slow
def test_processes_ray_and_scripts_give_the_same_bytes(own: Callable[..., Path], checkpoints: Path) -> None:
    own(MODULE)
    study = ("evaluate", checkpoints, *STUDY, "--corruption", "dust,soot,drift,shift_up")
    actrobust(*study, "--out", "here", "--processes", "1")
    actrobust(*study, "--out", "apart", "--processes", "2")
    actrobust(*study, "--out", "on_ray", "--executor", "ray", "--processes", "2")
    for place in ("apart", "on_ray"):
        assert_alike(Path(place), Path("here"))
    Path("own.py").unlink()  # what comes now does not need the user's module
    own.forget()  # type: ignore[attr-defined]
    actrobust("report", "here", "--format", "html")
    assert "soot" in Path("here/report.html").read_text(encoding="utf-8")
    actrobust("compare", "here", "apart")
    actrobust("baseline", "here", "--out", "baseline.parquet")
    actrobust("check", "here", "--baseline", "baseline.parquet")

    Path("own_parts.py").write_text(MODULE)
    network = repr(str(checkpoints / "relu_1.safetensors"))
    Path("study.py").write_text(SCRIPT.replace("NETWORK", network))
    subprocess.run([sys.executable, "study.py"], check=True, capture_output=True)
    assert_alike(Path("by_2"), Path("by_1"))
