"""The lossy steps of JPEG in the integer arithmetic of libjpeg; entropy coding, lossless, is left out.

Images of levels in host memory go through libjpeg-turbo itself.

Blocks are handled as (8, 8, n): row, column, block. Each step of an 8-point transform is then one operation
on a long contiguous run, and integers make the result independent of order, batch and device, to the bit.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ._compile import device_constant, eager, kernel
from ._host import Levels, opencv

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Quantisation steps of Y at quality 50: row = vertical frequency (ITU-T T.81, table K.1)."""

CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99, 99, 99, 99, 99, 99, 99, 99)] * 4,
)
"""The same for Cb and Cr (table K.2)."""

SCALE_BITS = 13
"""Fraction bits of the cosines."""

LONGEST_SIDE = 65500
"""What libjpeg encodes."""

EXTRA_BITS = 2
"""Fraction bits kept between the two passes of a transform."""


def _fixed(value: float) -> int:
    return int(value * (1 << SCALE_BITS) + 0.5)


# The 8-point transform of Loeffler, Ligtenberg and Moschytz (ICASSP 1989), scaled by sqrt(8). The published
# decoders round its constants to integers and add products of them; these are the same sums, collected.
_A, _B, _C = _fixed(0.541196100), _fixed(0.765366865), _fixed(1.847759065)
_EVEN = ((_A + _B, _A), (_A, _A - _C))
"""From the two differences of even symmetry to the frequencies 2 and 6; and back: it is symmetric."""

_D = _fixed(1.175875602)
_E, _F, _G, _H = (_fixed(value) for value in (0.899976223, 2.562915447, 1.961570560, 0.390180644))
_K1, _K3, _K5, _K7 = (_fixed(value) for value in (1.501321110, 3.072711026, 2.053119869, 0.298631336))
_ODD = (
    (_K1 + _D - _E - _H, _D, _D - _H, _D - _E),
    (_D, _K3 + _D - _F - _G, _D - _F, _D - _G),
    (_D - _H, _D - _F, _K5 + _D - _F - _H, _D),
    (_D - _E, _D - _G, _D, _K7 + _D - _E - _G),
)
"""From the four differences of odd symmetry to the frequencies 1, 3, 5 and 7; and back."""


def quantisation_steps(quality: int, chroma: bool) -> NDArray[np.float32]:
    """Return the steps of an IJG `quality` from 1 to 100, (8, 8).

    >>> quantisation_steps(25, chroma=False)[0, :4]
    array([32., 22., 20., 32.], dtype=float32)
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = np.array(CHROMINANCE if chroma else LUMINANCE)
    steps: NDArray[np.float32] = np.clip((base * scale + 50) // 100, 1, 255).astype(np.float32)
    return steps


def jpeg(images: Tensor, *, quality: int) -> Tensor:
    """Return float images (N, C, H, W) in [0, 1] after JPEG of an IJG `quality`.

    Three channels: YCbCr with the chroma halved both ways (4:2:0); one channel: Y alone. Values are first
    rounded to 256 levels; the result is in levels / 255.
    """
    luma_steps, chroma_steps = (
        device_constant(quantisation_steps, quality, chroma, device=images.device)[:, :, None]
        for chroma in (False, True)
    )
    if images.shape[1] == 1:
        plane = _code_planes(_to_levels(images)[:, 0] - 128, luma_steps) + 128
        return (plane[:, None] / 255).to(images.dtype)
    luma, chroma = _to_ycc(images)
    return _to_rgb(_code_planes(luma, luma_steps), _code_planes(chroma, chroma_steps)).to(images.dtype)


def jpeg_levels(images: Levels, *, quality: int) -> Levels | None:
    """Return the same of levels (N, C, H, W) by the libjpeg-turbo in OpenCV, in a seventh of the time.

    None if the library is absent, refuses sides this long, or makes other levels than `jpeg`.
    """
    if max(images.shape[2:]) > LONGEST_SIDE or not _library_agrees():
        return None
    return _by_library(images, quality)


def _by_library(images: Levels, quality: int) -> Levels:
    library = opencv()
    made = np.empty_like(images)
    options = (library.IMWRITE_JPEG_QUALITY, quality)
    for image, target in zip(images, made, strict=True):
        if len(image) == 1:
            stored = library.imencode(".jpg", image[0], options)[1]
            target[0] = library.imdecode(stored, library.IMREAD_GRAYSCALE)
        else:  # OpenCV's pixels are blue, green, red
            stored = library.imencode(".jpg", library.merge(image[::-1]), options)[1]
            library.split(library.imdecode(stored, library.IMREAD_COLOR), list(target[::-1]))
    return made


@cache
def _library_agrees() -> bool:
    """Compare the library with `jpeg` on small images: others transform, enlarge or round differently."""
    if opencv() is None:
        return False
    ramps = np.arange(17 * 35).reshape(17, 35)
    colours = np.stack([ramps * 7 % 256, ramps * ramps % 251, ramps // 3]).astype(np.uint8)[None]
    for images in (colours, colours[:, :1]):
        for quality in (10, 40, 85):
            with eager():
                ours = jpeg(torch.from_numpy(images) / 255, quality=quality).mul_(255).round_()
            if not np.array_equal(_by_library(images, quality), ours.numpy()):
                return False
    return True


def _code_planes(planes: Tensor, steps: Tensor) -> Tensor:
    """Return planes of integers (N, H, W) restored from their blocks' quantised coefficients."""
    return _from_blocks(_code_blocks(_to_blocks(_pad(planes, 8, 8)), steps), planes.shape)


