"""Manifests: what they say is done, flags come first, mistakes are named where they stand."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from click.testing import Result

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.errors import InputError
from robustbench_act.manifest import OPTIONS, SPEC, manifest_schema, read_manifest
from robustbench_act.models import build_model
from robustbench_act.paths import files_at
from robustbench_act.run import load_run

MANIFEST = """
dataset = "digits"
suite = ["light"]
severity = [1, 2.5]
limit = 30
device = "cpu"
probes = false
report = "none"
out = "out"

[spec]
model = "cifar:resnet8?width=4"
mean = [0.3053]
std = [0.3762]

[[checkpoint]]
path = "nets/*.pth"
activation = "relu"

[[checkpoint]]
path = "nets/b.pt"
name = "mine"
activation = "la_silu"
training_seed = 7
std = [0.5]
clean_accuracy = 0.25
"""


@pytest.fixture
def study(checkpoints: Path, tmp_path: Path) -> Path:
    """Return the path of a manifest beside its networks, in a folder of its own."""
    folder = tmp_path / "study"
    (folder / "nets").mkdir(parents=True)
    for source, name in (("relu_1", "a.pth"), ("relu_2", "c.pth"), ("la_silu_1", "b.pt")):
        state = load_checkpoint(checkpoints / f"{source}.safetensors").model.state_dict()
        torch.save(state, folder / "nets" / name)
    (folder / "study.toml").write_text(MANIFEST)
    return folder / "study.toml"


def test_a_manifest_is_the_whole_command(actrobust: Callable[..., Result], study: Path) -> None:
    result = actrobust("evaluate", "--manifest", study)
    assert result.exit_code == 0, result.output
    run = load_run(study.parent / "out")
    assert run.info.severities == (1, 2.5)
    assert len(run.images) == 30
    assert run.layers.empty
    rows = {entry.name: entry for entry in run.info.checkpoints}
    assert list(rows) == ["a", "c", "mine"]
    assert rows["mine"].activation == "la_silu"
    assert rows["mine"].training_seed == 7
    assert rows["mine"].std == (0.5,)
    assert rows["a"].std == (0.3762,)
    assert rows["mine"].clean_accuracy == 0.25
    assert "architecture, classes" not in str(rows["a"].read)


LABELLED = """
dataset = "digits"
suite = ["light"]
severity = [3]
limit = 20
device = "cpu"
probes = false
report = "none"
out = "out"

[spec]
mean = [0.3053]
std = [0.3762]
labels = { architecture = "cnn", group = "mine" }

[[checkpoint]]
path = "nets/gated_*.pt"
model = "labelled_factories:gated"
training_seed = [4, 7]
labels = { activation = "GatedCube" }

[[checkpoint]]
path = "nets/plain_3.pt"
model = "labelled_factories:plain"
labels = { activation = "relu", group = "theirs" }
"""
FACTORIES = """
from torch import nn

class Gated(nn.Module):
    def forward(self, x):
        return x * x.sigmoid()

