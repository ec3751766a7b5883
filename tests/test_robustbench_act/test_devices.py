"""Which devices there are, and how many cores of them."""

import os
from pathlib import Path

import pytest

from robustbench_act import devices


@pytest.mark.parametrize(
    ("written", "found"),
    [("max 100000", 64), ("150000 100000", 2), ("400000 100000", 4), ("1000 100000", 1), ("", 64)],
)
def test_cores_are_bound_by_the_quota_of_the_container(
    written: str, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes and Docker set it: microseconds of a period; none where there is no such file."""
    (tmp_path / "cpu.max").write_text(f"{written}\n")
    monkeypatch.setattr(devices, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    assert devices.cores() == found


def test_no_container_no_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    assert devices.cores() == 3
