"""table, compare, baseline and check on real runs: what they print, write and refuse."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from lxml import etree

import robustbench_act
from robustbench_act.checkpoints import load_checkpoint, save_checkpoint
from robustbench_act.evaluation import evaluate
from robustbench_act.run import Run, load_run
from tests.build_run import CORRECT, Builder

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def run(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return measured(checkpoints, tmp_path_factory.mktemp("numbers") / "a")


@pytest.fixture(scope="module")
def worse(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run in which relu_1 has lost its way: noise on its weights."""
    folder = tmp_path_factory.mktemp("worse")
    for path in checkpoints.glob("*.safetensors"):
        checkpoint = load_checkpoint(path)
        if path.stem == "relu_1":
            noise = torch.Generator().manual_seed(0)
            for weights in checkpoint.model.parameters():
                weights.data += 0.15 * torch.randn(weights.shape, generator=noise)
        save_checkpoint(folder / path.name, checkpoint.model, checkpoint.spec)
    return measured(folder, folder / "b")


def measured(folder: Path, out: Path) -> Run:
    return evaluate(
        [folder],
        dataset="digits",
        suites=["noise", "light"],
        severities=[1, 3],
        limit=200,
        probes=False,
        device="cpu",
        out=out,
    )


def refused(result: Result) -> str:
    """Return the one line of an error; nothing else was printed."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


UNIT = ("--unit", "weights")


def test_gate_passes_reruns_and_catches_the_worse(actrobust: Command, run: Run, worse: Run) -> None:
    made = actrobust("baseline", run.path, "-o", "base.parquet", *UNIT)
    assert made.exit_code == 0, made.output
    assert "unit weights: each checkpoint is held to itself, over images" in made.stdout
    said = (
        "accuracy on corruptions: fell if surely worse by more than 0.3 points; kept if surely worse by less"
    )
    assert said in made.stdout
    assert "base.parquet  (4 checkpoints, 200 images" in made.stdout
    same = actrobust("check", run.path, "--baseline", "base.parquet", "--prove")
    age, *kept, verdict = same.stdout.splitlines()
    assert same.exit_code == 0
    assert re.fullmatch(r"baseline: a run of \d{4}-\d\d-\d\d, \d+ days old", age)
    assert kept[0] == "accuracy on corruptions kept: 4 lines, no worse than 0.00 points (95 % each)"
    assert verdict.startswith("Robustness kept: 24 lines. Accuracy on corruptions: no worse than 0.00 points")
    fell = actrobust("check", worse.path, "--baseline", "base.parquet", "--junit", "out/junit.xml")
    assert fell.exit_code == 1
    assert fell.stdout.splitlines()[1].startswith("relu_1: accuracy on corruptions fell: ")
    assert re.search(r"\nRobustness fell: \d of 24 lines fell, 18 kept, \d undecided\.\n$", fell.stdout)
    tree = etree.parse("out/junit.xml")
    failed = {case.get("classname") for case in tree.findall(".//testcase[failure]")}
    assert failed == {"actrobust.relu_1"}


def test_an_anchor_catches_what_the_last_baseline_has_accepted(
    actrobust: Command, run: Run, worse: Run
) -> None:
    for name, one in (("last", worse), ("first", run)):
        actrobust("baseline", one.path, "-o", f"{name}.parquet", *UNIT)
    check = ("check", worse.path, "--baseline", "last.parquet")
    assert actrobust(*check).exit_code == 0
    found = actrobust(*check, "--anchor", "first.parquet")
    assert found.exit_code == 1
    assert "\nanchor: a run of " in found.stdout
    assert "relu_1: accuracy on corruptions, against the anchor, fell: " in found.stdout


def test_undecided_passes_unless_proof_is_asked(actrobust: Command, run: Run) -> None:
    """Two training seeds on each side, and a margin that they cannot show."""
    made = actrobust("baseline", run.path, "-o", "base.parquet", "--margin", "0.31")
    assert "unit training: each activation is held to itself" in made.stdout
    found = actrobust("check", run.path, "--baseline", "base.parquet")
    assert found.exit_code == 0
    assert re.search(
        r"undecided: no worse than [\d.]+ points \(95 %\), margin 0.31; measured unchanged", found.stdout
    )
    assert re.search(r"about \d+ training seeds on each side would decide", found.stdout)
    assert "\nUndecided: nothing fell, " in found.stdout
    proof = actrobust("check", run.path, "--baseline", "base.parquet", "--prove", "--json")
    answer = json.loads(proof.stdout)
    assert (proof.exit_code, answer["verdict"], answer["passed"]) == (1, "undecided", False)


def test_a_baseline_of_one_seed_says_what_it_cannot_decide(actrobust: Command, tmp_path: Path) -> None:
    builder = Builder({key: counts for key, counts in CORRECT.items() if key[1] == 11})
    alone = builder.write(tmp_path / "alone")
    made = actrobust("baseline", alone, "-o", "b.parquet", "--unit", "training")
    assert made.exit_code == 0, made.output
    assert "one training seed, so that every check of it is undecided: relu and la_silu" in made.stdout
    assert "kept if" not in made.stdout


def test_self_test_needs_six_seeds_and_no_baseline(actrobust: Command, run: Run) -> None:
    line = refused(actrobust("check", run.path, "--self-test"))
    assert "expected 6 training seeds or more of each activation, which a self-test splits, got 2 of " in line
    both = refused(actrobust("check", run.path, "--self-test", "--baseline", "x"))
    assert "Expected --baseline FILE, or --self-test alone." in both


def test_gate_for_machines(
    actrobust: Command, run: Run, worse: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    actrobust("baseline", run.path, "-o", "base.parquet", *UNIT)
    line = refused(actrobust("check", run.path, "--baseline", "base.parquet", "--github"))
    assert "GITHUB_STEP_SUMMARY is not set" in line
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    fell = actrobust("check", worse.path, "--baseline", "base.parquet", "--github")
    assert fell.exit_code == 1
    error = fell.stdout.splitlines()[1]
    assert error.startswith("::error title=actrobust::relu_1: accuracy")
    assert "%25" in error
    assert summary.read_text().startswith("before\n### Robustness fell: ")
    answer = json.loads(actrobust("check", worse.path, "--baseline", "base.parquet", "--json").stdout)
    assert (answer["verdict"], answer["passed"], answer["unit"]) == ("fell", False, "weights")
    assert answer["age_days"]["baseline"] >= 0
    assert {row["name"] for row in answer["checks"] if row["verdict"] == "fell"} == {"relu_1"}


def test_rules_of_a_file_are_kept_in_the_baseline(actrobust: Command, run: Run, worse: Run) -> None:
    clean, noise = '[[rule]]\ngroup = "clean"\n', '[[rule]]\nmetric = "ece"\ngroup = "noise"\n'
    Path("gate.toml").write_text(f"{clean}tolerance = 100\n{noise}tolerance = 90\n")
    made = actrobust("baseline", run.path, "-o", "base.parquet", "--rules", "gate.toml", *UNIT)
    assert "accuracy on clean images: fell if surely worse by more than 100 points; kept if" in made.stdout
    assert "on noise: fell if measured worse by more than 90 points\n" in made.stdout  # no test, no margin
    assert actrobust("check", worse.path, "--baseline", "base.parquet").exit_code == 0
    Path("gate.toml").write_text('[[rule]]\ngroup = "blur"\n')
    line = refused(actrobust("baseline", run.path, "-o", "new.parquet", "--rules", "gate.toml"))
    assert "has no group 'blur' for a rule; it has corruptions, each, clean, noise, weather, digital" in line
    assert "at least the tolerance, 0.3, got 0.1" in refused(
        actrobust("baseline", run.path, "-o", "new.parquet", "--margin", "0.1")
    )
    assert not Path("new.parquet").exists()


def test_what_is_no_baseline_is_refused(actrobust: Command, run: Run) -> None:
    Path("x").write_text("x")
    assert "is no readable baseline" in refused(actrobust("check", run.path, "--baseline", "x"))
    assert "nowhere: does not exist" in refused(actrobust("baseline", "nowhere", "-o", "y"))
    Path("file").write_text("")
    assert "file" in refused(actrobust("baseline", run.path, "-o", "file/base.parquet"))
    assert "Expected --baseline FILE" in refused(actrobust("check", run.path))


def test_compare_shows_what_moved(actrobust: Command, run: Run, worse: Run) -> None:
    result = actrobust("compare", run.path, worse.path)
    assert result.exit_code == 0, result.output
    assert "Cells that moved beyond chance in images: " in result.stdout
    moved = result.stdout[result.stdout.index("Cells that moved") :]
    assert "relu_1" in moved
    assert "relu_2" not in moved
    answer = json.loads(actrobust("compare", run.path, worse.path, "--json").stdout)
    assert len(answer["checkpoints"]) == 4
    assert len(answer["cells"]) == 4 * (1 + 2 * 6)
    assert "None of 52 cells moved beyond chance in images" in actrobust("compare", run.path, run.path).stdout


def test_compare_refuses_unlike_runs(actrobust: Command, run: Run, checkpoints: Path, tmp_path: Path) -> None:
    other = evaluate(
        [checkpoints],
        dataset="digits",
        suites=["light"],
        severities=[1],
        limit=200,
        probes=False,
        out=tmp_path / "o",
    )
    line = refused(actrobust("compare", run.path, other.path))
    assert "severities 1,3 against 1; suite 'noise' only in the first" in line
    forced = actrobust("compare", run.path, other.path, "--force")
    assert forced.exit_code == 0
    assert "unlike runs: severities 1,3 against 1" in forced.stdout


def test_table_of_metrics(actrobust: Command, run: Run) -> None:
    shown = actrobust("table", run.path, "--reference", "relu")
    assert shown.exit_code == 0, shown.output
    assert "; mCE against ReLU; no Relative mCE: ReLU loses " in shown.stdout
    assert "no Effective robustness: a line takes 10 models" in shown.stdout
    relu = next(line for line in shown.stdout.splitlines() if line.split()[:1] == ["ReLU"])
    assert "100.0" in relu.split()  # its own mCE
    rows = list(csv.DictReader(io.StringIO(actrobust("table", run.path, "--format", "csv").stdout)))
    expected = run.summary()
    assert [row["checkpoint"] for row in rows] == expected["checkpoint"].tolist()
    assert [float(row["brier"]) for row in rows] == pytest.approx(expected["brier"].tolist())
    by_run = actrobust("table", run.path, "--reference", run.path, "--format", "markdown")
    assert "| --- | ---: |" in by_run.stdout
    assert "expected a run, alexnet or an activation of this run (la_silu, relu), got 'elu'" in refused(
        actrobust("table", run.path, "--reference", "elu")
    )
    assert "AlexNet's errors are those on ImageNet-C" in refused(
        actrobust("table", run.path, "--reference", "alexnet")
    )


def test_table_in_the_papers_layout(actrobust: Command, run: Run) -> None:
    shown = actrobust("table", run.path, "--style", "layeract")
    assert "Accuracy in %, mean over training seeds" in shown.stdout
    assert "Significance: p vs la_silu" in shown.stdout
    text = actrobust("table", run.path, "--style", "layeract", "--format", "latex", "-o", "t.tex")
    assert text.stdout == "t.tex\n"
    latex = Path("t.tex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{table}") == 3
    assert r"la\_silu" in latex
    assert "--reference goes with --style metrics" in refused(
        actrobust("table", run.path, "--style", "layeract", "--reference", "relu")
    )


def test_notebook_view_of_a_run(run: Run) -> None:
    again = load_run(run.path)
    assert repr(again).startswith(f"<Run {run.path}: 4 checkpoints x noise, light x severities 1, 3 on 200")
    assert again.leaderboard().equals(robustbench_act.metrics.leaderboard(run.cells))
