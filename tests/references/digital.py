"""Digital corruptions restated in float64 from the published definitions; imports none of our code.

Images are float64 in [0, 1] or levels, (H, W) or (H, W, C); draws are given, nothing is random here.
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from .corruptions import hsv_to_rgb, rgb_to_hsv

Array = NDArray[Any]

LUMINANCE = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""


def pillow_pixelate(levels: Array, *, scale: float) -> Array:
    """Reduce and enlarge uint8 (H, W) or (H, W, 3) with Pillow's BOX filter."""
    height, width = levels.shape[:2]
    reduced = (max(1, int(width * scale)), max(1, int(height * scale)))
    small = Image.fromarray(levels).resize(reduced, Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BOX))


def pillow_jpeg(levels: Array, *, quality: int) -> Array:
    """Store uint8 (H, W) or (H, W, 3) as JPEG with Pillow and read it again."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def grey_jpeg(levels: Array, *, quality: int) -> Array:
    """JPEG of levels (8 a, 8 b) by the definition: orthonormal DCT, quantisation, back, rounded."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.clip((np.array(LUMINANCE.split(), dtype=int).reshape(8, 8) * scale + 50) // 100, 1, 255)
    decoded = np.empty(levels.shape)
    for row in range(0, levels.shape[0], 8):
        for column in range(0, levels.shape[1], 8):
            block = levels[row : row + 8, column : column + 8] - 128.0
            coefficients = np.round(fft.dctn(block, norm="ortho") / steps) * steps
            decoded[row : row + 8, column : column + 8] = fft.idctn(coefficients, norm="ortho") + 128
    return np.clip(np.round(decoded), 0, 255)


def affine(image: Array, moved: Array, anchors: Array) -> Array:
    """Warp (H, W) so that what was at `anchors` (3, 2), x before y, lies at `moved`; places in 1/32 pixel."""
    inverse = np.linalg.solve(np.column_stack([moved, np.ones(3)]), anchors)
    y, x = np.indices(image.shape)
    places = []
    for slope_x, slope_y, offset in (inverse[:, 1], inverse[:, 0]):
        fixed = np.round(slope_x * x * 1024) + np.round((slope_y * y + offset) * 1024)
        places.append(np.floor((fixed + 16) / 32) / 32)
    warped: Array = ndimage.map_coordinates(image, places, order=1, mode="mirror")
    return warped


def displace(image: Array, field: Array, *, alpha: float, sigma: float | tuple[float, float]) -> Array:
    """Sample (H, W) where the smoothed `field` (2, H, W), x before y, says."""
    dx, dy = (ndimage.gaussian_filter(each, sigma, truncate=3, mode="reflect") * alpha for each in field)
    y, x = np.indices(image.shape)
    displaced: Array = ndimage.map_coordinates(image, [y + dy, x + dx], order=1, mode="reflect")
    return displaced


def saturate(colour: Array, *, factor: float, shift: float) -> Array:
    """One RGB colour through hue, saturation and value and back."""
    hue, saturation, value = rgb_to_hsv(*colour)
    return np.array(hsv_to_rgb(hue, min(max(saturation * factor + shift, 0.0), 1.0), value))
