"""The imagecorruptions package on the same images: the cross-check users trust, and the speed baseline.

It runs on the CPU, image by image, with the constants of 224 pixels for every size (the severity table
"imagecorruptions"). Its random numbers are its own: if a corruption is random, compare distributions.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from .errors import InputError, unknown_name

MINIMUM_SIDE = 32
"""Smallest height and width that the package accepts, in pixels."""


def list_reference_corruptions() -> list[str]:
    """Return the sorted names of the 19 corruptions of the imagecorruptions package."""
    from imagecorruptions import get_corruption_names  # noqa: PLC0415 - slow to import, needed only here

    return sorted(get_corruption_names("all"))


def corrupt_reference(images: Tensor, name: str, *, severity: int, seed: int = 0) -> Tensor:
    """Return uint8 images (N, C, H, W) under a corruption of the imagecorruptions package.

    A grey image comes back with the first of the three channels that the package makes of it. Arguments that
    are not as described raise InputError.

    Parameters
    ----------
    images : Tensor
        uint8 (N, C, H, W) on the CPU, C 1 or 3, H and W at least 32.
    name : str
        One of `list_reference_corruptions()`.
    severity : int
        1 to 5.
    seed : int
        Seed of NumPy's global generator for this call; its state is restored. The package draws
        impulse_noise and glass_blur from generators of its own, which this does not reach.
    """
    from imagecorruptions import corrupt  # noqa: PLC0415 - see above

    _check(images, severity)
    if name not in list_reference_corruptions():
        raise unknown_name("reference corruption", name, list_reference_corruptions())
    corrupted = torch.empty_like(images)
    with _numpy_seed(seed):
        for source, target in zip(images, corrupted, strict=True):
            pixels = np.ascontiguousarray(source.permute(1, 2, 0).numpy())
            result = corrupt(pixels, corruption_name=name, severity=severity)
            target.copy_(torch.from_numpy(np.array(result)).permute(2, 0, 1)[: len(target)])
    return corrupted


def _check(images: Tensor, severity: int) -> None:
    shape = tuple(images.shape)
    if images.dtype != torch.uint8 or images.device.type != "cpu":
        raise InputError(f"Expected uint8 images on the CPU, got {images.dtype} on {images.device}.")
    if images.ndim != 4 or shape[1] not in (1, 3) or min(shape[2:]) < MINIMUM_SIDE:
        raise InputError(
            f"Expected images (N, C, H, W) with C 1 or 3, H and W at least {MINIMUM_SIDE}, got {shape}."
        )
    if severity not in (1, 2, 3, 4, 5):
        raise InputError(f"Expected an integer severity from 1 to 5, got {severity!r}.")


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which the package draws from, and put its state back."""
    state = np.random.get_state()  # noqa: NPY002 - the package draws from this generator
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