@kernel
def _code_blocks(blocks: Tensor, steps: Tensor) -> Tensor:
    return _inverse(_quantise(_forward(blocks), steps))


def _to_levels(images: Tensor) -> Tensor:
    """Return the nearest levels as float32: all that follows up to the transform is exact in it."""
    return (images * 255).round_().to(torch.float32)


@kernel
def _to_ycc(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return Y (N, H, W) and the halved Cb and Cr (2 N, ceil(H / 2), 8 ceil(W / 16)), all less 128.

    BT.601 in 16-bit fixed point.
    """
    red, green, blue = _to_levels(images).unbind(1)
    luma = _weighted((red, green, blue), (19595, 38470, 7471), 32768 - (128 << 16))
    first = _weighted((red, green, blue), (-11059, -21709, 32768), 32767)
    second = _weighted((red, green, blue), (32768, -27439, -5329), 32767)
    return luma, _halve(torch.cat([first, second]))


def _weighted(values: tuple[Tensor, ...], weights: tuple[int, ...], offset: int) -> Tensor:
    """Return floor((sum of weights * values + offset) / 2**16), exact while all sums are below 2**24."""
    total = _combine(tuple(weight * 2.0**-16 for weight in weights), values)
    return total.add_(offset * 2.0**-16).floor_()


@kernel
def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Return RGB (N, 3, H, W) in [0, 1] from the output of `_to_ycc`."""
    height, width = luma.shape[1:]
    first, second = _double(chroma[:, :, : (width + 1) // 2])[:, :height, :width].chunk(2)
    red = _weighted((second,), (91881,), 32768).add_(luma)
    green = _weighted((first, second), (-22554, -46802), 32768).add_(luma)
    blue = _weighted((first,), (116130,), 32768).add_(luma)
    return torch.stack([red, green, blue], dim=1).add_(128).clamp_(0, 255).div_(255)


def _pad(planes: Tensor, row_multiple: int, column_multiple: int) -> Tensor:
    """Return planes (N, H, W) with the last row and column repeated up to a multiple."""
    rows, columns = -planes.shape[1] % row_multiple, -planes.shape[2] % column_multiple
    if rows == columns == 0:
        return planes
    return F.pad(planes[:, None], (0, columns, 0, rows), mode="replicate")[:, 0]


def _halve(planes: Tensor) -> Tensor:
    """Return means of 2 x 2 pixels of planes (N, H, W); .5 rounds up in odd columns only, against a drift.

    Like the encoder, it repeats columns to a multiple of 16 before, rows (here, to a multiple of 2) only
    after the means are taken: (N, ceil(H / 2), 8 ceil(W / 16)).
    """
    padded = _pad(planes, 2, 16)
    rows = padded[:, 0::2] + padded[:, 1::2]
    total = rows[..., 0::2] + rows[..., 1::2]
    bias = torch.arange(total.shape[-1], device=total.device) % 2 + 1
    return total.add_(bias).mul_(0.25).floor_()


def _double(planes: Tensor) -> Tensor:
    """Return planes (N, h, w) at twice the size: weights 3/4 and 1/4 along each axis, edges repeated.

    Even columns are rounded half up, odd ones half down.
    """
    padded = F.pad(planes[:, None], (1, 1, 1, 1), mode="replicate")[:, 0].mul_(1 / 16)
    above, middle, below = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    rows = [torch.add(other, middle, alpha=3) for other in (above, below)]
    columns = torch.stack(rows, dim=2).flatten(1, 2)
    left, middle, right = columns[..., :-2], columns[..., 1:-1], columns[..., 2:]
    pairs = [
        torch.add(left, middle, alpha=3).add_(8 / 16).floor_(),
        torch.add(right, middle, alpha=3).add_(7 / 16).floor_(),
    ]
    return torch.stack(pairs, dim=3).flatten(2, 3)


def _to_blocks(planes: Tensor) -> Tensor:
    """Return planes of integers (N, 8 a, 8 b) as int32 blocks (8, 8, N a b)."""
    rows, columns = planes.shape[1] // 8, planes.shape[2] // 8
    blocks = planes.to(torch.int32).view(-1, rows, 8, columns, 8)
    return blocks.permute(2, 4, 0, 1, 3).reshape(8, 8, -1)


def _from_blocks(blocks: Tensor, shape: torch.Size) -> Tensor:
    """Return planes of the given shape from blocks (8, 8, n) that cover them."""
    rows, columns = -(-shape[1] // 8), -(-shape[2] // 8)
    planes = blocks.reshape(8, 8, -1, rows, columns).permute(2, 3, 0, 4, 1)
    return planes.reshape(-1, 8 * rows, 8 * columns)[:, : shape[1], : shape[2]]


def _combine(weights: tuple[float, ...], values: tuple[Tensor, ...]) -> Tensor:
    total = values[0] * weights[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total.add_(value, alpha=weight)
    return total


def _descale(values: Tensor, bits: int) -> Tensor:
    return values.add_(1 << (bits - 1)).bitwise_right_shift_(bits)


def _forward(blocks: Tensor) -> Tensor:
    """Return 8 times the DCT of blocks (8, 8, n), rounded: along the rows, then along the columns."""
    rows = _forward_pass(blocks.unbind(1), dim=1, bits=SCALE_BITS - EXTRA_BITS)
    return _forward_pass(rows.unbind(0), dim=0, bits=SCALE_BITS + EXTRA_BITS)


def _forward_pass(x: tuple[Tensor, ...], *, dim: int, bits: int) -> Tensor:
    sums = [x[i] + x[7 - i] for i in range(4)]
    differences = tuple(x[i] - x[7 - i] for i in range(4))
    outer, inner = sums[0] + sums[3], sums[1] + sums[2]
    turned = (sums[0] - sums[3], sums[1] - sums[2])
    odd = [_combine(weights, differences) for weights in _ODD]
    unit = 1 << SCALE_BITS
    even = [
        (outer + inner) * unit,
        _combine(_EVEN[0], turned),
        (outer - inner) * unit,
        _combine(_EVEN[1], turned),
    ]
    frequencies = [value for pair in zip(even, odd, strict=True) for value in pair]
    return _descale(torch.stack(frequencies, dim), bits)


def _quantise(coefficients: Tensor, steps: Tensor) -> Tensor:
    """Return multiples of the steps from 8 times the coefficients; ties go away from zero.

    The quotients of these integers are at least 2**-11 / steps away from a tie or on it, and below 2**12:
    a factor of 1 + 2**-20 takes ties over the edge and nothing else.
    """
    quotient = coefficients * ((1 + 2.0**-20) / (8 * steps))
    return (quotient.round_() * steps).to(torch.int32)


def _inverse(coefficients: Tensor) -> Tensor:
    """Return levels less 128, float32, from coefficients (8, 8, n): along columns, then along rows."""
    columns = _inverse_pass(coefficients.unbind(0), dim=0, bits=SCALE_BITS - EXTRA_BITS)
    values = _inverse_pass(columns.unbind(1), dim=1, bits=SCALE_BITS + EXTRA_BITS + 3)
    return values.clamp_(-128, 127).to(torch.float32)


def _inverse_pass(x: tuple[Tensor, ...], *, dim: int, bits: int) -> Tensor:
    unit = 1 << SCALE_BITS
    first, second = (x[0] + x[4]) * unit, (x[0] - x[4]) * unit
    turned = [_combine(weights, (x[2], x[6])) for weights in _EVEN]
    even = [first + turned[0], second + turned[1], second - turned[1], first - turned[0]]
    odd = [_combine(weights, (x[1], x[3], x[5], x[7])) for weights in _ODD]
    left = [one + other for one, other in zip(even, odd, strict=True)]
    right = [one - other for one, other in zip(even, odd, strict=True)]
    return _descale(torch.stack([*left, *reversed(right)], dim), bits)
