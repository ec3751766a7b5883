"""The leaderboard of a run that is under way."""

import pandas as pd
import pytest

from robustbench_act.metrics import SoFar

IDENTITY = pd.DataFrame(
    {"checkpoint": ["a", "b"], "architecture": "net", "activation": ["relu", "silu"], "training_seed": 1}
)


def part(checkpoint: str, right: dict[tuple[str, float], int], n: int = 10) -> pd.DataFrame:
    """Return the cell rows of a part: the right answers by corruption and severity."""
    rows = [
        {
            "checkpoint": checkpoint,
            "suite": "clean" if name == "clean" else "c15",
            "table": "32",
            "corruption": name,
            "group": {"clean": "clean", "fog": "weather", "snow": "weather"}[name],
            "severity": severity,
            "n": n,
            "correct": correct,
            "agreement_sum": 7,
            "error": None,
        }
        for (name, severity), correct in right.items()
    ]
    return pd.DataFrame(rows)


def test_cells_that_all_networks_have_count() -> None:
    """The second network has not seen snow yet; a second chunk adds to the first."""
    found = SoFar(IDENTITY)
    assert found.leaderboard().empty
    found.add(part("a", {("clean", 0.0): 9}))
    assert found.leaderboard().empty
    found.add(part("a", {("fog", 1.0): 5, ("snow", 1.0): 0}))
    assert found.leaderboard()["mca"].tolist() == [0.25]
    found.add(part("b", {("clean", 0.0): 8, ("fog", 1.0): 6}))
    found.add(part("b", {("fog", 1.0): 30}, n=30))
    board = found.leaderboard().set_index("activation")
    assert board["mca"].to_dict() == pytest.approx({"silu": 36 / 40, "relu": 0.5})
    assert board["clean"].to_dict() == pytest.approx({"silu": 0.8, "relu": 0.9})
    assert board["joint_low"].isna().all()


def test_failed_cells_do_not_count_and_without_labels_agreement_does() -> None:
    found = SoFar(IDENTITY)
    found.add(part("a", {("clean", 0.0): 0, ("fog", 1.0): 0}).assign(error="out of order"))
    assert found.leaderboard().empty
    unlabelled = part("b", {("clean", 0.0): 0, ("fog", 1.0): 0}).assign(correct=float("nan"))
    found.add(unlabelled)
    assert found.leaderboard()[["activation", "mca"]].to_numpy().tolist() == [["silu", 0.7]]
