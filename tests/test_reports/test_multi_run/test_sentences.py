"""What is said of runs side by side, sentence by sentence."""

from typing import Any

import numpy as np
import pandas as pd

from reports.multi_run.sentences import details, verdicts
from reports.sections.cells import change_cell

RUNS = {"base": "old", "run": "new"}


def rows(**columns: Any) -> pd.DataFrame:
    """Return rows of `between_runs`: by default one that lost 2 points, beyond other images and seeds."""
    known = {**RUNS, "architecture": "net", "activation": "relu", "mca": -0.02, "left_out": 0}
    known |= {"images_low": -0.03, "images_adjusted": 0.01, "lost": "fog", "lost_change": -0.05}
    known |= {"joint_adjusted": 0.01, "joint_low": -0.04, "joint_note": ""}
    return pd.DataFrame({**{name: [value] for name, value in known.items()}, **columns}).ffill()


def change(**columns: Any) -> pd.DataFrame:
    known = {**RUNS, "mca": -0.02, "clean": -0.004, "low": -0.03, "high": -0.01, "p": 0.01, "note": ""}
    known |= {"joint_low": -0.035, "joint_high": -0.005, "joint_p": 0.02, "joint_note": ""}
    return pd.DataFrame([{**known, **columns}])


def under(**columns: Any) -> pd.DataFrame:
    """Return rows of `corruption_changes`, without a test where none is given."""
    known = {**RUNS, "name": "", "group": "weather", "corruption": "fog", "change": -0.05, "adjusted": np.nan}
    length = max((len(values) for values in columns.values()), default=1)
    return pd.DataFrame({name: [value] * length for name, value in known.items()} | columns)


def test_without_outcomes_chance_cannot_be_told() -> None:
    said = verdicts(change(p=np.nan, note="this run is old"), rows(), "accuracy")
    assert said == [
        "From old to new, ReLU loses 2.0 points of accuracy on corrupted images. "
        "This run is old, so whether that is chance cannot be said."
    ]


def test_one_activation() -> None:
    assert verdicts(change(), rows(), "accuracy") == [
        "From old to new, ReLU loses 2.0 points of accuracy on corrupted images (95% interval: −3.5 to "
        "−0.5): more than chance in trainings and images would give (p = 0.02)."
    ]
    assert details(change(), rows(), under()) == [
        "Worst is ReLU under fog (−5.0 points). On clean images the change is −0.4 points."
    ]
    kept, _ = details(change(), rows(joint_adjusted=[0.2]), under())
    assert kept == "These seeds and images do not rule out a loss of up to 4.0 points."


def test_one_seed_says_what_is_not_known() -> None:
    said = verdicts(change(joint_p=np.nan, joint_note="one seed"), rows(), "accuracy")
    assert said == [
        "From old to new, ReLU loses 2.0 points of accuracy on corrupted images (95% interval over images: "
        "−3.0 to −1.0): more than chance in images would give (p = 0.01). "
        "Whether other trainings would show the same cannot be said: one seed."
    ]
    kept, _ = details(change(), rows(images_adjusted=[0.2], joint_adjusted=[np.nan]), under())
    assert kept == "These images do not rule out a loss of up to 3.0 points."


def test_many_activations_are_listed_up_to_six() -> None:
    names = [f"act{place}" for place in range(9)]
    moved = [-0.08, -0.07, -0.06, -0.05, -0.04, -0.03, -0.02, 0.01, 0.03]
    table = pd.concat(
        [
            rows(activation=[name], mca=[size], joint_adjusted=[0.5 if size == 0.01 else 0.001])
            for name, size in zip(names, moved, strict=True)
        ],
        ignore_index=True,
    )
    said, _ = details(change(), table, under())
    assert said.startswith(
        "Activation by activation, 7 (act0 −8.0, act1 −7.0, act2 −6.0, act3 −5.0, act4 −4.0, act5 −3.0, "
        "1 more) lost and 1 (act8 +3.0) gained more than chance in trainings and images would give "
        "(Holm’s correction for 9 tests). "
        "Of these trained networks by themselves, 7 (act0 −8.0, act1 −7.0, act2 −6.0, act3 −5.0, act4 −4.0, "
        "act5 −3.0, 1 more) lost and 2 (act7 +1.0, act8 +3.0) gained more than chance in images would give "
        "(Holm’s correction for 9 tests). "
        "These seeds and images do not rule out a loss of up to 4.0 points (act7) if no change is shown."
    )


def test_architectures_runs_and_partners_are_told() -> None:
    table = pd.concat([rows(), rows(architecture=["big"], left_out=[2])], ignore_index=True)
    (said,) = verdicts(change(), table, "agreement")
    assert "the mean of 1 activation in 2 architectures loses 2.0 points of agreement" in said
    changes = pd.concat([change(), change(run="newest")])
    table = pd.concat([table, rows(run=["newest"], left_out=[1])], ignore_index=True)
    first, under_first, under_second = details(changes, table, pd.concat([under(), under(run=["newest"])]))
    both = "2 (ReLU (net) −2.0, ReLU (big) −2.0) lost and none gained more"
    assert first.startswith(f"new: Activation by activation, {both}")
    assert under_first.startswith("new: Worst is ReLU (net) under fog")
    assert under_first.endswith("2 checkpoints have no partner with the same training seed and are left out.")
    assert under_second.endswith("1 checkpoint has no partner with the same training seed and is left out.")


def test_corruptions_that_moved_the_mean_are_named() -> None:
    names = ["", "fog", "snow", "frost", "jpeg"]
    table = under(
        corruption=names, change=[-0.03, -0.01, -0.05, 0.02, 0.3], adjusted=[0.001, 0.01, 0.02, 0.04, 0.5]
    )
    others = [under(name=["relu"], corruption=["contrast"], adjusted=[0.0001])]
    others += [under(run=["newest"], corruption=["contrast"], adjusted=[0.0001])]
    both = pd.concat([rows(), rows(activation=["silu"])])
    said = details(change(), both, pd.concat([table, *others]))[-1]
    assert said.startswith(
        "Of 4 corruptions, the mean of these networks loses under 2 (snow −5.0, fog −1.0) and gains under 1 "
        "(frost +2.0) more than chance in images would give (Holm’s correction for 5 tests). "
    )
    still = details(change(), rows(), table.assign(adjusted=0.05, name="relu"))[-1]
    assert still.startswith("Under none of 4 corruptions ReLU moves more than chance in images would give")
    single = details(change(), rows(), table[:2])[-1]
    assert "corruptions" not in single


def test_small_changes_that_are_sure_are_not_said_to_be_none() -> None:
    table = under(corruption=["fog", "snow"], change=[-0.0003, 0.1], adjusted=[0.001, 0.5])
    assert "loses under 1 (fog −0.03)" in details(change(), rows(), table)[-1]
    assert change_cell(-0.0003, 0.001)["text"] == "−0.03*"
    assert change_cell(-0.0003, 0.2)["text"] == "0.0"
    assert change_cell(float("nan"), float("nan"))["text"] == "n/a"


def test_what_later_runs_add_is_said_to_be_that() -> None:
    changes = pd.concat([change(), change(base="new", run="newest")])
    table = pd.concat([rows(), rows(base=["new"], run=["newest"])])
    first, second = verdicts(changes, table, "accuracy")
    assert first.startswith("From old to new, ReLU loses")
    assert second.startswith("From new to newest, ReLU, of those that old lacks, loses")
