"""Counter-based random streams: each number is a pure function of where it is used.

A random integer depends on (seed, corruption, severity, image id, draw, position) and on nothing
else: no global generator, no order, no batch. It is made with 32-bit wrap-around integer operations,
so it is the same on every device, compiled or not.

1. SHA-256 of (seed, corruption, severity, draw) gives eight 32-bit key words.
2. Four Feistel rounds under these keys turn the 64-bit image id into a 64-bit key of the image. A
   Feistel network is a bijection, so two images of a cell never share their key.
3. The position in the image goes through an integer hash, is xor-ed with one half of the image's key,
   multiplied by the other half (made odd), and hashed again.

Floats come from these integers by operations that round alike everywhere: exact conversions, look-up
in a table, and products that float32 holds exactly, so that fusing a product with a sum changes nothing.
"""

import hashlib
import math
import struct
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import _tables
from ._compile import compiles_kernels, device_constant, kernel
from ._host import TILE, Levels, Tile, by_tiles, look_up, on_host, tiles
from ._words import HostWords, Words, words
from .errors import InputError

STREAM_VERSION = 1
"""Goes into every key: raise it when any random number changes."""


def check_seed(seed: object) -> int:
    """Return a seed as an int: a 64-bit integer, signed or not, of any type (NumPy's too).

    Anything else raises InputError: a bool, a float, a string.

    >>> check_seed(2**64 - 1) == 2**64 - 1
    True
    """
    if not isinstance(seed, bool) and isinstance(seed, Integral):
        number = int(seed)
        if -(2**63) <= number < 2**64:
            return number
    raise InputError(f"Expected a 64-bit integer as seed, got {seed!r}.")


