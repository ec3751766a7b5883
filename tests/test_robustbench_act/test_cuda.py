"""The engine on a GPU against the engine on the CPU: the same random numbers, roundings apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robustbench_act.evaluation import evaluate
from robustbench_act.run import Run
from tests.references.grid import many_images

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

GRID: dict[str, Any] = {"suites": ["c19", "shift"], "severities": [1, 4]}
IMAGES = 300


@pytest.fixture(scope="module")
def both(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("devices")
    data = many_images(IMAGES)
    cpu, cuda = (
        evaluate([checkpoints], dataset=data, device=device, out=folder / device, **GRID)
        for device in ("cpu", "cuda")
    )
    return cpu, cuda


def test_accuracies_differ_by_few_flips(both: tuple[Run, Run]) -> None:
    """A prediction flips where two logits lie within rounding; pixels differ in few corruptions."""
    cpu, cuda = (run.cells for run in both)
    assert cuda["error"].isna().all()
    clean = cpu["corruption"] == "clean"
    assert (cpu.loc[clean, "pixels"] == cuda.loc[clean, "pixels"]).all()
    flips = (cpu["correct"] - cuda["correct"]).abs()
    assert flips[clean].max() <= 1
    assert flips.max() <= 0.02 * IMAGES
    assert flips.mean() <= 0.002 * IMAGES


def test_layers_are_the_same_but_for_rounding(both: tuple[Run, Run]) -> None:
    cpu, cuda = (run.layers.query("corruption == 'shift_gaussian'") for run in both)
    for name in ("input_fluctuation_mean", "output_fluctuation_mean", "activation_abs_mean"):
        np.testing.assert_allclose(cuda[name], cpu[name], rtol=1e-4, atol=1e-6)


def test_twice_the_same_to_the_bit(both: tuple[Run, Run], checkpoints: Path, tmp_path: Path) -> None:
    again = evaluate(
        [checkpoints], dataset=many_images(IMAGES), device="cuda", out=tmp_path / "again", **GRID
    )
    assert again.cells.equals(both[1].cells)
    assert again.layers.equals(both[1].layers)


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_precisions(precision: str, both: tuple[Run, Run], checkpoints: Path, tmp_path: Path) -> None:
    out = tmp_path / precision
    run = evaluate(
        [checkpoints], dataset=many_images(IMAGES), device="cuda", precision=precision, out=out, **GRID
    )
    assert run.info.precision == precision
    assert run.cells["error"].isna().all()
    assert (run.cells["pixels"] == both[1].cells["pixels"]).all()
    assert (run.cells["accuracy"] - both[1].cells["accuracy"]).abs().mean() < 0.01
