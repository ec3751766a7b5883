"""Progress in a log."""

import time

import pytest

from robustbench_act.cli.progress import MinuteLog


def test_a_log_gets_a_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that are taken back count, and so do those already done."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    count = MinuteLog(1200)
    for seconds, images in ((59, 100), (2, 100), (30, 100), (1, -100), (28, 200), (10, 100), (60, 700)):
        clock[0] += seconds
        count(images)
    assert capsys.readouterr().err.splitlines() == [
        "17% of 1,200 images, 5 min left",
        "42% of 1,200 images, 3 min left",
    ]
