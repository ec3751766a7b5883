"""On a real CUDA device, where there is one: the same random numbers, and the same pixels up to rounding."""

import pytest
import torch

import corruptions
from corruptions.random import Stream

from .conftest import make_input

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def stream_on(device: str) -> Stream:
    return Stream(torch.arange(5, device=device), name="test", severity=1.0, seed=0)


@pytest.mark.parametrize("draw", ["bits", "uniform", "normal", "laplace"])
def test_random_numbers_are_those_of_the_cpu_to_the_bit(draw: str) -> None:
    numbers = [getattr(stream_on(device), draw)(1001).cpu() for device in ("cpu", "cuda")]
    assert torch.equal(*numbers)


def test_poisson_counts_are_those_of_the_cpu_to_the_bit() -> None:
    levels = torch.arange(255, dtype=torch.uint8).expand(5, 1, 1, 255)
    counts = [stream_on(device).poisson(levels.to(device), rate=60.0).cpu() for device in ("cpu", "cuda")]
    assert torch.equal(*counts)


@pytest.mark.parametrize("name", corruptions.list_corruptions())
def test_pixels_are_those_of_the_cpu_up_to_one_level_on_few(name: str) -> None:
    images = make_input(name, count=16, dtype=torch.uint8)
    for severity in (1, 2, 3, 4, 5):
        on_host = corruptions.corrupt(images, name, severity=severity)
        on_device = corruptions.corrupt(images.cuda(), name, severity=severity)
        assert on_device.is_cuda
        difference = (on_device.cpu().double() - on_host.double()).abs()
        assert difference.max() <= 1, severity
        assert (difference > 1e-5).double().mean() <= 1e-3, severity


@pytest.mark.parametrize("name", corruptions.list_corruptions())
def test_batches_do_not_matter_to_the_bit(name: str) -> None:
    images, ids = make_input(name, count=16, dtype=torch.uint8).cuda(), torch.arange(16, device="cuda")
    whole = corruptions.corrupt(images, name, severity=3, ids=ids)
    for size in (1, 7):
        parts = [
            corruptions.corrupt(part, name, severity=3, ids=some)
            for part, some in zip(torch.split(images, size), torch.split(ids, size), strict=True)
        ]
        assert torch.equal(whole, torch.cat(parts))
