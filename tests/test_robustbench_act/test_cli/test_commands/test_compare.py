"""`actrobust compare RUN --activations`: sentences and tables that say what was tested."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from scipy import stats

from robustbench_act import load_run
from tests.build_run import CORRECT, ORDER, Builder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Builder(probes=False).write(tmp_path / "run")


def test_mine_against_theirs(actrobust: Callable[..., Result], run: Path) -> None:
    found = actrobust("compare", run, "--activations", "LA-SiLU, relu")
    assert found.exit_code == 0, found.output
    mean, counts, *_ = found.stdout.splitlines()
    table = load_run(run).compare_activations("la_silu", "relu")
    shares = (100 * table.iloc[0][name] for name in ("a_accuracy", "b_accuracy", "difference", "low", "high"))
    size = (
        "{:.1f}% accuracy on corrupted images, ReLU {:.1f}%: {:+.1f} points (95%: {:+.1f} to {:+.1f}), more"
    )
    assert mean.startswith("LA-SiLU has " + size.format(*shares).replace("-", "−"))
    assert table.loc[table["level"] == "corruption", "adjusted"].min() > 0.05
    assert counts == (
        "Of 3 corruptions, LA-SiLU is surely better than ReLU under none and surely worse under none; "
        "3 are undecided (Holm over 3 tests)."
    )
    assert "Mean over corruptions: accuracy in %, over other trainings and images; one test\n" in found.stdout
    assert "intervals of single rows, p by Holm over these 3 tests\n" in found.stdout
    answer = json.loads(actrobust("compare", run, "--activations", "la_silu,relu", "--json").stdout)
    assert {one["level"]: one["tests"] for one in answer["families"]} == {
        "mean": 1,
        "group": 2,
        "corruption": 3,
    }
    pd.testing.assert_frame_equal(pd.DataFrame(answer["rows"]), table, rtol=1e-12)


def test_one_seed_says_what_is_known_of_these_networks(
    actrobust: Callable[..., Result], tmp_path: Path
) -> None:
    correct = {key: own for key, own in CORRECT.items() if key[1] == 11}
    run = Builder(correct, probes=False).write(tmp_path / "run")
    found = actrobust("compare", run, "--activations", "relu,la_silu")
    mean, alone, title, *_ = found.stdout.splitlines()
    assert mean.endswith("cannot be said: one training seed: what another training would give is not known.")
    right = {
        name: [np.array(count) > ORDER for count in correct[name, 11][1:]] for name in ("relu", "la_silu")
    }
    means = {name: np.mean(own, axis=0) for name, own in right.items()}
    paired = stats.ttest_rel(means["la_silu"], means["relu"]).confidence_interval()
    interval = f"{100 * paired.low:+.1f} to {100 * paired.high:+.1f}"
    lead = 100 * (means["la_silu"] - means["relu"]).mean()
    assert f"LA-SiLU leads ReLU by {lead:.1f} points (95% interval of this pair alone: {interval})" in alone
    assert alone.endswith("That says nothing about other trainings.")
    assert "accuracy in %; no test: one training seed" in title


def test_networks_of_another_normalisation_are_not_among_these(
    actrobust: Callable[..., Result], tmp_path: Path
) -> None:
    norms = {"relu-11": "layer", "la_silu-11": "layer", "relu-22": "batch", "la_silu-22": "batch"}
    run = Builder(normalization=norms, probes=False).write(tmp_path / "run")
    found = actrobust("compare", run, "--activations", "relu,la_silu")
    assert found.exit_code == 0, found.output
    alone = [line for line in found.stdout.splitlines() if "These trained networks alone" in line]
    assert [line.partition(": These")[0] for line in alone] == ["net, layer", "net, batch"]
    for line, seed in zip(alone, (11, 22), strict=True):
        counts = {name: CORRECT[name, seed][1:] for name in ("relu", "la_silu")}
        lead = (np.mean(counts["la_silu"]) - np.mean(counts["relu"])) / len(ORDER) * 100
        assert f"LA-SiLU leads ReLU by {lead:.1f} points" in line


def test_one_run_or_two(actrobust: Callable[..., Result], run: Path) -> None:
    for arguments, message in (
        ([], "Expected either a second run or --activations."),
        ([run, "--activations", "relu,la_silu"], "Expected either a second run or --activations."),
        (["--activations", "relu,la_silu", "--force"], "--force and --all go with two runs."),
        (
            ["--activations", "relu,la_sulu"],
            "Unknown activation of this run 'la_sulu'. Did you mean 'la_silu'?",
        ),
    ):
        found = actrobust("compare", run, *arguments)
        assert found.exit_code == 2
        assert message in " ".join(found.stderr.split())
