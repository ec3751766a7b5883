"""Threads that corrupt a batch together: the same pixels, errors that reach the caller, no trace of them."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

import corruptions
from corruptions import _host, _threads
from corruptions._host import Levels, Tile

PIXELS = [
    name for name in corruptions.list_corruptions() if corruptions.get_corruption(name).domain == "pixels"
]

FORK = """
import os, threading, torch, corruptions
images = torch.arange(2**20).to(torch.uint8).view(256, 1, 64, 64)
torch.set_num_threads(1)
alone = corruptions.corrupt(images, "contrast", severity=3)
print(threading.active_count())
torch.set_num_threads(2)
corruptions.corrupt(images, "contrast", severity=3)
print(threading.active_count(), flush=True)
child = os.fork()
if child == 0:
    again = corruptions.corrupt(images, "contrast", severity=3)
    print("equal" if torch.equal(again, alone) else "different", flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", PIXELS)
def test_the_pixels_are_the_same(
    name: str, images: Tensor, three_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = torch.cat(
        [corruptions.corrupt(images[i : i + 1], name, severity=3, ids=torch.tensor([i])) for i in range(5)]
    )
    monkeypatch.setattr(_host, "WORTH_SHARING", 1)
    monkeypatch.setattr(_host, "IMAGE_TILE", 1)
    assert torch.equal(corruptions.corrupt(images, name, severity=3), alone)
    with torch.inference_mode():
        assert torch.equal(corruptions.corrupt(images.clone(), name, severity=3), alone)


def test_each_has_one_thread_of_torch_and_the_caller_keeps_its_own(three_threads: None) -> None:
    _threads._pool.cache_clear()
    pool = _threads._pool(3)
    assert {pool.submit(torch.get_num_threads).result() for _ in range(9)} == {1}
    assert torch.get_num_threads() == 3
    later = ThreadPoolExecutor(1)
    assert later.submit(torch.get_num_threads).result() == 3
    later.shutdown()


def test_one_thread_starts_no_other_and_a_fork_starts_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["1", "3", "equal", "0"], done.stderr


def test_what_a_thread_raises_is_raised(three_threads: None) -> None:
    def fail(tile: Tile) -> Levels:
        raise ValueError(tile)

    with pytest.raises(ValueError, match="slice"):
        _host.by_tiles(fail, _host.tiles(4, 2, values=2), (4, 2), np.uint8)
