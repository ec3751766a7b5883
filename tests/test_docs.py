"""The pages are true: their code runs, their commands and links exist, their numbers are the code's."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from corruptions.__main__ import _conform_parser
from robustbench_act.checkpoints.fitting import BESIDE, PREFIXES
from robustbench_act.checkpoints.reading import EMA_WRAPPERS, WRAPPERS
from robustbench_act.cli import COMMANDS as NAMES
from robustbench_act.cli import load_command
from robustbench_act.datasets import list_datasets
from robustbench_act.gate import detectable_drop, read_baseline
from robustbench_act.gate.power import training_power, usual_bound
from robustbench_act.gate.rules import parse_rules
from robustbench_act.manifest import manifest_schema, read_manifest
from tests.pages import PAGES, ROOT, anchors, block, blocks, commands, parse_command, read_page, run_examples

COMMANDS = [line for page in PAGES for line in commands(page)]
LISTINGS = [text for page in PAGES for text in blocks(page, "python") if ">>>" not in text]
EXAMPLES = [page for page in PAGES if ">>>" in read_page(page) and page != "README.md"]
LANGUAGES = {"bibtex", "python", "text", "toml", "yaml"}
GENERATED = {"docs/options.md"}  # made from the table of options


@pytest.mark.parametrize("page", EXAMPLES)
def test_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_examples(page)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("listing", LISTINGS)
def test_listings_are_python(listing: str) -> None:
    compile(listing, "listing", "exec")


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command line is taken by the parser; `slow` tests and a newcomer run them."""
    monkeypatch.chdir(tmp_path)
    Path("nets").mkdir()
    Path("nets/manifest.toml").write_text(block("docs/data.md", "toml"))
    Path("lite.toml").write_text(block("docs/your-model.md", "toml"))
    parse_command(line)


@pytest.mark.parametrize("page", PAGES)
def test_everything_named_exists(page: str) -> None:
    """Options, commands, modules and the languages of fenced blocks."""
    parts = [part for name in NAMES for part in load_command(name).params]
    options = {option for part in parts for option in (*part.opts, *part.secondary_opts)}
    options |= {"--schema", *re.findall(r"--[a-z-]+", _conform_parser().format_help())}
    text = read_page(page)
    assert set(re.findall(r"`(?:\w+ )?(--[a-z-]+)", text)) <= options
    assert set(re.findall(r"`actrobust ([a-z]+)", text)) <= set(NAMES)
    assert set(re.findall(r"^```(\w+)$", text, flags=re.MULTILINE)) <= LANGUAGES
    for module in re.findall(r"python -m ((?:corruptions|reports|robustbench_act|tests)[\w.]*)", text):
        assert importlib.util.find_spec(module)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", read_page(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        name = str(target.relative_to(ROOT))
        assert target.is_file() or name in GENERATED, link
        assert not anchor or anchor in anchors(name), link


@pytest.mark.parametrize("page", PAGES)
def test_toml_is_a_manifest_or_rules(page: str) -> None:
    for text in blocks(page, "toml"):
        data = tomllib.loads(text)
        if "rule" in data:
            assert parse_rules(data).rules
        else:
            jsonschema.validate(data, manifest_schema())


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", read_page("README.md")))
    assert {page for page in PAGES if page.startswith("docs/")} <= linked


def test_rules_are_rules() -> None:
    rules = parse_rules(tomllib.loads(block("docs/gate.md", "toml")))
    assert [str(rule) for rule in rules.rules] == [
        "accuracy on corruptions",
        "accuracy on clean images",
        "ece on noise",
    ]


def test_power_is_that_of_the_code() -> None:
    """Weights: half of the level for six lines of 1 or 39 checkpoints. Training: all for six lines of 13."""
    gate = read_page("docs/gate.md")
    head = re.search(r"^\| images \|(.*)\|$", gate, flags=re.MULTILINE)
    assert head
    spreads = [float(text.split()[-1]) for text in head[1].split("|")]
    rows = re.findall(r"^\| ([\d,]+) \| (.* / .* / .*) \|$", gate, flags=re.MULTILINE)
    assert len(rows) == 11
    for images, cells in rows[:7]:
        for spread, cell in zip(spreads, cells.split(" | "), strict=True):
            found = [
                detectable_drop(images=int(images.replace(",", "")), spread=spread, tests=2 * 6 * count)
                for count in (1, 39)
            ]
            assert cell == f"{found[0]:.2f} / {found[1]:.2f}"
    for seeds, cells in rows[7:]:
        for deviation, cell in zip((1.0, 2.3, 8.5), cells.split(" | "), strict=True):
            facts: dict[str, Any] = {"deviation": deviation, "seeds": int(seeds), "activations": 13}
            loss, bound = map(float, cell.split(" / "))
            shown = training_power([loss - 0.1, loss], tests=78, **facts)
            assert shown[0] < 0.8 <= shown[1] + 1e-6
            assert bound == pytest.approx(usual_bound(**facts), abs=0.051)


def test_the_power_of_a_study_is_that_of_the_code() -> None:
    page = {" ".join(line.split()) for line in read_page("docs/power.md").splitlines()}
    found = CliRunner().invoke(load_command("power"), ["--lead", "4"])
    assert {" ".join(line.split()) for line in found.output.splitlines()} <= page


def test_workflow_is_yaml_whose_commands_exist() -> None:
    workflow = yaml.safe_load(block("docs/gate.md", "yaml"))
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    found = [step for step in steps if step.startswith("actrobust ")]
    assert [shlex.split(step)[1] for step in found] == ["evaluate", "check"]
    assert set(found) <= set(COMMANDS)


def test_the_manifest_is_one(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(block("docs/data.md", "toml"))
    found = read_manifest(tmp_path / "study.toml")
    assert [entry.name for entry in found.entries] == [None, "mine"]


def test_data_sets_keys_and_prefixes_are_those_of_the_code() -> None:
    data, model = read_page("docs/data.md"), read_page("docs/your-model.md")
    assert set(list_datasets()) <= set(re.findall(r"`([a-z0-9-]+)`", data))
    for key in (*WRAPPERS, *EMA_WRAPPERS, *PREFIXES, *BESIDE):
        assert f"`{key}`" in model
    options = {option for part in load_command("evaluate").params for option in part.opts} | {"--schema"}
    assert set(re.findall(r"`(--[a-z-]+)", data + model)) <= options


def test_the_baseline_of_the_embedded_default_is_whole() -> None:
    baseline = read_baseline(ROOT / ".ci" / "embedded-default.parquet")
    assert len(baseline.info.checkpoints) == 39
    assert baseline.info.dataset.name == "mnist-1k"
