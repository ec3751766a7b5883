"""What is damaged is found and made again; one process at a time writes a run."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate
from robustbench_act.run import load_run
from tests.references.grid import (
    TABLES,
    assert_alike,
    many_images,
    run_grid,
    started,
)


def test_one_process_at_a_time(checkpoints: Path, tmp_path: Path) -> None:
    """The second one on a directory is refused, and names the first; the lock dies with its process."""
    out = tmp_path / "run"
    process = started(run_grid, checkpoints, out, images=3000)
    deadline = time.monotonic() + 60
    while not (out / "run.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    before = json.loads((out / "run.json").read_text())
    with pytest.raises(InputError, match=rf"process {process.pid} on \S+ is writing this run"):
        evaluate([checkpoints], dataset=many_images(3000), suites=["noise"], severities=[1, 4], out=out)
    assert json.loads((out / "run.json").read_text()) == before
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with pytest.raises(InputError, match=r"a different plan .*dataset.images \(3000 there, 300 here\)"):
        run_grid(checkpoints, out)


def changed(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)


def test_a_damaged_part_is_found_and_made_anew(undisturbed: Path, checkpoints: Path, tmp_path: Path) -> None:
    """A byte that has changed, a part that was cut, one that is gone, in a run that was finished."""
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    parts = sorted(out.glob("parts/*.zip"))
    changed(parts[1], 200)
    parts[3].write_bytes(parts[3].read_bytes()[:-50])
    parts[5].unlink()
    run_grid(checkpoints, out)
    assert_alike(out, undisturbed)
    for one, other in zip(sorted(undisturbed.glob("parts/*.zip")), parts, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_damaged_table_is_found_and_made_anew(undisturbed: Path, checkpoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    changed(out / TABLES[0], 300)
    with pytest.raises(InputError, match=r"part-0000\.parquet: not a complete .* \(its checksum"):
        load_run(out)
    run_grid(checkpoints, out)
    assert_alike(out, undisturbed)


def test_a_part_damaged_at_the_last_moment_is_done_again(
    undisturbed: Path, checkpoints: Path, tmp_path: Path
) -> None:
    """After it was written, before it is merged: the run notes it and ends alike."""
    out = tmp_path / "run"
    images: list[int] = []

    def start(*_: object) -> Callable[[int], None]:
        def count(number: int) -> None:
            images.append(number)
            first = sorted(out.glob("parts/*.zip"))[:1]
            if len(images) == 6 and first:
                changed(first[0], 150)

        return count

    notes: list[str] = []
    run_grid(checkpoints, out, on_start=start, on_note=notes.append)
    assert_alike(out, undisturbed)
    assert len(notes) == 1
    assert "a damaged part of the run" in notes[0]
    assert load_run(out).info.notes == tuple(notes)


def test_a_complete_run_is_left_as_it_is(undisturbed: Path, checkpoints: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in undisturbed.rglob("*.*")}
    run_grid(checkpoints, undisturbed)
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in undisturbed.rglob("*.*")}
    assert after == before


def test_a_provisional_part_counts_where_there_is_no_other(undisturbed: Path, tmp_path: Path) -> None:
    """Killed between writing a unit's part and taking the provisional one away: histograms are the same."""
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    part = max(out.glob("parts/*-noise-*.zip"))
    shutil.copy(part, part.with_name(f"{part.stem}.failed.zip"))
    found, expected = (load_run(path).histograms() for path in (out, undisturbed))
    assert found.map(str).equals(expected.map(str))
