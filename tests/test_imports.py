"""Imports are architecture: the contracts hold, and light things stay light."""

import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
from importlinter import cli

ROOT = Path(__file__).parent.parent


def test_import_contracts() -> None:
    assert cli.lint_imports(config_filename="pyproject.toml") == 0


def test_no_circle_between_files() -> None:
    """Imports inside functions, and those for types alone, count too."""
    graph = grimp.build_graph("corruptions", "robustbench_act", "reports", "studies", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # a CycleError names the files


def test_the_picture_of_the_house_is_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    house = next(contract for contract in contracts if contract.get("containers") == ["robustbench_act"])
    drawn = (ROOT / "CONTRIBUTING.md").read_text().split("```text\n")[1].split("```")[0]
    floors = [re.findall(r"^(\w+) +\S", floor, flags=re.MULTILINE) for floor in drawn.split("\n\n")]
    assert floors == [floor.split(" | ") for floor in house["layers"]]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import reports", "pandas"),
        ("from reports import make_report", "torch"),
        ("from reports import make_report", "matplotlib"),
        ("import robustbench_act", "torch"),
        ("import robustbench_act.records", "torch"),
        ("import robustbench_act.tally.cell_rows, robustbench_act.tally.merging", "torch"),
        ("from robustbench_act import load_run", "torch"),
        ("import robustbench_act.evaluation, robustbench_act.training", "matplotlib"),
        ("import robustbench_act.evaluation, robustbench_act.training", "torchvision"),  # and torch._dynamo
        ("import robustbench_act.evaluation, robustbench_act.training", "scipy.stats"),
        ("import robustbench_act.evaluation, robustbench_act.training", "transformers"),
        ("import robustbench_act.evaluation, robustbench_act.training", "onnxruntime"),
        ("from robustbench_act.activations import activation_label", "torch"),
        ("from studies.analysis import analyse", "torch"),
        ("import corruptions", "pandas"),
        ("from corruptions import Corrupt, Corrupted, RandomCorruption", "torchvision"),
        ("from corruptions import GROUPS, corruption_facts", "torch"),
    ],
)
def test_light_imports(statement: str, absent: str) -> None:
    code = f"import sys; {statement}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["evaluate", "--help"]])
def test_help_is_light(arguments: list[str]) -> None:
    code = f"""if True:
        import atexit, sys
        from robustbench_act.cli import main
        atexit.register(lambda: print(*sys.modules.keys() & {{"torch", "numpy", "pandas", "rich"}}))
        main({arguments!r})"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == ""


def test_list_is_light() -> None:
    """`actrobust list` answers at once: what takes seconds to load is not loaded."""
    heavy = {"torch", "torchvision", "numpy", "pandas", "scipy", "sklearn", "timm"}
    code = f"""if True:
        import atexit, sys
        from robustbench_act.cli import main
        atexit.register(lambda: print("loaded:", *sys.modules.keys() & {heavy!r}))
        main(["list"])"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "la_silu" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded:"
