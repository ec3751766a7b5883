"""Memory: a chunk that does not fit is halved, and units leave nothing behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.evaluation import evaluate
from robustbench_act.run import load_run
from tests.references.grid import (
    finished,
    many_images,
    with_little_memory,
)


@pytest.mark.slow
def test_a_chunk_that_does_not_fit_is_halved(checkpoints: Path, tmp_path: Path) -> None:
    path = checkpoints / "relu_1.safetensors"
    assert finished(with_little_memory, 0, path, tmp_path / "enough", 200) == 0
    # measured: 200 images need between 80 and 110 MB more than two; threads and libraries that start late on
    # a busy machine took 50 of them
    assert finished(with_little_memory, 65_000_000, path, tmp_path / "little", 200) == 0
    enough, little = load_run(tmp_path / "enough"), load_run(tmp_path / "little")
    assert enough.info.notes == ()
    assert "out of memory; 100 images at a time from here on" in little.info.notes[0]
    assert little.cells.equals(enough.cells)
    assert little.cells["error"].isna().all()


def test_versions_of_large_layers_go_in_several_passes(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a probe keeps of each element is bounded; the rows are the same."""
    checkpoint = load_checkpoint(checkpoints / "relu_1.safetensors")
    seen: list[int] = []
    checkpoint.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))

    def start(*_: object) -> Callable[[int], None]:
        seen.clear()
        return lambda count: None

    options: dict[str, Any] = {"dataset": "digits", "limit": 30, "suites": ["noise"], "device": "cpu"}
    at_once = evaluate([checkpoint], **options, out=tmp_path / "at once", on_start=start)
    assert seen == [2, 30, *[6 * 21] * 5]  # two images tell how large the layers are
    elements = at_once.layers.drop_duplicates("layer")["elements"].sum()
    monkeypatch.setattr("robustbench_act.evaluation.forward.STATE", 16 * 5 * elements)
    run = evaluate([checkpoint], **options, out=tmp_path / "few", on_start=start)
    assert seen == [2, 30, *[25 * 5, 5 * 5] * 5]
    pd.testing.assert_frame_equal(run.layers, at_once.layers, check_exact=True)
    pd.testing.assert_frame_equal(run.cells, at_once.cells, check_exact=True)


@pytest.mark.slow
def test_memory_does_not_grow(checkpoints: Path, tmp_path: Path) -> None:
    """Over 220 units: resident memory at the end is that after the first 40."""
    sizes: list[int] = []

    def counted(*_: object) -> Callable[[int], None]:
        return lambda images: sizes.append(int(Path("/proc/self/statm").read_text().split()[1]))

    evaluate(
        [checkpoints / "relu_1.safetensors"],
        dataset=many_images(256 * 220),
        suites=["light"],
        severities=[1],
        probe_images=256,
        device="cpu",
        out=tmp_path / "run",
        on_start=counted,
    )
    assert len(sizes) == 220
    assert max(sizes[180:]) <= 1.02 * max(sizes[:40])
