"""Image processors of transformers as a view and a normalisation: found out by what they do to pictures."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robustbench_act.errors import first_line
from robustbench_act.view import View

CONFIG = "preprocessor_config.json"
_INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_EXPRESSED = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
_LEVIT = 256 / 224  # LeViT's processor enlarges the side that it is told by this factor
_ROUNDING = 2.0  # of 255 levels: Pillow and torchvision may differ by so much when they resize
_NEAR = 1e-5  # share by which a setting in the file may differ from what is seen

_ADVICE = "set --mean, --std, --resize and --crop"

_Pixels = NDArray[np.float64]
_Process = Callable[[Image.Image], _Pixels]


@dataclass(frozen=True)
class Processor:
    """What an image processor does.

    Attributes
    ----------
    facts
        Fields of `Spec`: mean, std and, if it resizes or crops, input_size, resize and interpolation.
    view
        How it resizes and crops; None if it does not.
    problem
        Why a spec cannot express it, and then there are no facts; "" if one can.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    view: View | None = None
    problem: str = ""


def read_processor(folder: Path, where: Path, library: Any, *, channels: int) -> Processor:
    """Return what the image processor in a folder does to pictures of so many channels (1 or 3).

    Its file holds settings that each class of transformers uses in its own way. So the ways are tried on a
    wide and a tall picture, and the one that gives the same pixels counts.
    """
    try:
        with quiet(library):
            return _read(folder, f"{where}/{CONFIG}", library, channels)
    except Exception as error:  # of the library: the file may hold anything
        reason = f"transformers cannot use it ({first_line(error)})"
        return Processor(problem=f"{where}/{CONFIG}: {reason}; {_ADVICE}")


def _read(folder: Path, where: str, library: Any, channels: int) -> Processor:
    own = library.AutoImageProcessor.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )

    def process(picture: Image.Image) -> _Pixels:
        return np.asarray(own(images=picture, return_tensors="pt")["pixel_values"][0], dtype=np.float64)

    return _found(own.to_dict(), process, where, channels)


@contextmanager
def quiet(library: Any) -> Iterator[None]:
    """Let the library print neither warnings nor bars; its settings are as before afterwards."""
    logging = library.utils.logging
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _found(told: Mapping[str, Any], process: _Process, where: str, channels: int) -> Processor:
    more = [key for key, value in told.items() if key.startswith("do_") and value and key not in _EXPRESSED]
    named = f" ({', '.join(more)})" if more else ""
    problem = (
        f"{where}: {told.get('image_processor_type')} does more than resize, cut out the centre and normalise"
        f"{named}; {_ADVICE}"
    )
    pictures = _pictures(_largest_side(told), channels)
    seen = [process(picture) for picture in pictures]
    (_, height, width), other = seen[0].shape, seen[1].shape
    mean, std = _normalisation(told, process, pictures[0], channels)
    views = [View()] if seen[0].shape[1:] == (pictures[0].height, pictures[0].width) else []
    if height == width and seen[0].shape == other:
        views = [View(*way, source=where) for way in _ways(told, height)]
    for view in views:
        if all(_agree(view, *pair, mean, std) for pair in zip(pictures, seen, strict=True)):
            break
    else:
        return Processor(problem=problem)
    facts: dict[str, Any] = {"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}
    if view.crop is None:
        return Processor(facts)
    facts |= {"input_size": (channels, height, width), "interpolation": view.interpolation}
    return Processor({**facts, "resize": view.resize}, view)


def _largest_side(told: Mapping[str, Any]) -> int:
    sizes = [size for key in ("size", "crop_size") if isinstance(size := told.get(key), Mapping)]
    return max([32, *(int(side) for size in sizes for side in size.values() if side)])


def _pictures(side: int, channels: int) -> list[Image.Image]:
    """Return a wide and a tall picture larger than `side`: slow waves, different in each channel."""
    found = []
    for height, width in ((side * 6 // 5, side * 8 // 5), (side * 9 // 5, side * 6 // 5)):
        y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
        waves = [
            127 + 100 * np.sin(5 * x + (3 - 2 * channel) * 3 * y + channel) for channel in range(channels)
        ]
        pixels = np.stack(waves, axis=2).round().astype(np.uint8)
        found.append(Image.fromarray(pixels if channels == 3 else pixels[:, :, 0]))
    return found


def _normalisation(
    told: Mapping[str, Any], process: _Process, like: Image.Image, channels: int
) -> tuple[_Pixels, _Pixels]:
    """Return mean and std on the [0, 1] scale, by what becomes of black and of white: those told, if near."""
    black, white = (
        process(Image.new(like.mode, like.size, level if channels == 1 else (level,) * channels))
        for level in (0, 255)
    )
    low, high = (pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2] for pixels in (black, white))
    std = 1 / (high - low)
    scale = 255 * (told.get("rescale_factor", 1 / 255) if told.get("do_rescale") else 1)
    normal = bool(told.get("do_normalize"))
    likely = [
        np.broadcast_to(np.asarray(told.get(key) if normal else usual, dtype=np.float64) / scale, channels)
        for key, usual in (("image_mean", 0.0), ("image_std", 1.0))
    ]
    near = [np.abs(own - seen) < _NEAR * std for own, seen in zip(likely, (-low * std, std), strict=True)]
    return (likely[0], likely[1]) if np.all(near) else ((-low * std).round(7), std.round(7))


def _ways(told: Mapping[str, Any], side: int) -> Iterator[tuple[Any, int, str]]:
    """Yield what the settings may mean: resize, crop and interpolation of a view that ends in this side."""
    interpolation = _INTERPOLATIONS.get(told.get("resample", 2))
    size, share = told.get("size") or {}, told.get("crop_pct")
    if not told.get("do_resize"):
        yield None, side, "bilinear"
        return
    if interpolation is None:
        return
    if size.get("height"):
        yield (size["height"], size["width"]), side, interpolation
    if short := size.get("shortest_edge"):
        shares = [1.0, _LEVIT, *([1 / share] if share else [])]
        yield from ((int(short * factor), side, interpolation) for factor in shares)
        yield (short, short), side, interpolation


def _agree(view: View, picture: Image.Image, seen: _Pixels, mean: _Pixels, std: _Pixels) -> bool:
    """Tell whether a view and a normalisation give the pixels that the processor gives.

    They may be moved by one pixel: an odd margin has no centre (torchvision rounds its half, transformers
    rounds down), and libraries take different nearest pixels.
    """
    try:
        shown = np.asarray(view.apply(picture), dtype=np.float64)
    except ValueError:  # smaller than the crop
        return False
    shown = shown.reshape(*shown.shape[:2], -1).transpose(2, 0, 1)
    wanted = seen * std[:, None, None] + mean[:, None, None]
    slope = max(float(np.abs(np.diff(shown, axis=axis)).max()) for axis in (1, 2))
    return shown.shape == wanted.shape and bool(np.abs(shown - 255 * wanted).max() <= _ROUNDING + slope)
