"""The random words behind the streams: 32 bits for each image and position, in torch and in NumPy.

Both make the same integers. NumPy has unsigned integers, so that a shift needs no mask, and it starts an
operation in a third of the time: for one image of 32 pixels it takes 20 us, torch 240.
"""

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._host import Tile

Words: TypeAlias = NDArray[np.uint32]

KEPT_POSITIONS = 2**20
"""Largest number of positions whose hashes are kept from one call to the next, 4 bytes each."""

_FACTORS = (0x21F0AAAD, 0xD35A2D97)
_MASK = 0xFFFFFFFF
_FEW = 4  # images whose keys Python's own integers make faster than arrays


def words(ids: Tensor, key: Tensor, count: int) -> Tensor:
    """Return int32 (N, count) random words from ids (N, 2) int32 and key (8,) int32."""
    left, right = ids[:, 0], ids[:, 1]
    for turn in range(4):
        left, right = right, left ^ _mix(right + key[turn])
    position = _mix(torch.arange(count, dtype=torch.int32, device=ids.device) + key[4])
    made = position[None, :] ^ left[:, None]
    made *= (right | 1)[:, None]
    return _mix(made)


class HostWords:
    """The same words in host memory, uint32 (N, count), made tile by tile.

    Parameters
    ----------
    ids : array
        int64 (N,).
    key : tuple of int
        Eight integers below 2**32.
    count : int
        Words for each image.
    """

    def __init__(self, ids: NDArray[np.int64], key: tuple[int, ...], count: int) -> None:
        halves: Words = ids.view(np.uint32).reshape(-1, 2)
        if len(ids) > _FEW:
            left, right = _image_key(halves[:, 0], halves[:, 1], key)
        else:
            keys = [_image_key(low, high, key) for low, high in halves.tolist()]
            left, right = np.array(keys, dtype=np.uint32).reshape(-1, 2).transpose()
        self._left, self._right = left[:, None], (right | np.uint32(1))[:, None]
        positions = _positions if count <= KEPT_POSITIONS else _positions.__wrapped__
        self._positions = positions(key[4], count)

    def __getitem__(self, tile: Tile) -> Words:
        rows, _, columns = tile
        made = self._positions[columns] ^ self._left[rows]
        made *= self._right[rows]
        return _mix_host(made)


def _image_key(left: Any, right: Any, key: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the key of an image from the halves of its id: Python's integers, or arrays for many images."""
    for turn in range(4):
        word = (right + key[turn]) & _MASK
        for shift, factor in zip((16, 15), _FACTORS, strict=True):
            word = ((word ^ (word >> shift)) * factor) & _MASK
        left, right = right, left ^ word ^ (word >> 15)
    return left, right


@lru_cache(maxsize=4)
def _positions(key: int, count: int) -> Words:
    positions = _mix_host(np.arange(count, dtype=np.uint32) + np.uint32(key))
    positions.setflags(write=False)
    return positions


def _mix_host(made: Words) -> Words:
    """Hash words in place, as `_mix` does."""
    shifted = np.right_shift(made, 16)
    made ^= shifted
    made *= np.uint32(_FACTORS[0])
    made ^= np.right_shift(made, 15, out=shifted)
    made *= np.uint32(_FACTORS[1])
    made ^= np.right_shift(made, 15, out=shifted)
    return made


def _mix(made: Tensor) -> Tensor:
    """Hash int32 words in place, a bijection (multiply-xorshift 16 21f0aaad 15 d35a2d97 15 of C. Wellons).

    int32 shifts keep the sign, so each is masked to the bits that a logical shift would leave.
    """
    shifted = made >> 16
    made ^= shifted.bitwise_and_(0xFFFF)
    made *= _FACTORS[0]
    torch.bitwise_right_shift(made, 15, out=shifted)
    made ^= shifted.bitwise_and_(0x1FFFF)
    made *= _FACTORS[1] - 2**32
    torch.bitwise_right_shift(made, 15, out=shifted)
    made ^= shifted.bitwise_and_(0x1FFFF)
    return made
