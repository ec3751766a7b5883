"""The published generators' random numbers in the form of our own draws, for checks of conformity."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .base import Noise


def pinned_noise(corruption: Any, draws: NDArray[Any], shape: Sequence[int]) -> Noise:
    """Return the noise for `corruption.apply` from the published generator's draws for images of `shape`.

    `draws` (N, L) are unit draws in the order in which the generator draws them.
    """
    flat = torch.from_numpy(draws.astype(np.int64 if draws.dtype.kind in "iu" else np.float32))
    return _PINNED_NOISE[corruption.name](corruption, flat, shape)


def _normal_values(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    return {"z": _values(draws, shape)}


def _poisson_counts(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    return {"counts": _values(draws, shape)}


def _impulses(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    flipped, salted = (_values(half.bool(), shape) for half in draws.chunk(2, dim=1))
    return {"flipped": flipped, "salted": salted}


def _values(draws: Tensor, shape: Sequence[int]) -> Tensor:
    """Return draws in the order row, column, channel as (N, C, H, W)."""
    count, channels, height, width = shape
    return draws.view(count, height, width, channels).permute(0, 3, 1, 2).contiguous()


def _offsets(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    """Pairs (column, row) in the order of the visits: pass, rows from the last, columns from the last."""
    height, width = (side - 2 * corruption.max_delta for side in shape[2:])
    pairs = draws.view(shape[0], -1, height, width, 2).flip(2, 3)
    return {"offsets": pairs.permute(0, 1, 4, 2, 3).flip(2).contiguous()}


def _angle(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    return {"u": draws[:, 0]}


def _snow(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    return {"z": draws[:, :-1].view(shape[0], 1, *shape[2:]), "u": draws[:, -1]}


def _layer(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    return {"z": draws.view(shape[0], 1, *shape[2:])}


def _frost(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    return dict(zip(("texture", "row", "column"), draws.long().unbind(1), strict=True))


def _fog(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    return {"u": draws}


def _elastic(corruption: Any, draws: Tensor, shape: Sequence[int]) -> Noise:
    """Six jitters if there is an affine map, then two fields."""
    count, _, height, width = shape
    split = draws.shape[1] - 2 * height * width
    anchors = draws[:, :split] if split else torch.zeros(count, 6)
    return {"anchors": anchors.view(count, 3, 2), "field": draws[:, split:].view(count, 2, height, width)}


_PINNED_NOISE: dict[str, Callable[[Any, Tensor, Sequence[int]], Noise]] = {
    "gaussian_noise": _normal_values,
    "shot_noise": _poisson_counts,
    "impulse_noise": _impulses,
    "speckle_noise": _normal_values,
    "glass_blur": _offsets,
    "motion_blur": _angle,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "elastic_transform": _elastic,
    "spatter": _layer,
}
