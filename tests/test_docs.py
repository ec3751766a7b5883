"""The pages in docs/ are true: numbers are those of the code, examples are read by what reads them."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import jsonschema
import pytest
import yaml

from robustbench_act.checkpoints.reading import BESIDE, EMA_WRAPPERS, PREFIXES, WRAPPERS
from robustbench_act.cli import main
from robustbench_act.datasets import list_datasets
from robustbench_act.gate import detectable_drop, read_baseline
from robustbench_act.gate.rules import parse_rules
from robustbench_act.manifest import manifest_schema, read_manifest

ROOT = Path(__file__).parent.parent
GATE = (ROOT / "docs" / "gate.md").read_text()
DATA = (ROOT / "docs" / "data.md").read_text()
SCALE = (ROOT / "docs" / "scale.md").read_text()


def block(language: str, page: str = GATE) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
    assert found
    return found[1]


def test_rules_are_rules() -> None:
    rules = parse_rules(tomllib.loads(block("toml")))
    assert [str(rule) for rule in rules.rules] == [
        "accuracy on all corruptions",
        "accuracy on clean images",
        "ece on noise",
    ]


def test_power_is_that_of_the_code() -> None:
    head = re.search(r"^\| images \|(.*)\|$", GATE, flags=re.MULTILINE)
    assert head
    spreads = [float(text.split()[-1]) for text in head[1].split("|")]
    rows = re.findall(r"^\| ([\d,]+) \| (.* / .*) \|$", GATE, flags=re.MULTILINE)
    assert len(rows) == 7
    for images, cells in rows:
        for spread, cell in zip(spreads, cells.split(" | "), strict=True):
            found = [
                detectable_drop(images=int(images.replace(",", "")), spread=spread, tests=tests)
                for tests in (1, 39)
            ]
            assert cell == f"{found[0]:.2f} / {found[1]:.2f}"


def test_workflow_is_yaml_whose_commands_exist() -> None:
    workflow = yaml.safe_load(block("yaml"))
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    commands = [shlex.split(step) for step in steps if step.startswith("actrobust ")]
    assert [arguments[1] for arguments in commands] == ["evaluate", "check"]
    for _, name, *arguments in commands:
        check_parses(name, arguments)


@pytest.mark.parametrize("line", re.findall(r"^    (actrobust .*)$", GATE + DATA + SCALE, flags=re.MULTILINE))
def test_commands_exist(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets").mkdir()
    Path("nets/manifest.toml").write_text(block("toml", DATA))
    _, name, *arguments = shlex.split(line, comments=True)
    check_parses(name, arguments)


def test_the_manifest_is_one(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(block("toml", DATA))
    found = read_manifest(tmp_path / "study.toml")
    assert [entry.name for entry in found.entries] == [None, "mine"]
    jsonschema.validate(tomllib.loads(block("toml", DATA)), manifest_schema())


def test_data_sets_keys_and_prefixes_are_those_of_the_code() -> None:
    named = set(re.findall(r"`([a-z0-9-]+)`", DATA))
    assert set(list_datasets()) <= named
    for key in (*WRAPPERS, *EMA_WRAPPERS, *PREFIXES, *BESIDE):
        assert f"`{key}`" in DATA
    options = {option for part in main.commands["evaluate"].params for option in part.opts} | {"--schema"}
    assert set(re.findall(r"`(--[a-z-]+)", DATA)) <= options


def check_parses(name: str, arguments: list[str]) -> None:
    command = main.commands[name]
    with click.Context(main) as parent, command.make_context(name, arguments, parent=parent):
        pass


def test_the_baseline_of_the_embedded_default_is_whole() -> None:
    baseline = read_baseline(ROOT / ".ci" / "embedded-default.parquet")
    assert len(baseline.info["checkpoints"]) == 39
    assert baseline.info["dataset"]["name"] == "mnist-1k"
