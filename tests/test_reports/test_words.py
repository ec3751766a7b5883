"""The verdict says what the numbers say, and no more."""

import pandas as pd
import pytest

from reports import RunData, words
from robustbench_act.metrics import checkpoint_scores, leaderboard
from tests.build_run import Builder


def board(**scores: tuple[int, ...]) -> pd.DataFrame:
    """Return a leaderboard: each activation answers so many of 200 right in every cell, one number a seed."""
    correct = {(name, seed): [n] * 7 for name, counts in scores.items() for seed, n in enumerate(counts)}
    return leaderboard(Builder(correct=correct).cells())


def test_clear_lead() -> None:
    (text,) = words.verdict(board(relu=(60, 61, 62), elu=(100, 101, 102), gelu=(80, 80, 81)))
    assert text.startswith(
        "ELU comes first: it keeps 50.5% accuracy on corrupted images (clean: 50.5%), 10.3 points"
    )
    assert "more than GELU, the next of 3 activations." in text
    assert "lies above those of all 2 others" in text


def test_overlap_is_said() -> None:
    (text,) = words.verdict(board(relu=(20, 21), elu=(100, 110), gelu=(99, 108)))
    assert "overlap, so the order of these two may come from the training seeds alone" in text
    assert "that of ELU lies above those of 0" not in text
    (text,) = words.verdict(board(relu=(20, 20, 21), elu=(100, 110, 104), gelu=(99, 108, 100)))
    assert "that of ELU lies above those of 1 of the 2 others" in text


def test_a_clear_next_but_a_wide_third() -> None:
    (text,) = words.verdict(board(elu=(150, 151), gelu=(120, 121), relu=(10, 190)))
    assert "lies above those of 1 of the 2 others, the next one's among them" in text


def test_two_activations_one_seed_a_tie_and_one_activation() -> None:
    assert "lies above that of the other" in words.verdict(board(elu=(150, 151), gelu=(120, 121)))[0]
    assert "single training seed and so no interval" in words.verdict(board(elu=(150,), gelu=(120, 121)))[0]
    assert "ELU and GELU lead level, at 75.0%" in words.verdict(board(elu=(150, 150), gelu=(150, 150)))[0]
    assert words.verdict(board(elu=(150,)))[0].endswith("There is no other activation to compare it with.")


def test_architectures_are_judged_apart() -> None:
    cells = pd.concat([Builder().cells(), Builder(architecture="big").cells()])
    cells["checkpoint"] = cells["architecture"] + cells["checkpoint"]
    first, second = words.verdict(leaderboard(cells))
    assert "LA-SiLU comes first among the big networks" in first
    assert "LA-SiLU comes first among the net networks" in second


def test_notes_on_unlike_recipes_data_and_repeated_seeds(run: RunData) -> None:
    scores = checkpoint_scores(run.cells)
    assert words.notes(run.info, scores) == []
    listed = [dict(entry) for entry in run.info["checkpoints"]]
    listed[0]["recipe"] = {"lr": 0.2}
    listed[1]["dataset"] = "other"
    found = words.notes({"checkpoints": listed}, scores.assign(training_seed=11))
    assert [note.split(" (")[0] for note in found] == [
        "The checkpoints differ in their training recipes",
        "The checkpoints differ in their training data",
        "Several checkpoints of LA-SiLU",
    ]


def test_findings() -> None:
    curve = pd.DataFrame({"activation": ["a", "b", "a"], "severity": [5, 5, 0], "accuracy": [0.2, 0.4, 0.9]})
    assert words.curve_finding("fog", curve) == "fog at severity 5: b 40.0% (best), a 20.0% (lowest)"
    assert words.curve_finding("fog", curve[:1]) == "fog at severity 5: a 20.0%"
    layers = pd.DataFrame({"activation": ["a", "a", "b"], "gain": [0.5, 1.5, 0.25]})
    assert (
        words.depth_finding("Gain", layers, "gain")
        == "Gain, mean over layers: b 0.250 (lowest), a 1.00 (highest)"
    )
    assert words.depth_finding("Gain", layers[:1], "gain") == "Gain, mean over layers: a 0.500"
    assert words.depth_finding("Gain", layers.assign(gain=float("nan")), "gain") == "Gain: no finite value"


@pytest.mark.parametrize(("value", "text"), [(1234.0, "1.23e+03"), (0.5, "0.500"), (12.0, "12.0")])
def test_number(value: float, text: str) -> None:
    assert words.number(value) == text
