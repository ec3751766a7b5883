"""Contact sheet of an image under the pixel corruptions: `python -m corruptions IMAGE -o sheet.png`.

One row per corruption, one column per severity, the image itself first. `python -m corruptions conform`
prints how close the corruptions come to the published generators instead.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, UnidentifiedImageError
from torch import Tensor

from . import conformity, corrupt, get_corruption, list_tables
from .code import in_one_line
from .conformity import Conformity, Distances, Pixels, check
from .errors import InputError
from .facts import matching_corruptions
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
    parser.add_argument("-o", "--out", type=Path, default=Path("sheet.png"), help="file to write")
    parser.add_argument(
        "--corruption", default="*", help="names or wildcards, comma-separated (default: all)"
    )
    parser.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="module of yours that registers corruptions; repeatable",
    )
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


def _pixel_corruptions(patterns: str) -> list[str]:
    names = matching_corruptions(patterns.split(","))
    found = [name for name in names if get_corruption(name).domain == "pixels"]
    if not found:
        raise InputError(f"Expected corruptions of pixels, got {patterns!r}: these act on a network's input.")
    return found


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        try:
            import_module(module)
        except Exception as error:  # it is the user's code: anything may go wrong in it
            raise InputError(f"--import {module!r}: importing it raised {in_one_line(error)}.") from error


def _write_sheet(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if Image.registered_extensions().get(options.out.suffix.lower()) not in Image.SAVE:
        raise InputError(f"Expected a picture to write, such as sheet.png, got {options.out}.")
    _import(options.modules)
    names = _pixel_corruptions(options.corruption)
    image = _read(options.image, size=options.size)
    sheet = contact_sheet(
        image, names, severities=_severities(options.severity), seed=options.seed, table=options.table
    )
    _save(sheet, options.out)
    return 0


def _save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet; make its folder if it is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from None


HEADER = (
    f"{'reference':17s}{'table':17s}{'corruption':18s}{'check':7s}{'within 1':>9s}{'mean':>8s}{'max':>4s}"
    f"{'PSNR':>6s}{'|z| med':>9s}{'> 2.8':>7s}{'max':>5s}"
)
"""Header of `conformity_line`: a share, levels, levels, dB, and statistics of |z|."""


def conformity_line(line: Conformity) -> str:
    """Return one line of the printed conformity report, without a line break.

    >>> conformity_line(Conformity("fog", "32", "golden", "own", distances=Distances(360, 0.5, 0.01, 3.2)))
    'golden           32               fog               own ...     0.50   1.0%  3.2  PASS'
    """
    head = f"{line.reference:17s}{line.table:17s}{line.corruption:18s}{line.kind:7s}"
    verdict = "PASS" if line.passed else "FAIL"
    return f"{head}{_pixel_columns(line.pixels)}{_distance_columns(line.distances)}  {verdict}"


def _pixel_columns(pixels: Pixels | None) -> str:
    if pixels is None:
        return " " * 27
    return f"{pixels.within_one:9.3%}{pixels.mean:8.4f}{pixels.largest:4d}{pixels.psnr:6.1f}"


def _distance_columns(distances: Distances | None) -> str:
    if distances is None:
        return " " * 21
    return f"{distances.median:9.2f}{distances.tail:7.1%}{distances.largest:5.1f}"


def _conform_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m corruptions conform", description=conformity.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="also compare with a folder of arrays made by the published scripts",
    )
    parser.add_argument("--corruption", default="*", help="wildcard of the corruptions (default: all)")
    parser.add_argument("--draws", type=int, default=20, help="draws of the package per cell (default: 20)")
    parser.add_argument("--no-package", action="store_true", help="leave the imagecorruptions package out")
    return parser


def _conform(arguments: Sequence[str]) -> int:
    options = _conform_parser().parse_args(arguments)
    if options.draws < 2:
        raise InputError(f"Expected at least 2 draws, got {options.draws}.")
    names = _pixel_corruptions(options.corruption)
    failed = 0
    sys.stdout.write(f"{HEADER}\n")
    for line in check(names, golden=options.golden, package=not options.no_package, draws=options.draws):
        sys.stdout.write(f"{conformity_line(line)}\n")
        sys.stdout.flush()
        failed += not line.passed
    for name, scalars in conformity.LAST_BIT.items():
        sys.stdout.write(f"not judged in {name}, own: {', '.join(scalars)}\n")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheet or print the report; return 0, 1 if a line of the report failed, 2 for bad usage."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _conform(given[1:]) if given[:1] == ["conform"] else _write_sheet(given)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