def gated(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), Gated(), nn.Linear(8, 10))
def plain(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
"""


@pytest.fixture
def labelled(tmp_path: Path, actrobust: Callable[..., Result], module: Callable[[str, str], str]) -> Path:
    """Return a study of two factories that build one architecture with different activations."""
    module("labelled_factories", FACTORIES)
    (tmp_path / "nets").mkdir()
    for seed, (name, kind) in enumerate([("gated_1", "gated"), ("gated_2", "gated"), ("plain_3", "plain")]):
        torch.manual_seed(seed)
        torch.save(build_model(f"labelled_factories:{kind}").state_dict(), tmp_path / f"nets/{name}.pt")
    (tmp_path / "study.toml").write_text(LABELLED)
    return tmp_path / "study.toml"


def test_labels_make_factories_one_architecture(actrobust: Callable[..., Result], labelled: Path) -> None:
    result = actrobust("evaluate", "--manifest", labelled)
    assert result.exit_code == 0, result.output
    run = load_run(labelled.parent / "out")
    clean = run.cells[run.cells["severity"] == 0].set_index("checkpoint")
    assert clean["architecture"].unique().tolist() == ["cnn"]
    assert clean["activation"].to_dict() == {
        "gated_1": "GatedCube",
        "gated_2": "GatedCube",
        "plain_3": "relu",
    }
    assert clean["training_seed"].to_dict() == {"gated_1": 4, "gated_2": 7, "plain_3": 3}
    recorded = {entry.name: entry for entry in run.info.checkpoints}
    assert recorded["gated_1"].labels == {"architecture": "cnn", "group": "mine", "activation": "GatedCube"}
    assert recorded["plain_3"].labels["group"] == "theirs"
    assert recorded["plain_3"].model == "labelled_factories:plain"
    assert "training_seed as the file's name ends" in recorded["plain_3"].read
    assert len(run.leaderboard()) == 2
    again = actrobust("evaluate", "--manifest", labelled)
    assert again.exit_code == 0
    labelled.write_text(LABELLED.replace('"GatedCube"', '"Cube"'))
    refused = actrobust("evaluate", "--manifest", labelled)
    assert "a different plan (checkpoints[0].activation (GatedCube there, Cube here)" in refused.output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[4, 7]", "[4]", "gated_*.pt: expected a training_seed for each of 2 files, got 1."),
        ("[4, 7]", '["a"]', "checkpoint 1: training_seed: expected a whole number from 0 up, or a list of"),
        ('group = "theirs"', "team = 1", "checkpoint 2: labels: expected a table of texts with the keys"),
    ],
)
def test_a_wrong_seed_or_label_is_named(
    old: str, new: str, message: str, actrobust: Callable[..., Result], labelled: Path
) -> None:
    labelled.write_text(LABELLED.replace(old, new))
    result = actrobust("evaluate", "--manifest", labelled)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_flags_come_first(actrobust: Callable[..., Result], study: Path) -> None:
    flags = ("--limit", 20, "--severity", 3, "--std", "0.4", "--out", "mine", "--probes", "--suite", "noise")
    result = actrobust(
        "evaluate", study.parent / "nets" / "a.pth", "--manifest", study, *flags, "--activation", "relu"
    )
    assert result.exit_code == 0, result.output
    run = load_run("mine")
    assert [entry.name for entry in run.info.checkpoints] == ["a"]
    assert run.info.checkpoints[0].std == (0.4,)
    assert run.info.checkpoints[0].mean == (0.3053,)
    assert len(run.images) == 20
    assert run.info.severities == (3,)
    assert [suite.name for suite in run.info.suites] == ["noise"]
    assert len(run.layers)


def test_doctor_and_probe_take_one(actrobust: Callable[..., Result], study: Path) -> None:
    result = actrobust("doctor", "--manifest", study)
    assert [name in result.stdout for name in ("\nok     a ", "mine  ", "\nok     c ")] == [True] * 3
    assert "360 of 360 images of digits" in result.stdout
    assert actrobust("probe", "--manifest", study, "--json").exit_code == 0


PATHS = [("", name) for name, option in OPTIONS.items() if option.kind.path]
PATHS += [("[spec]", name) for name, option in SPEC.items() if option.kind.path]


@pytest.mark.parametrize(("table", "name"), PATHS)
def test_every_path_leads_from_the_manifest(
    table: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from the working folder, nor from the root of the data set; an absolute path stays as it is."""
    monkeypatch.chdir(tmp_path)
    study = Path("study", "study.toml")
    study.parent.mkdir()
    for written, meant in (("a/b", "study/a/b"), (f"{tmp_path}/a/b", f"{tmp_path}/a/b")):
        study.write_text(f"dataset = 'mnist:data'\n{table}\n{name} = '{written}'")
        found = read_manifest(study)
        assert (found.spec if table else found.options)[name] == meant


def test_a_command_takes_corrupted_images_from_beside_the_manifest(
    actrobust: Callable[..., Result], study: Path
) -> None:
    study.write_text("corrupted = 'digits-c'" + MANIFEST)
    result = actrobust("plan", "--manifest", study)
    assert result.exit_code == 2
    assert f"{study.parent / 'digits-c'}: expected a folder of corrupted images" in result.stderr


def test_checkpoints_and_data_lead_from_the_manifest(study: Path) -> None:
    found = read_manifest(study)
    assert found.entries[0].path == str(study.parent / "nets" / "*.pth")
    study.write_text('dataset = "mnist:data"')
    assert read_manifest(study).options["dataset"] == f"mnist:{study.parent / 'data'}"
    study.write_text('dataset = "my.data:photos"')
    assert read_manifest(study).options["dataset"] == "my.data:photos"


def test_a_pattern_of_data_is_none_in_the_name_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "study [1]"
    folder.mkdir()
    (folder / "study.toml").write_text('dataset = "parquet:*.parquet"')
    (folder / "a.parquet").touch()
    root = Path(read_manifest(folder / "study.toml").options["dataset"].partition(":")[2])
    assert files_at(root, (".parquet",)) == [folder / "a.parquet"]


def test_one_is_written_for_editing(actrobust: Callable[..., Result], study: Path) -> None:
    folder = study.parent
    study.unlink()
    tree = folder / "nets" / "CIFAR10" / "resnet20" / "la_silu_alpha0.1_3.pth.tar"
    tree.parent.mkdir(parents=True)
    tree.touch()
    result = actrobust("manifest", folder)
    assert result.exit_code == 0, result.output
    written = folder / "manifest.toml"
    assert result.stdout.strip() == str(written)
    jsonschema.validate(tomllib.loads(written.read_text()), manifest_schema())
    found = read_manifest(written)
    assert [Path(entry.path).name for entry in found.entries] == [tree.name, "a.pth", "b.pt", "c.pth"]
    assert found.entries[0].spec == {"activation": "la_silu", "training_seed": 3}
    again = actrobust("manifest", folder)
    assert again.exit_code == 2
    assert "exists already; choose a different --out" in again.stderr
    assert "Expected a FOLDER of checkpoints, or --schema" in actrobust("manifest").stderr


def test_the_schema_is_one(actrobust: Callable[..., Result]) -> None:
    schema = json.loads(actrobust("manifest", "--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(MANIFEST), schema)
    assert schema == manifest_schema()


WRONG: list[tuple[str, str]] = [
    ("suit = 3", r"study\.toml: Unknown key 'suit'\. Did you mean 'suite'"),
    ('limit = "many"', r"study\.toml: limit: expected a whole number from 1 up, got 'many'"),
    ("limit = true", "limit: expected a whole number"),
    ("severity = []", r"severity: expected a list of numbers, got \[\]"),
    ("severity = [nan]", "severity: expected a list of numbers"),
    ("suite = [1]", "suite: expected a list of texts"),
    ('report = "pdf2"', "report: expected html, pdf, html,pdf or none, got 'pdf2'"),
    ('executor = "rya"', "executor: expected local or ray, got 'rya'"),
    ("probes = 1", "probes: expected true or false, got 1"),
    ("spec = 1", r"\[spec\]: expected a table, got int"),
    ("[checkpoint]\npath = 'x'", r"expected \[\[checkpoint\]\], a table for each"),
    ("checkpoint = [1]", "checkpoint 1: expected a table, got int"),
    ("[[checkpoint]]\nactivation = 'relu'", "checkpoint 1: expected a path"),
    (
        "[[checkpoint]]\npath = 'x'\nactivaton = 'relu'",
        "checkpoint 1: Unknown key 'activaton'. Did you mean 'activation'",
    ),
    ("[[checkpoint]]\npath = 'x'\nactivation_parameters = {alpha = {x = 1}}", "expected a table of numbers"),
    (
        "[[checkpoint]]\npath = 'x'\nclean_accuracy = 95",
        "clean_accuracy: expected a number from 0 to 1, got 95",
    ),
    ("a = [", r"study\.toml: is not TOML"),
    ("a = " + "[" * 100_000, r"study\.toml: is not TOML"),
    ("a = " + "9" * 10_000, r"study\.toml: is not TOML"),
    ("x = '" + "y" * 2**20 + "'", "expected a manifest of at most 1,048,576 bytes"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text[:30] for text, _ in WRONG])
def test_mistakes_are_named_where_they_stand(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_manifest(path)
    assert len(str(caught.value)) < 1000


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    (tmp_path / "study.toml").write_text("dataset = 'digits'", "utf-8-sig")
    assert read_manifest(tmp_path / "study.toml").options == {"dataset": "digits"}


def test_what_cannot_be_read(actrobust: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not TOML"):
        read_manifest(tmp_path / "x.toml")
    result = actrobust("evaluate", "--manifest", "gone.toml")
    assert result.exit_code == 2
    assert "gone.toml: cannot be read (No such file or directory)" in result.stderr


def test_one_name_for_several_files_and_equal_names_are_refused(
    actrobust: Callable[..., Result], study: Path
) -> None:
    for change, message in (
        (('name = "mine"', 'name = "a"'), "Two checkpoints are called 'a'"),
        (('path = "nets/b.pt"', 'path = "nets"'), "3 files cannot all be called 'mine'"),
    ):
        study.write_text(MANIFEST.replace(*change))
        result: Any = actrobust("evaluate", "--manifest", study)
        assert result.exit_code == 2
        assert message in result.stderr
        assert not (study.parent / "out").exists()
