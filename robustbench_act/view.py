"""How a picture becomes an image of a fixed size."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from robustbench_act.errors import InputError, unknown_name

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class View:
    """How a picture becomes an image of a fixed size: it is resized, then its centre is cut out.

    Attributes
    ----------
    resize
        Shorter side in pixels, or height and width, which change the proportions; antialiased as by
        `torchvision.transforms.Resize`. None: not resized.
    crop
        Side of the central square in pixels; None: not cropped.
    interpolation
        "nearest", "bilinear", "bicubic" or "lanczos".
    source
        Where the setting comes from, for the record.

    Examples
    --------
    >>> str(View(resize=256, crop=224))
    'resized to 256, centre of 224 x 224, bilinear'
    >>> str(View(resize=(224, 224), crop=224))
    'resized to 224 x 224, bilinear'
    """

    resize: int | tuple[int, int] | None = None
    crop: int | None = None
    interpolation: str = "bilinear"
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", self.interpolation, INTERPOLATIONS)
        for side in (*(self.resize if isinstance(self.resize, tuple) else (self.resize,)), self.crop):
            if side is not None and side < 1:
                raise InputError(f"Expected resize and crop of at least 1 pixel, got {side}.")

    def __str__(self) -> str:
        size = " x ".join(map(str, self.resize)) if isinstance(self.resize, tuple) else self.resize
        resized = f"resized to {size}, " if self.resize else ""
        whole = self.resize == (self.crop, self.crop)
        cropped = f"centre of {self.crop} x {self.crop}, " if self.crop and not whole else ""
        return f"{resized}{cropped}{self.interpolation}" if resized or cropped else "as it is"

    def to_record(self) -> dict[str, Any]:
        """Return the settings as run.json gives them back: two sides are a list.

        >>> View((224, 224), 224).to_record()["resize"]
        [224, 224]
        """
        sides = list(self.resize) if isinstance(self.resize, tuple) else self.resize
        return {**asdict(self), "resize": sides}

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size (H, W) of a picture of this size after the view."""
        return (self.crop, self.crop) if self.crop else self.resized(height, width)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size (H, W) after resizing, before the crop."""
        if not self.resize:
            return height, width
        if isinstance(self.resize, tuple):
            return self.resize
        long = int(self.resize * max(height, width) / min(height, width))
        return (self.resize, long) if height <= width else (long, self.resize)

    def apply(self, picture: Image.Image) -> Image.Image:
        """Return the picture resized and cropped."""
        from torchvision.transforms.v2 import InterpolationMode  # noqa: PLC0415 - takes a second to load
        from torchvision.transforms.v2 import functional as transforms  # noqa: PLC0415

        height, width = self.resized(picture.height, picture.width)
        if height * width > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise ValueError(f"{picture.height} x {picture.width} pixels become {height} x {width}")
        if self.resize:
            mode = InterpolationMode(self.interpolation)
            sides = self.resize if isinstance(self.resize, tuple) else (self.resize,)
            picture = transforms.resize(picture, list(sides), interpolation=mode)
        if not self.crop:
            return picture
        if min(picture.size) < self.crop:
            width, height = picture.size
            raise ValueError(f"{height} x {width} pixels, smaller than the crop of {self.crop} x {self.crop}")
        return transforms.center_crop(picture, [self.crop, self.crop])  # type: ignore[no-any-return]
