"""Every corruption stays on the device: no mixture of devices, no copy to the host, no look at values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import corruptions
from corruptions import _compile
from tests.pairwise import each_pair

from .conftest import make_input

DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
NAMES = corruptions.list_corruptions()


class NoCopyToHost(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails on any operation that takes a tensor on cuda and gives one on the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if "cuda" in devices_of((args, kwargs)) and "cpu" in devices_of(result):
            raise AssertionError(f"{func} copies from cuda to the host")
        return result


def devices_of(tree: Any) -> set[str]:
    return {leaf.device.type for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)}


@contextmanager
def fake_cuda() -> Iterator[None]:
    with FakeTensorMode(), NoCopyToHost():  # type: ignore[no-untyped-call]
        yield


def fake_images(name: str, *, dtype: torch.dtype) -> torch.Tensor:
    domain = corruptions.get_corruption(name).domain
    return torch.empty(
        4, 3, 17, 11, dtype=torch.float32 if domain == "input" else dtype, device="cuda"
    )  # fmt: skip


@each_pair(name=NAMES, dtype=DTYPES, severity=[1, 2, 3, 4, 5])
def test_runs_on_fake_cuda(name: str, dtype: torch.dtype, severity: int) -> None:
    with fake_cuda():
        images = fake_images(name, dtype=dtype)
        corrupted = corruptions.corrupt(images, name, severity=severity, table="224")
        assert corrupted.device.type == "cuda"
        assert corrupted.shape == images.shape
        assert corrupted.dtype == images.dtype


@each_pair(name=NAMES, device=["cpu", "cuda"], table=["32", "imagecorruptions"])
def test_ids_may_be_on_either_device(name: str, device: str, table: str) -> None:
    with fake_cuda():
        images = fake_images(name, dtype=torch.uint8)
        ids = torch.arange(4, device=device)
        assert corruptions.corrupt(images, name, severity=3, ids=ids, table=table).device.type == "cuda"


@pytest.mark.parametrize("name", NAMES)
def test_fake_runs_leave_no_fake_constant_behind(name: str) -> None:
    images = make_input(name, count=2, dtype=torch.uint8)
    usual = corruptions.corrupt(images, name, severity=3)
    _compile._cached_constant.cache_clear()
    with FakeTensorMode():
        fake = torch.empty(2, 3, 17, 11, dtype=images.dtype, device="cuda")
        corruptions.corrupt(fake, name, severity=3)
    assert _compile._cached_constant.cache_info().currsize == 0
    assert torch.equal(corruptions.corrupt(images, name, severity=3), usual)


def test_constants_are_made_once_per_device() -> None:
    images = make_input("shot_noise", count=2, dtype=torch.uint8)
    corruptions.corrupt(images, "shot_noise", severity=3)
    misses = _compile._cached_constant.cache_info().misses
    corruptions.corrupt(images, "shot_noise", severity=3)
    assert _compile._cached_constant.cache_info().misses == misses


def test_the_guards_catch_what_they_are_for() -> None:
    with fake_cuda():
        images = torch.empty(4, device="cuda")
        with pytest.raises(AssertionError, match="copies from cuda"):
            images.cpu()
        with pytest.raises(Exception, match=r"item|data-dependent|_local_scalar_dense"):
            images.sum().item()
        with pytest.raises(Exception, match="device"):
            images + torch.empty(4)


def test_looking_at_values_on_a_device_needs_validate() -> None:
    with fake_cuda():
        images = torch.empty(4, 3, 17, 11, device="cuda")
        with pytest.raises(Exception, match=r"item|data-dependent|_local_scalar_dense"):
            corruptions.corrupt(images, "contrast", severity=3, validate=True)
