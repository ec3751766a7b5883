"""Progress in a log and in a terminal."""

import os
import pty
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

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


def test_a_terminal_shows_the_leaderboard_while_networks_are_done(checkpoints: Path, tmp_path: Path) -> None:
    """Each of the four networks is a unit; what is shown in between is gone in the end."""
    command = ["evaluate", str(checkpoints), "--dataset", "digits", "--limit", "20", "--suite", "light"]
    command += ["--severity", "3", "--no-probes", "--report", "none", "--processes", "1"]
    script = f"from robustbench_act.cli import main; main({command})"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=theirs, stdout=subprocess.PIPE, cwd=tmp_path, env=environment
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end, on Linux
        while piece := os.read(ours, 100_000):
            shown += piece
    os.close(ours)
    printed, _ = process.communicate()
    assert process.returncode == 0, shown.decode()
    assert re.search(r"[1-4] of 4 networks so far\. Accuracy in %: mean over corruptions", shown.decode())
    assert b"so far" not in printed
    assert b"Accuracy in %" in printed
