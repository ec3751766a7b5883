"""Weather: what light and air do between the scene and the camera."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ._color import shift_value
from .base import Corruption, Noise
from .registry import register


@register
@dataclass(frozen=True)
class Brightness(Corruption):
    """More light: V of HSV becomes clip(V + value_shift, 0, 1) (Hendrycks & Dietterich 2019).

    Parameters
    ----------
    value_shift : float
        Added to V, on the image scale [0, 1].
    """

    name: ClassVar[str] = "brightness"
    group: ClassVar[str] = "weather"

    value_shift: float

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the images with V shifted."""
        return shift_value(images, self.value_shift)
