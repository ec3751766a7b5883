"""The headline is over corruptions: input shifts stand apart, wherever a number means all corruptions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.text import Text

from robustbench_act.cli.leaderboard import print_leaderboard
from robustbench_act.cli.result_tables import comparison, metrics
from robustbench_act.comparison import compare_runs
from robustbench_act.errors import InputError
from robustbench_act.gate import Rule, Rules, check, make_baseline
from robustbench_act.metrics import (
    checkpoint_scores,
    class_accuracy,
    image_accuracy,
    leaderboard,
    run_reference,
    summary,
)
from robustbench_act.paper_tables import layeract_table
from robustbench_act.records import headline
from robustbench_act.run import Run
from tests.build_run import LABELS, Builder, by, simulated_run
from tests.references.headline import headline as reference

CORRUPTIONS = (("fog", "weather"), ("shift_up", "shift"), ("jpeg_compression", "digital"))
CORRECT = {  # of 200: clean, then two severities each; silu is ahead but for the shift
    ("relu", 1): (200, 100, 80, 200, 180, 110, 90),
    ("relu", 2): (190, 104, 82, 190, 180, 112, 80),
    ("silu", 1): (196, 120, 100, 2, 1, 130, 90),
    ("silu", 2): (198, 118, 98, 4, 2, 128, 96),
}
SHIFTS = (("shift_up", "shift"), ("shift_gaussian", "shift"))


def run(corruptions: Sequence[tuple[str, str]] = CORRUPTIONS) -> Run:
    cells = 1 + 2 * len(corruptions)
    return Builder(correct={key: own[:cells] for key, own in CORRECT.items()}, corruptions=corruptions).run()


def rows_of(cells: pd.DataFrame, checkpoint: str) -> list[dict[str, object]]:
    rows = cells[cells["checkpoint"] == checkpoint].to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def test_the_rule_by_hand() -> None:
    """(100 + 80) / 2 and (110 + 90) / 2 of 200: 0.45 and 0.5; the shift's 0.95 does not count."""
    cells = run().cells
    again = cells[cells["corruption"] == "fog"].assign(suite="weather", accuracy=cells["accuracy"])
    twice = pd.concat([cells, again], ignore_index=True)
    kept = headline(twice[twice["checkpoint"] == "relu-1"])
    assert kept[["corruption", "severity"]].to_numpy().tolist() == [
        ["fog", 1.0],
        ["fog", 5.0],
        ["jpeg_compression", 1.0],
        ["jpeg_compression", 5.0],
    ]
    scores = by(checkpoint_scores(twice), "checkpoint")
    assert scores["relu-1"]["mca"] == pytest.approx(0.475)
    assert scores["relu-1"]["group_shift"] == pytest.approx(0.95)
    for name, row in scores.items():
        assert row["mca"] == pytest.approx(reference(rows_of(twice, name)))


def test_shifts_do_not_decide_who_is_first() -> None:
    board = leaderboard(run().cells)
    assert board["activation"].tolist() == ["silu", "relu"]
    assert list(board)[-3:] == ["group_weather", "group_digital", "group_shift"]
    with_shifts = run().cells.replace({"group": {"shift": "mine"}})  # what a group of one's own would decide
    assert leaderboard(with_shifts)["activation"].tolist() == ["relu", "silu"]


def test_every_mean_leaves_shifts_out() -> None:
    """Each equals that of a run that never had them."""
    cells, without = run().cells, run().cells.query("group != 'shift'")
    pd.testing.assert_frame_equal(
        summary(cells, labels=LABELS, reference=run_reference(cells, "all")).drop(columns="group_shift"),
        summary(without, labels=LABELS, reference=run_reference(without, "all")),
    )
    pd.testing.assert_frame_equal(class_accuracy(cells, LABELS), class_accuracy(without, LABELS))
    for name in ("relu-1", "silu-2"):
        own = cells[(cells["checkpoint"] == name) & (cells["severity"] > 0)]
        assert image_accuracy(own).mean() == pytest.approx(reference(rows_of(cells, name)))


