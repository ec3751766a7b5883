"""Compiled kernels: the integers to the bit, pixels at most one level apart on few values."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

import corruptions
from corruptions import _compile
from corruptions.random import Stream
from tests.pairwise import covering_rows

from .conftest import make_images, make_input


@pytest.fixture
def compiled() -> Iterator[None]:
    corruptions.use_compile()
    yield
    corruptions.use_compile(False)


def assert_all_compiled() -> None:
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"]
    assert not counters["unimplemented"]  # so says torch where its limit of recompilations is reached


def make_stream() -> Stream:
    return Stream(torch.tensor([0, -1, 2**40]), name="fog", severity=2.0, seed=1)


def draws() -> list[torch.Tensor]:
    stream = make_stream()
    levels = make_images(count=3, channels=3, dtype=torch.uint8)
    return [
        stream.bits(1001),
        stream.uniform(77),
        stream.integers(0, 10, 33),
        stream.normal(1001),
        stream.laplace(1001),
        stream.poisson(levels, rate=500.0),
        stream.poisson(levels / 255, rate=60.0),
        stream.poisson(levels, rate=3.0),
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_compiled_streams_are_the_same_to_the_bit(compiled: None) -> None:
    fused = draws()
    corruptions.use_compile(False)
    for one, other in zip(fused, draws(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_compiled_pixels_differ_by_one_level_at_most_on_few_values(compiled: None) -> None:
    settings = covering_rows(corruptions.list_corruptions(), (3, 7), (1, 3, 5), ("32", "224"))

    def run() -> list[torch.Tensor]:
        return [
            corruptions.corrupt(
                make_input(name, count=count, dtype=torch.uint8), name, severity=severity, table=table
            )
            for name, count, severity, table in settings
        ]

    torch.compiler.reset()
    counters.clear()
    fused = run()
    assert_all_compiled()
    corruptions.use_compile(False)
    for setting, one, other in zip(settings, fused, run(), strict=True):
        difference = (one.double() - other.double()).abs()
        assert difference.max() <= 1, setting
        assert (difference > 1e-6).double().mean() <= 1e-4, setting


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_fused_ones_are_compiled_for_every_layout_and_severity(compiled: None) -> None:
    # Kinds, shapes, layouts and parameters must not add up to more recompilations than torch allows.
    torch.compiler.reset()
    counters.clear()
    fused = [name for name in corruptions.list_corruptions() if corruptions.get_corruption(name).fused]
    assert "brightness" in fused
    layouts: list[Callable[[torch.Tensor], torch.Tensor]] = [
        torch.Tensor.contiguous,
        lambda images: images.to(memory_format=torch.channels_last),
        lambda images: images[:1].expand(4, -1, -1, -1),
    ]
    for name, severity, channels, count, layout in covering_rows(
        fused, (1, 2.25, 3, 4.75, 5), (1, 3), (1, 2, 5), layouts
    ):
        images = layout(make_images(count=count, channels=channels, dtype=torch.uint8))
        corruptions.use_compile(True)
        one = corruptions.corrupt(images, name, severity=severity, table="32")
        corruptions.use_compile(False)
        other = corruptions.corrupt(images, name, severity=severity, table="32")
        assert (one.int() - other.int()).abs().max() <= 1
        assert (one != other).double().mean() <= 1e-3
    assert_all_compiled()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_fused_ones_are_compiled_in_threads_too(compiled: None) -> None:
    torch.compiler.reset()
    counters.clear()
    images = make_images(count=300, channels=3, dtype=torch.uint8)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        one = corruptions.corrupt(images, "contrast", severity=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert_all_compiled()
    corruptions.use_compile(False)
    other = corruptions.corrupt(images, "contrast", severity=3)
    assert (one.int() - other.int()).abs().max() <= 1


def test_use_compile_compiles_each_kernel_once(monkeypatch: pytest.MonkeyPatch, compiled: None) -> None:
    calls = []

    def record(function: Callable[[int], int], **options: bool) -> Callable[[int], int]:
        calls.append(options)
        return function

    def increment(value: int) -> int:
        return value + 1

    monkeypatch.setattr(torch, "compile", record)
    kernel = _compile.kernel(increment)
    assert [kernel(1), kernel(2)] == [2, 3]
    assert calls == [{"dynamic": True}]
    corruptions.use_compile(False)
    assert _compile.kernel(increment)(3) == 4
    assert len(calls) == 1


def test_levels_of_those_that_are_not_fused_are_not_compiled(
    monkeypatch: pytest.MonkeyPatch, compiled: None
) -> None:
    images = make_images(count=2, channels=3, dtype=torch.uint8)
    corruptions.use_compile(False)
    usual = corruptions.corrupt(images, "snow", severity=3)
    corruptions.use_compile()

    def compile_nothing(*args: object, **options: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(torch, "compile", compile_nothing)
    assert torch.equal(corruptions.corrupt(images, "snow", severity=3), usual)


def test_the_environment_turns_it_on() -> None:
    code = "import importlib.util as u; s = u.spec_from_file_location('c', 'corruptions/_compile.py'); "
    code += "m = u.module_from_spec(s); s.loader.exec_module(m); print(m._state['enabled'])"
    output = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "ACTROBUST_COMPILE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.strip() == "True"
