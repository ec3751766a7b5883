"""The verdict says what the numbers say, and no more."""

from dataclasses import replace

import pandas as pd

from reports.paired_tests import significance
from reports.sections.verdict import beyond_noise, notes, ranking, standing
from robustbench_act.metrics import checkpoint_scores, image_accuracy, leaderboard
from robustbench_act.run import Run
from tests.build_run import Builder


def board(**scores: tuple[int, ...]) -> pd.DataFrame:
    """Return a leaderboard: each activation answers so many of 200 right in every cell, one number a seed."""
    correct = {(name, seed): [n] * 7 for name, counts in scores.items() for seed, n in enumerate(counts)}
    return leaderboard(Builder(correct=correct).cells())


def leads(**scores: tuple[int, ...]) -> tuple[str, str]:
    """Return what is said of the lead over images and over seeds."""
    correct = {(name, seed): [n] * 7 for name, counts in scores.items() for seed, n in enumerate(counts)}
    cells = Builder(correct=correct).cells()
    found = checkpoint_scores(cells)
    right = {
        row["checkpoint"]: image_accuracy(
            cells[(cells["checkpoint"] == row["checkpoint"]) & (cells["severity"] > 0)]
        )
        for _, row in found.iterrows()
    }
    pairs = significance(found, right, list(leaderboard(cells)["activation"]))
    return beyond_noise(pairs, "images"), beyond_noise(pairs, "seeds")


def test_who_leads_and_by_how_much() -> None:
    (text,) = ranking(board(relu=(60, 61, 62), elu=(100, 101, 102), gelu=(80, 80, 81)))
    assert text == (
        "ELU comes first: it has 50.5% accuracy on corrupted images (clean: 50.5%), 10.3 points more than "
        "GELU, the next of 3 activations."
    )
    (level,) = ranking(board(elu=(150, 150), gelu=(150, 150)))
    assert level.startswith("ELU and GELU lead level, at 75.0%")
    assert ranking(board(elu=(150,)))[0].endswith("There is no other activation to compare it with.")


def test_a_lead_beyond_all_chance() -> None:
    images, seeds = leads(relu=(60, 61, 63), elu=(100, 101, 103), gelu=(80, 81, 84))
    assert images.startswith(
        "Over the images, ELU leads GELU by +9.8 points (95% interval of this pair alone"
    )
    assert ": more than a different choice of images would explain (p < 0.0001 after Holm" in images
    assert seeds.startswith("Over 3 training seeds, ELU leads GELU by +9.8 points")
    assert ": more than other training runs would explain (p = " in seeds
    assert "for 3 pairs" in seeds


def test_how_many_are_led_beyond_noise() -> None:
    """Of the three pairs the first is noise over images, all are over seeds."""
    pairs = pd.DataFrame(
        {
            "a": ["elu", "elu", "gelu"],
            "b": ["gelu", "relu", "relu"],
            "images_adjusted": [0.2, 0.01, 0.04],
            "seeds_adjusted": [0.5, float("nan"), 0.06],
        }
    )
    assert standing(pairs) == (
        "Beyond noise, ELU leads 1 of the 2 others over the images and 0 over training seeds. "
        "Of all 3 pairs, 2 differ over the images and none over training seeds."
    )


def test_a_test_that_cannot_reject_says_so() -> None:
    _, seeds = leads(elu=(100, 101, 102), gelu=(80, 80, 81))  # not normal: Wilcoxon
    assert seeds.endswith("(p = 0.25; with 3 training seeds the Wilcoxon test cannot reject).")


def test_a_lead_that_seeds_explain() -> None:
    """Means 52.5 and 51.75 %: the seeds differ by more than the activations."""
    _, seeds = leads(elu=(100, 110, 105), gelu=(108, 99, 103))
    assert ": not more than other training runs would explain (p = " in seeds
    assert "Holm" not in seeds  # a single pair


def test_a_lead_in_every_pair_of_seeds_counts_though_the_activations_overlap() -> None:
    """70, 80, 90 % against 69, 79, 88.5 %: each seed is a little better."""
    _, seeds = leads(elu=(140, 160, 180), gelu=(138, 158, 177))
    assert ": more than other training runs would explain" in seeds


def test_seeds_that_all_differ_by_one_amount_are_not_sure() -> None:
    """A point in each of three pairs: as likely a matter of few images."""
    _, seeds = leads(elu=(140, 160, 180), gelu=(138, 158, 178))
    assert seeds == (
        "Whether other training runs would show the same cannot be said: all seeds differ by the same amount."
    )


def test_where_there_is_no_test_none_is_claimed() -> None:
    _, seeds = leads(elu=(150,), gelu=(120, 121))
    assert seeds == (
        "Whether other training runs would show the same cannot be said: one training seed has no test."
    )


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
    listed[0] = replace(listed[0], recipe={"lr": 0.2})
    listed[1] = replace(listed[1], dataset="other")
    found = notes(listed, scores.assign(training_seed=11))
    assert [note.split(" (")[0] for note in found] == [
        "The checkpoints differ in their training recipes",
        "The checkpoints differ in their training data",
        "Several checkpoints of LA-SiLU",
    ]