def test_correlations_leave_shifts_out() -> None:
    whole = run()
    without = replace(
        whole,
        cells=whole.cells.query("group != 'shift'"),
        layers=whole.layers.query("group != 'shift'"),
    )
    pd.testing.assert_frame_equal(whole.layer_correlations(), without.layer_correlations())
    assert len(run(SHIFTS).layer_correlations().query("n == 16")) == 4


def test_a_run_of_shifts_alone_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    alone = run(SHIFTS)
    board = leaderboard(alone.cells)
    assert board["mca"].tolist() == board["group_shift"].tolist()
    assert by(checkpoint_scores(alone.cells), "checkpoint")["relu-1"]["mca"] == pytest.approx(
        reference(rows_of(alone.cells, "relu-1"))
    )
    print_leaderboard(board)
    text = Text.from_ansi(capsys.readouterr().out).plain
    assert text.startswith("Accuracy in %: mean over input shifts, severities")
    assert "shifted" in text
    assert "corrupt" not in text
    ((title, shown, _),) = metrics(alone)[1]
    assert "; mean over 2 input shifts at severities 1 and 5" in title
    assert "Shifted %" in shown
    titles = [title for title, *_ in comparison(compare_runs(alone, alone), None)]
    assert titles[0] == "Activations: shifted accuracy in %, over other trainings and images"
    assert titles[-1] == "None of 16 cells of input shifts moved beyond chance in images (McNemar, Holm)."
    with pytest.raises(InputError, match=r"are over corruptions, this run has input shifts alone; actrobust"):
        layeract_table(alone)


def shifted_run(drop: bool) -> Run:
    """Return 5 cells of 100 images; in the shift all are right, or none."""
    right = np.ones((5, 100), dtype=bool)
    right[3:] = not drop
    return simulated_run({"a": right}, corruptions=(("fog", "weather"), ("shift_up", "shift")))


def test_the_gate_looks_at_shifts_when_asked() -> None:
    before, after = shifted_run(drop=False), shifted_run(drop=True)
    assert check(after, make_baseline(before)).sentence.startswith("Robustness kept: 1 line")
    asked = make_baseline(before, Rules((Rule(group="shift"), Rule())))
    (reason,) = check(after, asked).reasons
    assert reason.startswith("a: accuracy on input shifts fell: 100.00 points worse")
    loss = [
        replace(one, cells=one.cells.assign(loss=np.where(one.cells["group"] == "shift", size, 1.0)))
        for one, size in ((before, 1.0), (after, 9.0))
    ]
    assert check(loss[1], make_baseline(loss[0], Rules((Rule("loss"),)))).table["worse"].tolist() == [0.0]
    alone = [
        replace(one, cells=one.cells.query("corruption != 'fog'").reset_index(drop=True))
        for one in (before, after)
    ]
    (reason,) = check(alone[1], make_baseline(alone[0])).reasons
    assert reason.startswith("a: accuracy on input shifts fell: 100.00 points worse")
    with pytest.raises(InputError, match=r"no group 'corruptions' for a rule; it has clean, shift\."):
        make_baseline(alone[0], Rules((Rule(),)))


def test_a_comparison_has_shifts_in_a_block_of_their_own() -> None:
    found = compare_runs(shifted_run(drop=False), shifted_run(drop=True))
    assert found.checkpoints["difference"].tolist() == [0.0]
    titles = [title for title, *_ in comparison(found, None)]
    assert titles[1:] == [
        "None of 3 cells moved beyond chance in images (McNemar, Holm).",
        "Cells of input shifts that moved beyond chance in images: 2 of 2 (McNemar, Holm)",
    ]


def test_unlike_runs_are_compared_on_what_both_have() -> None:
    a = run()
    b = replace(a, cells=a.cells.query("corruption != 'fog'").reset_index(drop=True))
    found = compare_runs(a, b, force=True)
    assert found.activations["a"].tolist() == pytest.approx(found.activations["b"].tolist())
    row = by(found.activations, "activation")["relu"]
    assert row["a"] == pytest.approx(np.mean([110 + 90, 112 + 80]) / 400)
