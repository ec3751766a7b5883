"""The public names that need torch, with every corruption registered."""
# ruff: noqa: F401 - `__init__` lists the names

from torch import Tensor

from . import _ours
from ._compile import kernel, use_compile
from .base import Corruption
from .contract import check_corruption
from .functions import from_function
from .registry import get_corruption, list_corruptions, register
from .severity import list_tables
from .suites import Cell, Suite, get_suite
from .transforms import Corrupt, Corrupted, RandomCorruption


def corrupt(
    images: Tensor,
    name: str,
    *,
    severity: float,
    seed: int = 0,
    ids: Tensor | None = None,
    table: str | None = None,
    validate: bool = False,
) -> Tensor:
    """Return the images under one corruption: same shape, dtype and device; the input is not written to.

    Any argument that is not as described raises InputError.

    Parameters
    ----------
    images : Tensor
        (N, C, H, W), uint8 or float in [0, 1]; C is 1 or 3, H and W at least 8. For the input shifts:
        floats (N, C, ...) of any range.
    name : str
        One of `list_corruptions()`.
    severity : float
        0 (the identity) or in [1, 5]; constants between the published integers are interpolated.
    seed : int
        Any 64-bit integer.
    ids : Tensor, optional
        int64 (N,), the id of the image in each row; the random numbers of an image depend on its id,
        never on its batch. By default 0, 1, 2, ...
    table : str, optional
        Severity constants: "32", "64", "224", "299" or "imagecorruptions"; by default by image size.
    validate : bool
        Also check the values of float images that are not on the CPU; this synchronises.

    Examples
    --------
    >>> import torch
    >>> images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    >>> corrupt(images, "brightness", severity=5).unique()
    tensor([76], dtype=torch.uint8)
    """
    return Cell(name, severity, table).apply(images, ids=ids, seed=seed, validate=validate)
