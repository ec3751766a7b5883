"""`actrobust compare RUN --activations`: sentences and tables that say what was tested."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result

from robustbench_act import load_run
from tests.build_run import Builder


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
