"""The verdict says what the numbers say, and no more."""

from dataclasses import replace

import pandas as pd

from reports.analysis import Analysis
from reports.sections.verdict import images_alone, lead, notes, ranking, standing
from robustbench_act.metrics import checkpoint_scores, leaderboard
from robustbench_act.run import Run
from robustbench_act.statistics import ONE_SEED
from tests.build_run import Builder


def board(**scores: tuple[int, ...]) -> pd.DataFrame:
    """Return a leaderboard: each activation answers so many of 200 right in every cell, one number a seed."""
    correct = {(name, seed): [n] * 7 for name, counts in scores.items() for seed, n in enumerate(counts)}
    return leaderboard(Builder(correct=correct).cells())


def pairs_of(**scores: tuple[int, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the pairs and the leaderboard of activations that answer so many of 200 right."""
    correct = {(name, seed): [n] * 7 for name, counts in scores.items() for seed, n in enumerate(counts)}
    analysis = Analysis(Builder(correct=correct).run())
    return analysis.significance["net"], analysis.board


def test_who_leads_and_by_how_much() -> None:
    (text,) = ranking(board(relu=(60, 61, 62), elu=(100, 101, 102), gelu=(80, 80, 81)))
    assert text == (
        "ELU comes first: it has 50.5% accuracy on corrupted images (clean: 50.5%), 10.3 points more than "
        "GELU, the next of 3 activations."
    )
    (level,) = ranking(board(elu=(150, 150), gelu=(150, 150)))
    assert level.startswith("ELU and GELU lead level, at 75.0%")
    assert ranking(board(elu=(150,)))[0].endswith("There is no other activation to compare it with.")


def test_a_lead_that_is_sure() -> None:
    pairs, board = pairs_of(relu=(60, 61, 63), elu=(100, 101, 103), gelu=(80, 81, 84))
    assert lead(pairs).startswith("ELU leads GELU by 9.8 points (95% interval of this pair alone: ")
    assert ": more than chance in trainings and images would give (p = " in lead(pairs)
    assert "after Holm’s correction for 3 pairs)." in lead(pairs)
    assert "4 times in 5" not in lead(pairs)
    assert standing(pairs, board.iloc[0]) == (
        "Beyond chance in trainings and images, ELU leads 2 of the 2 others; of all 3 pairs, 3 differ "
        "for sure. ELU is first with a probability of > 99%, and no other rank is left to it."
    )
    said = images_alone(pairs)
    assert said.startswith("These trained networks alone: ELU leads GELU by 9.8 points")
    assert said.endswith(" pairs). That says nothing about other trainings.")


def test_a_lead_that_is_not_sure_says_what_would_have_been_shown() -> None:
    """Means 52.5 and 51.75 %: the seeds differ by more than the activations."""
    pairs, board = pairs_of(elu=(100, 110, 105), gelu=(108, 99, 103))
    first = pairs.iloc[0]
    assert ": not more than chance in trainings and images would give (p = " in lead(pairs)
    assert "Holm" not in lead(pairs)  # a single pair
    points = f"{100 * first['joint_detectable']:.1f}"
    assert lead(pairs).endswith(
        f"With 3 training seeds and 200 images, a true lead of {points} points is shown 4 times in 5; "
        "a smaller one may well be missed."
    )
    assert first["joint_detectable"] > first["joint_difference"]
    share = round(100 * board["first"][0])
    assert standing(pairs, board.iloc[0]) == (
        f"ELU is first with a probability of {share}%, and chance leaves it the ranks 1 to 2."
    )


def test_pairs_that_are_not_sure_are_undecided_not_alike() -> None:
    """ELU and GELU overlap; ReLU is 20 points below both."""
    pairs, board = pairs_of(elu=(100, 110, 105), gelu=(108, 99, 103), relu=(60, 65, 62))
    assert standing(pairs, board.iloc[0]).startswith(
        "Beyond chance in trainings and images, ELU leads 1 of the 2 others; of all 3 pairs, 2 differ "
        "for sure and 1 is undecided. ELU is first with a probability of "
    )
    level, board = pairs_of(elu=(100, 110, 105), gelu=(108, 99, 103), relu=(98, 104, 107))
    assert standing(level, board.iloc[0]).startswith(
        "Beyond chance in trainings and images, ELU leads none of the 2 others; of all 3 pairs, none differ "
        "for sure and 3 are undecided. "
    )


def test_one_seed_claims_nothing_on_other_trainings() -> None:
    pairs, board = pairs_of(elu=(150,), gelu=(120,))
    assert lead(pairs) == f"Whether other trainings would show the same cannot be said: {ONE_SEED}."
    assert standing(pairs, board.iloc[0]) == ""
    assert ": more than chance in images would give (p < 0.0001)" in images_alone(pairs)


def test_architectures_are_judged_apart() -> None:
    cells = pd.concat([Builder().cells(), Builder(architecture="big").cells()])
    cells["checkpoint"] = cells["architecture"] + cells["checkpoint"]
    first, second = ranking(leaderboard(cells))
    assert "LA-SiLU comes first among the big networks" in first
    assert "LA-SiLU comes first among the net networks" in second


def test_notes_on_unlike_recipes_data_and_repeated_seeds(run: Run) -> None:
    scores = checkpoint_scores(run.cells)
    assert notes(run.info.checkpoints, scores) == []
    listed = list(run.info.checkpoints)
    listed[0] = replace(listed[0], recipe={**listed[0].recipe, "lr": 0.2, "augment": "crop"})
    listed[1] = replace(listed[1], dataset="other")
    recipe, data, seeds = notes(listed, scores.assign(training_seed=11))
    assert recipe == (
        "The checkpoints differ in their training (lr 0.1 and 0.2, augment), not in their activation alone."
    )
    assert data == (
        "The checkpoints differ in their training data (toy and other), not in their activation alone."
    )
    assert seeds.startswith("Several checkpoints of LA-SiLU (")
