"""Rules are read whole or refused in one line."""

from pathlib import Path

import pytest

from robustbench_act.errors import InputError
from robustbench_act.gate import Rule, Rules, read_rules


def test_rules_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(
        'level = 0.01\n[[rule]]\ntolerance = 0.5\n[[rule]]\nmetric = "ece"\ngroup = "noise"\ntolerance = 2\n'
    )
    assert read_rules(path) == Rules((Rule(tolerance=0.5), Rule("ece", "noise", 2)), 0.01)
    path.write_text("")
    assert read_rules(path) == Rules()
    path.write_text("[[rule]]\nmargin = 1\n")
    assert read_rules(path) == Rules((Rule(margin=1),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("level = 2", "a level between 0 and 0.5, got 2"),
        ("level = nan", "a level between 0 and 0.5, got nan"),
        ('level = "low"', "a level between 0 and 0.5, got 'low'"),
        ("levle = 0.1", "Expected level, rule, got 'levle'"),
        ("rule = 3", "Expected [[rule]] tables"),
        ("rule = [1]", "Expected a table of group, margin, metric, tolerance, got 1"),
        ("rule = []", "at least one rule"),
        ("[[rule]]\nmetrik = 1", "Expected group, margin, metric, tolerance, got 'metrik'"),
        ('[[rule]]\nmetric = "mce"', "Expected a metric of cells (accuracy, top5"),
        ("[[rule]]\nmetric = []", "got []"),
        ("[[rule]]\ngroup = 7", "the name of a group of corruptions, got 7"),
        ("[[rule]]\ntolerance = -1", "a tolerance of 0 or more, got -1"),
        ("[[rule]]\ntolerance = inf", "a tolerance of 0 or more, got inf"),
        ("[[rule]]\nmargin = 0\ntolerance = 0", "a margin above 0, got 0"),
        ("[[rule]]\nmargin = 0.2", "a margin of at least the tolerance, 0.3, got 0.2"),
        ('[[rule]]\ngroup = "each"\nmetric = "loss"', "metric 'accuracy' for the group 'each', got 'loss'"),
        ("[[rule]]\ntolerance = true", "a tolerance of 0 or more, got True"),
        ("[[rule]]\n[[rule]]\ntolerance = 1", "each rule once, got 'accuracy on corruptions' twice"),
        ('[[rule]]\ngroup = "all"', "Expected group 'corruptions', got its former name 'all', which counted"),
        ("[[rule", "is not TOML"),
        ("level = " + "9" * 10_000, "is not TOML"),  # more digits than Python reads
    ],
)
def test_wrong_rules_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_rules(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("[[rule]]\ntolerance = 0.01", "utf-8-sig")
    assert [rule.tolerance for rule in read_rules(tmp_path / "gate.toml").rules] == [0.01]


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_rules(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not TOML"):
        read_rules(tmp_path / "x.toml")
