"""A run outlives what ends processes: the final tables are those of an undisturbed run, byte for byte."""

import errno
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from robustbench_act.cli import main
from robustbench_act.run import Run, load_run
from tests.references.grid import (
    UNITS,
    assert_alike,
    die,
    finished,
    run_grid,
    started,
    with_bad_disk,
)

KILLS = 20


@pytest.mark.slow
def test_killed_at_any_moment(checkpoints: Path, tmp_path: Path) -> None:
    """SIGKILL at 20 random moments, of first and of resumed runs."""
    whole, many = tmp_path / "whole", {"images": 3000}
    began = time.monotonic()
    assert finished(run_grid, checkpoints, whole, **many) == 0
    seconds = time.monotonic() - began
    moments, kills, kept, runs = random.Random(7), 0, set(), 0
    while kills < KILLS:
        out = tmp_path / f"run-{runs}"
        process = started(run_grid, checkpoints, out, **many)
        process.join(moments.uniform(0, 0.8) * seconds)
        process.kill()  # nothing where it has just ended
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        if process.exitcode == 0:
            assert_alike(out, whole)
            runs += 1
        else:
            assert process.exitcode == -signal.SIGKILL
            kept.add(len(list(out.glob("parts/*.zip"))))
    assert finished(run_grid, checkpoints, out, **many) == 0
    assert_alike(out, whole)
    assert len(kept) > 5  # it was early and late


@pytest.mark.slow
@pytest.mark.parametrize("event", [1, 2, 4, 6, 12, 33, 61, 67, 76])
def test_killed_while_writing(event: int, undisturbed: Path, checkpoints: Path, tmp_path: Path) -> None:
    """At the first of all things done with files, at the last ones, and between; writes are half done."""
    out = tmp_path / "run"
    assert finished(with_bad_disk, event, die, checkpoints, out) == -signal.SIGKILL
    assert finished(run_grid, checkpoints, out) == 0
    assert_alike(out, undisturbed)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
@pytest.mark.parametrize("event", [2, 30, 60])
def test_no_space_while_writing(event: int, undisturbed: Path, checkpoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert finished(with_bad_disk, event, full, checkpoints, out) == 1
    assert not [path for path in out.rglob(".*") if path.name != ".lock"]  # what was half-written is gone
    assert finished(run_grid, checkpoints, out) == 0
    assert_alike(out, undisturbed)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a memory file system with the given options."""
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"mounted-{len(folders)}"
        folder.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
        )
        if made.returncode != 0:
            pytest.skip("needs the right to mount a file system")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


GRID = (
    "--dataset",
    "digits",
    "--suite",
    "noise",
    "--severity",
    "1,4",
    "--probe-images",
    "256",
    "--device",
    "cpu",
    "--report",
    "none",
)


@pytest.fixture(scope="module")
def whole(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the same grid by the command line."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert CliRunner().invoke(main, ["evaluate", str(checkpoints), *GRID, "--out", str(out)]).exit_code == 0
    return out


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_run_goes_on(
    mounted: Callable[[str], Path], actrobust: Callable[..., Result], checkpoints: Path, whole: Path
) -> None:
    folder = mounted("size=200k")
    out = folder / "run"
    result = actrobust("evaluate", checkpoints, *GRID, "--out", out)
    assert result.exit_code == 1, result.output
    line = result.stderr.splitlines()[-1]
    assert re.fullmatch(
        rf"{out}/\S+: No space left on device\. (\d+) of 8 units are kept; to continue, repeat the command "
        rf"with --out {out}\.",
        line,
    ), line
    subprocess.run(["mount", "-o", "remount,size=20m", str(folder)], check=True)
    assert actrobust("evaluate", checkpoints, *GRID, "--out", out).exit_code == 0
    assert_alike(out, whole)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_said(
    mounted: Callable[[str], Path], actrobust: Callable[..., Result], checkpoints: Path
) -> None:
    folder = mounted("ro")
    result = actrobust("evaluate", checkpoints, *GRID, "--out", folder / "run")
    assert result.exit_code == 2
    assert f"{folder}/run: Read-only file system." in result.stderr


@pytest.mark.parametrize("years", [-10, 10])
def test_the_clock_may_move(
    years: int, undisturbed: Path, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a run is years older, or younger, than the rest; no date decides anything."""
    out = tmp_path / "run"
    assert finished(with_bad_disk, 40, die, checkpoints, out) == -signal.SIGKILL
    moved = time.time() + years * 365 * 86_400
    done = sorted(out.glob("parts/*.zip"))
    assert 0 < len(done) < UNITS
    for path in [*out.rglob("*"), out]:
        os.utime(path, (moved, moved))
    assert finished(run_grid, checkpoints, out) == 0
    assert_alike(out, undisturbed)
    assert all(abs(path.stat().st_mtime - moved) < 2 for path in done)  # nothing was done again


@pytest.mark.parametrize(
    ("processes", "numbers", "codes"),
    [
        (1, [signal.SIGINT], [130]),
        (1, [signal.SIGTERM], [143]),
        (2, [signal.SIGINT] * 2, [130, -signal.SIGINT]),
    ],
)
@pytest.mark.slow
def test_stopped_by_a_signal(
    processes: int, numbers: list[signal.Signals], codes: list[int], whole: Path, checkpoints: Path
) -> None:
    """Ctrl-C once, and twice at once, SIGTERM: the units that are done are kept, and nobody stays behind."""
    command = [sys.executable, "-m", "robustbench_act.cli", "evaluate", str(checkpoints), *GRID]
    command += ["--processes", str(processes), "--out"]
    out = whole.with_name(f"stopped-{len(numbers)}-{codes[0]}-{processes}")
    process = subprocess.Popen(
        [*command, str(out)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("parts/*.zip"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for number in numbers:
        os.killpg(process.pid, number)  # as a terminal does
    try:
        _, errors = process.communicate(timeout=120)  # who does not end at all; a busy machine takes its time
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode in codes
    if process.returncode > 0:
        assert "Traceback" not in errors
        pattern = rf"Interrupted: \d+ of 8 units are kept; to continue, repeat the command with --out {out}\."
        assert re.fullmatch(pattern, errors.splitlines()[-1])
    while is_there(process.pid):  # of the whole group nobody is left
        assert time.monotonic() < deadline
        time.sleep(0.05)
    subprocess.run([*command, str(out)], check=True, capture_output=True)
    assert_alike(out, whole)


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(checkpoints: Path, tmp_path: Path) -> None:
    process = started(run_grid, checkpoints, tmp_path / "run", processes=2)
    children: list[int] = []
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "run").glob("parts/*.zip"))) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    assert len(children) >= 2
    process.kill()
    process.join()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run = evaluate_grid(checkpoints, tmp_path / "run")  # nobody holds the lock
    assert run.info.status == "complete"


def evaluate_grid(checkpoints: Path, out: Path) -> Run:
    run_grid(checkpoints, out)
    return load_run(out)
