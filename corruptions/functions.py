"""Corruptions from functions of one image: NumPy in, NumPy out, as image libraries have them."""

import hashlib
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, make_dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._host import Levels
from .base import Corruption, HostNoise, Noise
from .code import in_one_line, source_digest
from .constants import Severities, read_constants
from .errors import InputError
from .facts import OWN_GROUP
from .random import Stream
from .registry import register


def from_function(
    function: Callable[..., Any],
    *,
    name: str,
    severities: Severities,
    group: str = OWN_GROUP,
    units: Mapping[str, str] | None = None,
) -> type[Corruption]:
    """Register a function of one image as a corruption, and return its class.

    Parameters
    ----------
    function : callable
        Called as ``function(image, rng, **constants)`` with an image, uint8 (H, W, C), C 1 or 3, that it must
        not write to, a `numpy.random.Generator` with a seed of this image's own, and the constants of a
        severity. It returns the corrupted image, uint8 (H, W, C). Random numbers must come from `rng` alone.
    name : str
        Name of the corruption.
    severities, units
        See `Corruption`: constants by field, or a TOML file.
    group : str
        One of `corruptions.GROUPS`, or a word of your own.

    Returns
    -------
    type[Corruption]
        Float images are rounded to 256 levels for it. Images on a GPU go through the host, with a warning.

    Raises
    ------
    InputError
        If the name is taken, or the function does not take the constants; when it is called, if it raises,
        returns something else, or writes into its input.

    Examples
    --------
    >>> import torch, corruptions
    >>> def streaks(image, rng, count):
    ...     streaked = image.copy()
    ...     streaked[:, rng.integers(image.shape[1], size=count)] = 255
    ...     return streaked
    >>> Streaks = from_function(streaks, name="streaks", severities={"count": (1, 2, 3, 5, 8)})
    >>> Streaks.at(5, table="any")
    streaks(count=8)
    >>> black = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    >>> corruptions.corrupt(black, "streaks", severity=1).sum() == 2 * 3 * 32 * 255
    tensor(True)
    >>> from corruptions.registry import forget
    >>> forget("streaks")
    """
    if not callable(function):
        raise InputError(f"Corruption {name!r}: expected a function, got {type(function).__name__}.")
    constants = read_constants(name, severities, units or {})["fields"][name]
    try:
        inspect.signature(function).bind(None, None, **dict.fromkeys(constants))
    except TypeError as error:
        call = ", ".join(["image", "rng", *(f"{field}=..." for field in constants)])
        raise InputError(
            f"Corruption {name!r}: expected a function to call with ({call}): {error}."
        ) from None
    except ValueError:  # a function of C may have no signature
        pass
    home = sys._getframe(1).f_globals.get("__name__", "__main__")
    members = {"name": name, "group": group, "severities": severities, "units": units or {}, "home": home}
    kind: Any = make_dataclass(
        getattr(function, "__name__", type(function).__name__),
        [(field, Any) for field in constants],
        bases=(FunctionCorruption,),
        namespace={**members, "function": staticmethod(function), "__module__": home},
        frozen=True,
    )
    return register(kind)  # type: ignore[no-any-return]


class FunctionCorruption(Corruption):
    """What `from_function` makes: each image goes through `function`, with a generator of its own."""

    function: ClassVar[Callable[..., Any]]

    @classmethod
    def code_digest(cls) -> str:
        """Return the SHA-256 of the source code of the module that registers it and of the function's."""
        own = source_digest(cls) + source_digest(cls.function)
        return hashlib.sha256(own.encode()).hexdigest()

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return `seeds`, int32 (N, 4), and `ids`, int64 (N,)."""
        return {"seeds": stream.bits(4), "ids": stream.ids}

    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return what the function makes of each image, rounded to 256 levels."""
        if images.device.type != "cpu":
            _say_host(self.name)
        levels = (images * 255).round_().to(torch.uint8).cpu().numpy()
        arrays = {name: numbers.cpu().numpy() for name, numbers in noise.items()}
        return torch.from_numpy(self.levels(levels, arrays)).to(images).div_(255)

    def levels(self, images: Levels, noise: HostNoise) -> Levels:
        """Return the same, without rounding."""
        pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        ones = zip(pixels, noise["seeds"].view(np.uint32), noise["ids"].tolist(), strict=True)
        made = [self._of(*one) for one in ones]
        return np.ascontiguousarray(np.stack(made).transpose(0, 3, 1, 2)) if made else images.copy()

    def _of(self, levels: NDArray[np.uint8], seed: NDArray[np.uint32], number: int) -> NDArray[np.uint8]:
        where = f"Corruption {self.name!r}, {self!r}, image {number}"
        image = levels.copy()
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed.tolist())))
        constants = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        try:
            made = type(self).function(image, rng, **constants)
        except Exception as error:  # it is the user's code: anything may go wrong in it
            raise InputError(f"{where}: the function raised {in_one_line(error)}") from error
        if not np.array_equal(image, levels):
            raise InputError(f"{where}: the function writes into its input; let it work on image.copy().")
        if not isinstance(made, np.ndarray):
            raise InputError(f"{where}: expected a uint8 array, got {type(made).__name__}.")
        if made.ndim == 2 and levels.shape[2] == 1:
            made = made[..., None]
        if made.shape != levels.shape or made.dtype != np.uint8:
            nan = " with NaN" if made.dtype.kind == "f" and np.isnan(made).any() else ""
            raise InputError(
                f"{where}: expected uint8 {levels.shape} of the function, got {made.dtype} {made.shape}{nan}."
            )
        checked: NDArray[np.uint8] = made
        return checked


@cache
def _say_host(name: str) -> None:
    warnings.warn(
        f"Corruption {name!r} works on the host: its images leave the GPU and return.", stacklevel=2
    )
