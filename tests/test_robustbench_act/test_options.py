"""One table of options: the command line, manifests, their schema, the page and Python agree with it."""

import inspect
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import pytest

import robustbench_act
from robustbench_act.cli import COMMANDS, load_command
from robustbench_act.cli.options import Value, help_text
from robustbench_act.evaluation import CHUNK, DataRequest, Execution, PlanRequest
from robustbench_act.evaluation.executors import EXECUTORS
from robustbench_act.evaluation.precision import PRECISIONS
from robustbench_act.gate.rules import TOLERANCE
from robustbench_act.generation import Generation
from robustbench_act.manifest import CHECKPOINT, SPEC, manifest_schema
from robustbench_act.manifest import OPTIONS as TOP
from robustbench_act.option_kinds import FLAG, TEXTS
from robustbench_act.options import OPTIONS, RENAMED, Option, options_of
from robustbench_act.options_page import reference_page
from robustbench_act.training import AUGMENTATIONS, Recipe
from robustbench_act.view import INTERPOLATIONS


def taken(command: str) -> dict[str, click.Option]:
    """Return the options that click knows for a command, by their long flags."""
    parts = load_command(command).params
    return {part.opts[-1]: part for part in parts if isinstance(part, click.Option)}


def option(command: str, flag: str) -> Option:
    (found,) = [one for one in options_of(command) if one.flag == flag]
    return found


def field_defaults(kind: Any) -> dict[str, Any]:
    return {field.name: field.default for field in fields(kind) if field.default is not MISSING}


def test_every_command_of_the_table_exists() -> None:
    assert {name for one in OPTIONS for name in one.commands.split()} == {*COMMANDS}


@pytest.mark.parametrize(("command", "line"), COMMANDS.items())
def test_the_list_of_commands_has_the_first_line_of_each(command: str, line: str) -> None:
    found = load_command(command)
    assert found.name == command
    assert str(found.help).split("\n\n")[0].replace("\n", " ") == line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_the_options_of_the_table(command: str) -> None:
    found = {flag: part for flag, part in taken(command).items() if not part.hidden}
    assert list(found) == [one.flag for one in options_of(command)]
    for one in options_of(command):
        part = found[one.flag]
        assert (part.name, part.help, part.required) == (one.name, help_text(one), one.required)
        assert [*part.opts, *part.secondary_opts] == [flag for each in one.flags for flag in each.split("/")]
        assert part.is_flag == (one.kind is FLAG)
        assert part.multiple == (one.kind is TEXTS)
        assert isinstance(part.type, Value) == (
            not (one.kind in (FLAG, TEXTS) or one.kind.names or (one.kind.path and not one.kind.words))
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_gets_the_defaults_of_the_table(command: str) -> None:
    """As they are in the table, for numbers and flags; each of its kind."""
    for one in options_of(command):
        default = taken(command)[one.flag].default
        if one.kind is FLAG:
            assert default is bool(one.default)
        elif one.default is not None:
            assert default == one.default
            assert one.kind.fits(default)
            assert help_text(one).endswith(f"  [default: {one.default}]")


def test_manifest_and_schema_are_those_of_the_table() -> None:
    schema = manifest_schema()["properties"]
    checkpoint = schema.pop("checkpoint")["items"]["properties"]
    for keys, described in (
        (TOP, schema),
        (SPEC, schema.pop("spec")["properties"]),
        (CHECKPOINT, checkpoint),
    ):
        assert list(described) == list(keys)
        for key, one in keys.items():
            assert described[key] == {**one.kind.schema, "description": one.help}
    assert set(TOP) == {one.key for one in options_of("evaluate") if one.at == "top"}
    assert set(SPEC) < set(CHECKPOINT)


def test_the_page_is_that_of_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "options.md"
    # If it is not: python -m robustbench_act.options_page > docs/options.md
    assert page.read_text() == reference_page()


@pytest.mark.parametrize(("command", "least"), [("evaluate", 16), ("train", 13)])
def test_python_has_the_defaults_of_the_command_line(command: str, least: int) -> None:
    signature = inspect.signature(getattr(robustbench_act, command)).parameters
    options = [one for one in options_of(command) if not one.required]
    shared = [one for one in options if one.name in signature]
    assert len(shared) >= least
    assert command != "train" or {one.name for one in options} <= {*signature, *field_defaults(DataRequest)}
    for one in shared:
        assert signature[one.name].default == (one.default or False if one.kind is FLAG else one.default), one


@pytest.mark.parametrize(
    ("command", "kind"),
    [("evaluate", PlanRequest), ("evaluate", Execution), ("train", Recipe), ("generate", Generation)],
)
def test_what_a_command_makes_has_the_defaults_of_the_table(command: str, kind: Any) -> None:
    defaults = field_defaults(kind)
    shared = [one for one in options_of(command) if one.name in defaults]
    assert len(shared) > 1
    for one in shared:
        assert defaults[one.name] == (one.default or False if one.kind is FLAG else one.default), one


def test_every_field_of_a_request_is_an_option() -> None:
    known = {one.name for one in options_of("evaluate")} | {"checkpoints", "spec"}
    assert {field.name for field in fields(PlanRequest)} - known == {"train", "on_items"}
    assert {field.name for field in fields(DataRequest)} < {field.name for field in fields(PlanRequest)}


def test_names_are_those_of_the_code() -> None:
    assert option("evaluate", "--precision").kind.names == PRECISIONS
    assert option("evaluate", "--executor").kind.names == tuple(EXECUTORS)
    for flag, command, names in (
        ("--precision", "evaluate", PRECISIONS),
        ("--executor", "evaluate", EXECUTORS),
        ("--interpolation", "evaluate", INTERPOLATIONS),
        ("--augment", "train", AUGMENTATIONS),
    ):
        assert all(name in option(command, flag).help for name in names)


def test_help_texts_are_sentences_that_end() -> None:
    for one in OPTIONS:
        assert one.help.endswith(".")
        assert "  " not in one.help


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_flag_names_the_new_one(old: tuple[str, str], new: str) -> None:
    command, flag = old
    assert flag not in [one.flag for one in options_of(command)]
    with pytest.raises(click.UsageError, match=f"{flag} is now {new}"):
        load_command(command).make_context(command, ["run", flag, "x"])


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--limit", "0", "expected a whole number from 1 up, got '0'"),
        ("--severity", "1,,2", "expected numbers with commas between them, got '1,,2'"),
        ("--mean", "nan", "expected numbers with commas between them, got 'nan'"),
        ("--input-size", "3,8", "expected three whole numbers with commas between them, got '3,8'"),
        ("--report", "none,html", "expected html, pdf, html,pdf or none, got 'none,html'"),
    ],
)
def test_wrong_values_are_named(flag: str, text: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        load_command("evaluate").make_context("evaluate", [flag, text])


def test_defaults_are_those_of_the_code() -> None:
    assert option("probe", "--limit").default == CHUNK
    assert option("baseline", "--rules").otherwise == f"accuracy, {TOLERANCE:g} points"
