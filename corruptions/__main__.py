"""Contact sheet of an image under the pixel corruptions: `python -m corruptions IMAGE -o sheet.png`.

One row per corruption, one column per severity, the image itself first.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, UnidentifiedImageError
from torch import Tensor

from . import corrupt, get_corruption, list_corruptions, list_tables
from .errors import InputError
from .severity import SEVERITIES, check_severity

GAP = 4
"""White pixels between images."""

LABEL_HEIGHT = 14
"""Pixels above each row for its name."""


def contact_sheet(
    image: Tensor,
    names: Sequence[str],
    *,
    severities: Sequence[float] = SEVERITIES,
    seed: int = 0,
    table: str | None = None,
) -> Image.Image:
    """Return a sheet of one image (C, H, W) uint8 under the named corruptions at the given severities.

    >>> sheet = contact_sheet(torch.zeros(3, 32, 32, dtype=torch.uint8), ["contrast"], severities=[1, 5])
    >>> sheet.size
    (112, 54)
    """
    columns = (0.0, *severities)
    height, width = image.shape[1:]
    row_height, column_width = height + LABEL_HEIGHT + GAP, width + GAP
    size = (len(columns) * column_width + GAP, len(names) * row_height + GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(names):
        top = GAP + row * row_height
        pen.text((GAP, top), name, fill="black")
        for column, severity in enumerate(columns):
            picture = corrupt(image[None], name, severity=severity, seed=seed, table=table)[0]
            rgb = picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
            sheet.paste(Image.fromarray(rgb), (GAP + column * column_width, top + LABEL_HEIGHT))
    return sheet


def _read(path: Path, *, size: int | None) -> Tensor:
    """Return the image as uint8 (3, H, W), its shorter side scaled and its centre cropped to `size`."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"Expected an image, found no file {path}.") from None
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"Expected an image that Pillow reads, got {path} ({error}).") from None
    if size is not None:
        scale = size / min(image.size)
        width, height = (max(size, round(side * scale)) for side in image.size)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        image = image.crop((left, top, left + size, top + size))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m corruptions", description=__doc__)
    parser.add_argument("image", type=Path, help="any image that Pillow reads")
    parser.add_argument("-o", "--out", type=Path, default=Path("sheet.png"), help="where the sheet goes")
    parser.add_argument("--corruption", default="*", help="wildcard of the corruptions shown (default: all)")
    parser.add_argument("--severity", default="1,2,3,4,5", help="comma-separated severities")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, help="resize and crop the image to this side first")
    parser.add_argument("--table", choices=list_tables(), help="severity constants (default: by image size)")
    return parser


def _severities(text: str) -> tuple[float, ...]:
    try:
        return tuple(check_severity(float(part)) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"Expected comma-separated severities, got {text!r} ({error})") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheet; return 0, or 2 for bad usage or input."""
    options = _parser().parse_args(arguments)
    names = [name for name in list_corruptions(options.corruption) if get_corruption(name).domain == "pixels"]
    try:
        if not names:
            raise InputError(f"Expected a wildcard that matches a corruption, got {options.corruption!r}.")
        image = _read(options.image, size=options.size)
        sheet = contact_sheet(
            image, names, severities=_severities(options.severity), seed=options.seed, table=options.table
        )
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sheet.save(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
