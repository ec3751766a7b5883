"""Precision is what was asked for, and settings are as before afterwards."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_act.checkpoints import load_checkpoint
from robustbench_act.errors import InputError
from robustbench_act.evaluation import evaluate, precision
from robustbench_act.evaluation.precision import computing
from tests.references.grid import many_images

CPU = torch.device("cpu")


def settings() -> tuple[Any, ...]:
    backends: Any = torch.backends
    rounding = (backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision)
    return (
        *rounding,
        backends.cudnn.deterministic,
        backends.cudnn.benchmark,
        torch.is_autocast_enabled("cpu"),
    )


@pytest.mark.parametrize(("name", "rounding"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")])
def test_settings_hold_inside_and_come_back(name: str, rounding: str) -> None:
    before = settings()
    inside = (rounding, rounding, True, False, name == "bf16")

    def fail() -> None:
        with computing(name, CPU):
            assert settings() == inside
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert settings() == before


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_half_precision_is_recorded_and_near(name: str, checkpoints: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset": many_images(40), "suites": ["light"], "device": "cpu"}
    exact = evaluate([checkpoints], out=tmp_path / "exact", **options)
    half = evaluate([checkpoints], out=tmp_path / "half", precision=name, **options)
    assert half.info.precision == name
    assert (half.cells["pixels"] == exact.cells["pixels"]).all()
    assert (half.cells["loss"] - exact.cells["loss"]).abs().max() < 0.2
    assert (half.cells["loss"] != exact.cells["loss"]).any()
    assert half.cells["error"].isna().all()


def test_large_images_are_laid_out_channels_last(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded; networks get and keep it, and the numbers are those of the plain layout but for rounding."""
    network = load_checkpoint(checkpoints / "relu_1.safetensors", input_size=(1, 80, 80))
    options: dict[str, Any] = {"dataset": many_images(20, side=80), "suites": ["light"], "device": "cpu"}
    seen: list[bool] = []
    convolution = next(
        one for one in network.model.modules() if isinstance(one, nn.Conv2d) and one.in_channels > 1
    )
    with convolution.register_forward_pre_hook(
        lambda _, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
    ):
        fast = evaluate([network], out=tmp_path / "fast", **options)
    assert fast.info.memory_format == "channels_last"
    assert seen
    assert all(seen)
    monkeypatch.setattr(precision, "_LARGE", 80)
    plain = evaluate([network], out=tmp_path / "plain", **options)
    assert plain.info.memory_format == "contiguous"
    for name in ("correct", "outcomes", "pixels"):
        assert (fast.cells[name] == plain.cells[name]).all()
    assert np.allclose(fast.cells["loss"], plain.cells["loss"], rtol=1e-5)
    for name in ("output_fluctuation_mean", "activation_mean", "rho"):
        assert np.allclose(fast.layers[name], plain.layers[name], rtol=1e-4, atol=1e-6, equal_nan=True), name


@pytest.mark.slow
def test_compiled_networks_give_the_same(checkpoints: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset": many_images(20), "suites": ["light"], "severities": [1]}
    options |= {"device": "cpu", "probes": False}
    path = checkpoints / "relu_1.safetensors"
    eager = evaluate([path], out=tmp_path / "eager", **options)
    compiled = evaluate([path], compiled=True, out=tmp_path / "compiled", **options)
    assert compiled.info.compiled is True
    assert compiled.cells["error"].isna().all()
    assert (compiled.cells["loss"] - eager.cells["loss"]).abs().max() < 1e-4


def test_compiled_networks_take_no_probes(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--compile cannot be combined with probes"):
        evaluate([checkpoints], dataset=many_images(20), compiled=True, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
