"""The corruptions restated in float64 NumPy from the published definitions; imports none of our code.

Images are uint8 or float64 in [0, 1], (N, C, H, W); draws are given, nothing is random here.
"""

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def unit(images: Array) -> Array:
    """uint8 levels to [0, 1]; floats as they are."""
    return images / 255.0 if images.dtype == np.uint8 else images.astype(np.float64)


def truncate(values: Array) -> Array:
    """[0, 1] to uint8 the way the generators do it: clip, times 255, drop the fraction."""
    levels: Array = np.clip(values, 0, 1) * 255
    return levels.astype(np.uint8)


def gaussian_noise(images: Array, z: Array, *, std: float) -> Array:
    return unit(images) + std * z.astype(np.float64)


def speckle_noise(images: Array, z: Array, *, std: float) -> Array:
    x = unit(images)
    return x + x * std * z.astype(np.float64)


def shot_noise(images: Array, counts: Array, *, rate: float) -> Array:
    return counts.astype(np.float64) / rate


def impulse_noise(images: Array, flipped: Array, salted: Array) -> Array:
    y = unit(images).copy()
    y[flipped & salted] = 1.0
    y[flipped & ~salted] = 0.0
    return y


def contrast(images: Array, *, factor: float) -> Array:
    x = unit(images)
    mean: Array = x.mean(axis=(2, 3), keepdims=True)
    return (x - mean) * factor + mean


def brightness(images: Array, *, value_shift: float) -> Array:
    """Through hue, saturation and value and back, pixel by pixel."""
    x = unit(images)
    if x.shape[1] == 1:
        return np.clip(x + value_shift, 0, 1)
    y = np.empty_like(x)
    for n, h, w in np.ndindex(x.shape[0], x.shape[2], x.shape[3]):
        hue, saturation, value = rgb_to_hsv(*x[n, :, h, w])
        y[n, :, h, w] = hsv_to_rgb(hue, saturation, min(max(value + value_shift, 0.0), 1.0))
    return y


def rgb_to_hsv(red: float, green: float, blue: float) -> tuple[float, float, float]:
    value = max(red, green, blue)
    spread = value - min(red, green, blue)
    if spread == 0:
        return 0.0, 0.0, value
    if blue == value:
        hue = 4 + (red - green) / spread
    elif green == value:
        hue = 2 + (blue - red) / spread
    else:
        hue = (green - blue) / spread
    return hue / 6 % 1, spread / value, value


def hsv_to_rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    sector = math.floor(6 * hue)
    f = 6 * hue - sector
    p = value * (1 - saturation)
    q = value * (1 - f * saturation)
    t = value * (1 - (1 - f) * saturation)
    return [(value, t, p), (q, value, p), (p, value, t), (p, q, value), (t, p, value), (value, p, q)][
        sector % 6
    ]


def hash_word(x: int) -> int:
    """The 32-bit multiply-xorshift hash "16 21f0aaad 15 d35a2d97 15"."""
    x ^= x >> 16
    x = x * 0x21F0AAAD & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0xD35A2D97 & 0xFFFFFFFF
    return x ^ x >> 15


def stream_words(image_id: int, *, name: str, severity: float, seed: int, draw: int, count: int) -> list[int]:
    """Unsigned words of one image, number by number, as `corruptions.random` describes them."""
    text = f"actrobust-stream-1/{seed}/{name}/{severity.hex()}/{draw}"
    digest = hashlib.sha256(text.encode()).digest()
    key = [int.from_bytes(digest[4 * i : 4 * i + 4], "little") for i in range(8)]
    left, right = image_id & 0xFFFFFFFF, image_id >> 32 & 0xFFFFFFFF
    for turn in range(4):
        left, right = right, left ^ hash_word((right + key[turn]) & 0xFFFFFFFF)
    words = []
    for position in range(count):
        mixed = hash_word((position + key[4]) & 0xFFFFFFFF)
        words.append(hash_word((mixed ^ left) * (right | 1) & 0xFFFFFFFF))
    return words