class Stream:
    """The random numbers of one cell (corruption at one severity, under one seed) for some images.

    Every method returns a tensor (N, *shape) on the device of `ids`, and each call is a new draw:
    two equal calls return independent numbers, and the n-th draw of a stream is always the same.

    Parameters
    ----------
    ids : Tensor
        int64 (N,), the id of the image in each row. Any values; equal ids get equal numbers.
    name : str
        Name of the corruption.
    severity : float
        The severity; its float64 bits go into the key.
    seed : int
        Any 64-bit integer.

    Examples
    --------
    >>> ids = torch.tensor([7, 8])
    >>> stream = Stream(ids, name="fog", severity=3.0, seed=0)
    >>> stream.normal(3, 4).shape
    torch.Size([2, 3, 4])
    >>> alone = Stream(ids[1:], name="fog", severity=3.0, seed=0)
    >>> both = Stream(ids, name="fog", severity=3.0, seed=0)
    >>> torch.equal(alone.uniform(5), both.uniform(5)[1:])
    True
    """

    def __init__(self, ids: Tensor, *, name: str, severity: float, seed: int) -> None:
        self.ids = ids
        self._on_host = on_host(ids) and not compiles_kernels()
        self._key = f"actrobust-stream-{STREAM_VERSION}/{seed}/{name}/{float(severity).hex()}"
        self._draws = 0

    def bits(self, *shape: int) -> Tensor:
        """Return 32 random bits each, as int32 of either sign."""
        if self._on_host:
            return self._made(lambda drawn, tile: drawn.view(np.int32), shape, np.int32)
        return _bits(*self._source(), math.prod(shape)).view(len(self.ids), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """Return float32 uniform on [0, 1): multiples of 2**-24."""
        if self._on_host:
            return self._made(lambda drawn, tile: _host_uniform(drawn), shape, np.float32)
        return _uniform(*self._source(), math.prod(shape)).view(len(self.ids), *shape)

    def normal(self, *shape: int) -> Tensor:
        """Return float32 standard normals.

        The inverse distribution function by table, fine in both tails (see `_tables`): the largest
        possible magnitude is 6.23, at probability 2**-31.
        """
        return self._quantiles("normal", shape)

    def laplace(self, *shape: int) -> Tensor:
        """Return float32 Laplace numbers of mean 0 and variance 1."""
        return self._quantiles("laplace", shape)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Return int64 uniform on low, ..., high - 1 (bias below (high - low) * 2**-32)."""
        drawn = self.bits(*shape).to(torch.int64).bitwise_and_(0xFFFFFFFF)
        return drawn.mul_(high - low).bitwise_right_shift_(32).add_(low)

    def trials(self, probability: float, *shape: int) -> tuple[Tensor, Tensor]:
        """Return bool: whether trials of this probability succeeded; and fair coins, independent of that."""
        # One word serves both: its upper 24 bits and its lowest bit are independent.
        least = math.ceil(np.float32(probability * 2**24))
        if self._on_host:
            both = self._made(lambda drawn, tile: _host_trials(drawn, least), shape, np.bool_, of=2)
            return both[:, 0], both[:, 1]
        bits = self.bits(*shape)
        return ((bits >> 8) & 0xFFFFFF) < least, (bits & 1).bool()

    def poisson(self, images: Tensor, *, rate: float) -> Tensor:
        """Return int32 Poisson counts of mean images * rate, images in [0, 1] or uint8 (v / 255).

        Exact up to 2**-32 in probability: one word per value chooses a column of an alias table of
        the value's grey level. A float value, rounded to a multiple of 2**-14 grey levels,
        is a sum of three digits, and the sum of their Poisson counts is Poisson; a float image that
        holds v / 255 gets the counts of the uint8 image that holds v.
        """
        shape = images.shape[1:]
        if images.dtype == torch.uint8:
            return self._poisson_digit(images, rate / 255, 8).view(len(self.ids), *shape)
        fixed = (images.to(torch.float32) * (255 * 2**14)).round_().to(torch.int32)
        counts = self._poisson_digit(fixed >> 14, rate / 255, 8)
        counts += self._poisson_digit((fixed >> 7) & 127, rate / 255 / 2**7, 7)
        counts += self._poisson_digit(fixed & 127, rate / 255 / 2**14, 7)
        return counts.view(len(self.ids), *shape)

    def _next_key(self) -> tuple[int, ...]:
        digest = hashlib.sha256(f"{self._key}/{self._draws}".encode()).digest()
        self._draws += 1
        return struct.unpack("<8I", digest)

    def _source(self) -> tuple[Tensor, Tensor]:
        """Return the ids (N, 2) and the key of the next draw (8,), both int32, on the device."""
        # A clone, because `contiguous` leaves a single id its stride of 0, which `view` refuses.
        ids = self.ids.clone(memory_format=torch.contiguous_format).view(torch.int32).view(-1, 2)
        key = np.array(self._next_key(), dtype=np.uint32).view(np.int32)
        return ids, torch.tensor(key.tolist(), dtype=torch.int32, device=ids.device)

    def _made(
        self,
        make: Callable[[Words, Tile], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: Any,
        of: int | None = None,
    ) -> Tensor:
        """Return the next draw in host memory: make(words, tile) gets the words of a tile of (N, values).

        If `of` is given, it makes that many numbers of each word, (n, of, m).
        """
        ids, count = np.ascontiguousarray(self.ids.numpy()), math.prod(shape)
        drawn = HostWords(ids, self._next_key(), count)
        each = (count,) if of is None else (of, count)

        def make_tile(tile: Tile) -> NDArray[Any]:
            return make(drawn[tile], tile)

        parts = tiles(len(ids), count, values=TILE)
        numbers = by_tiles(make_tile, parts, (len(ids), *each), dtype)
        return torch.from_numpy(numbers.reshape(len(ids), *each[:-1], *shape))

    def _quantiles(self, distribution: _tables.Distribution, shape: tuple[int, ...]) -> Tensor:
        if self._on_host:
            return self._made(lambda drawn, tile: _host_quantiles(drawn, distribution), shape, np.float32)
        lines = device_constant(_tables.quantile_lines, distribution, device=self.ids.device)
        return _quantiles(*self._source(), math.prod(shape), lines).view(len(self.ids), *shape)

    def _poisson_digit(self, digits: Tensor, mean_per_unit: float, digit_bits: int) -> Tensor:
        flat = digits.flatten(1)
        if self._on_host:
            levels, row = flat.to(torch.uint8).numpy(), (mean_per_unit, digit_bits)
            return self._made(
                lambda drawn, tile: _host_poisson(drawn, levels[tile], *row), levels.shape[1:], np.int32
            )
        columns = _tables.poisson_column_bits(mean_per_unit, digit_bits)
        device = self.ids.device
        entries = device_constant(_tables.poisson_entries, mean_per_unit, digit_bits, device=device)
        starts = device_constant(_tables.poisson_starts, mean_per_unit, digit_bits, device=device)
        return _poisson(*self._source(), flat.to(torch.int32), entries, starts, column_bits=columns)


def _host_trials(drawn: Words, least: int) -> NDArray[np.bool_]:
    both = np.empty((len(drawn), 2, drawn.shape[1]), dtype=np.bool_)
    np.bitwise_and(drawn, 1, out=both[:, 1], casting="unsafe")
    drawn >>= 8
    np.less(drawn, np.uint32(least), out=both[:, 0])
    return both


def _host_uniform(drawn: Words) -> NDArray[np.float32]:
    drawn >>= 8
    uniform = drawn.view(np.int32).astype(np.float32)
    uniform *= np.float32(2.0**-24)
    return uniform


def _host_quantiles(drawn: Words, distribution: _tables.Distribution) -> NDArray[np.float32]:
    drawn |= 1
    cell = drawn.view(np.int32).astype(np.float32).view(np.uint32)  # see `_cells`
    offset = np.bitwise_and(cell, (1 << _tables.OFFSET_BITS) - 1, out=drawn).view(np.int32)
    cell >>= _tables.OFFSET_BITS
    line = _tables.quantile_lines(distribution).take(cell.view(np.int32), mode="clip").view(np.float32)
    numbers = offset.astype(np.float32)
    numbers *= line[:, 1::2]
    numbers += line[:, ::2]
    return numbers


def _host_poisson(drawn: Words, digits: Levels, mean_per_unit: float, digit_bits: int) -> NDArray[np.int32]:
    """Return the counts of `_poisson`."""
    column_bits = _tables.poisson_column_bits(mean_per_unit, digit_bits)
    share_bits = 32 - column_bits
    column = drawn >> share_bits
    row = digits.astype(np.uint32)
    row <<= column_bits
    row |= column
    entry = _tables.poisson_entries(mean_per_unit, digit_bits).view(np.uint32).take(row.view(np.int32))
    mask = (1 << share_bits) - 1
    drawn &= mask
    drawn -= entry & mask
    below = np.right_shift(drawn.view(np.int32), 31, out=drawn.view(np.int32)).view(np.uint32)
    entry >>= share_bits
    column ^= entry
    column &= below
    column ^= entry
    counts: NDArray[np.int32] = column.view(np.int32)
    counts += look_up(_tables.poisson_starts(mean_per_unit, digit_bits), digits)
    return counts


@kernel
def _bits(ids: Tensor, key: Tensor, count: int) -> Tensor:
    return words(ids, key, count)


@kernel
def _uniform(ids: Tensor, key: Tensor, count: int) -> Tensor:
    drawn = words(ids, key, count).bitwise_right_shift_(8).bitwise_and_(0xFFFFFF)
    return drawn.to(torch.float32).mul_(2.0**-24)


def _quantiles(ids: Tensor, key: Tensor, count: int, lines: Tensor) -> Tensor:
    cell, offset = _cells(ids, key, count)
    # Two float32 are looked up as one int64, in half the time; not compiled, which would take longer.
    line = torch.index_select(lines, 0, cell.view(-1)).view(torch.float32).view(*cell.shape, 2)
    left, slope = line.unbind(-1)
    return torch.addcmul(left, slope, offset)


@kernel
def _cells(ids: Tensor, key: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the cells of a quantile table hit by random numbers, and their offsets in the cells, float32."""
    # The exponent and the leading bits of an odd integer, read as a float32, are the table's index:
    # cells that are equally wide relative to the distance from the end of the distribution.
    cell = words(ids, key, count).bitwise_or_(1)
    offset = cell.to(torch.float32).view(torch.int32)
    torch.bitwise_right_shift(offset, _tables.OFFSET_BITS, out=cell)
    cell &= _tables.QUANTILE_CELLS - 1
    return cell, offset.bitwise_and_((1 << _tables.OFFSET_BITS) - 1).to(torch.float32)


@kernel
def _poisson(
    ids: Tensor, key: Tensor, digits: Tensor, entries: Tensor, starts: Tensor, *, column_bits: int
) -> Tensor:
    drawn = words(ids, key, digits.shape[1])
    share_bits = 32 - column_bits
    column = (drawn >> share_bits) & ((1 << column_bits) - 1)
    row = (digits << column_bits) | column
    entry = torch.index_select(entries, 0, row.view(-1)).view_as(row)
    mask = (1 << share_bits) - 1
    other = (entry >> share_bits) & ((1 << column_bits) - 1)
    # All ones where (drawn & mask) < (entry & mask): `where` takes three times as long.
    below = ((drawn & mask) - (entry & mask)) >> 31
    chosen = other ^ ((column ^ other) & below)
    return chosen + torch.index_select(starts, 0, digits.reshape(-1)).view_as(row)
