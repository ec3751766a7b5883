"""The base class of corruptions: it checks images, draws random numbers and renders the result."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any, ClassVar, Self, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import severity as severities
from ._compile import compiles_kernels, eager, kernel, with_own_code
from ._host import HAIR, Levels, Tile, by_tiles, from_levels, image_tiles, on_host, to_levels
from .code import source_digest
from .constants import Severities
from .errors import InputError
from .facts import Domain
from .random import Stream, check_seed

Noise: TypeAlias = Mapping[str, Tensor]
"""Everything random about a call, by name; each tensor has the images as its first axis."""

HostNoise: TypeAlias = Mapping[str, NDArray[Any]]
"""The same as arrays that share the tensors' memory: nobody may write to them."""

MINIMUM_SIDE = 8

_HAIR = 0.01  # outside [0, 1]: what rounding makes of pixels that were normalised and back, in bfloat16 too

BLOCK_VALUES = 2**19
"""Values that torch corrupts at a time on the CPU with one thread; twice as many with two or more."""


class Corruption(ABC):
    """A corruption of images: subclass it as a frozen dataclass of its parameters.

    A subclass declares its name, has one dataclass field per severity constant (same names), and implements
    `apply` and, if anything is random, `draw`. `register` makes it known, and shows one. `apply` is the
    definition, for every device, floats and gradients; a subclass may also have `levels`, the same for uint8
    images in host memory, if NumPy or the library behind the definition is faster there.

    Attributes
    ----------
    name, group : str
        Its name, and its group: one of `corruptions.GROUPS`, or a word of your own; "own" by default.
    severities : mapping, path or None
        The constants of severities 1 to 5: by field, five, or one for all severities; or a TOML file that has
        them, see `corruptions.constants.read_constants`. None for ours, which are in `severities.toml`.
    units : mapping
        The unit of a constant, by field.
    home : str
        The module of another package that registers it; "" for ours.
    domain : {"pixels", "input"}
        "pixels": images of 1 or 3 channels, uint8 or float in [0, 1], clipped to that range again.
        "input": the network's normalised input, floats (N, C, ...) of any range, never clipped.
    version : int
        Raised when the same parameters and random numbers give different pixels; part of a suite's hash.
    fused : bool
        Whether `use_compile` compiles the whole corruption of uint8 images, levels to levels. It pays if
        `apply` is a few operations, value by value: they then share one pass over memory.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    domain: ClassVar[Domain] = "pixels"
    version: ClassVar[int] = 1
    fused: ClassVar[bool] = False
    severities: ClassVar[Severities | None] = None
    units: ClassVar[Mapping[str, str]] = {}
    home: ClassVar[str] = ""

    @classmethod
    def code_digest(cls) -> str:
        """Return the SHA-256 of the source code of a corruption of another package; "" for ours."""
        return source_digest(cls) if cls.home else ""

    @classmethod
    def at(cls, severity: float, *, table: str) -> Self:
        """Return the corruption with the constants of `severity` in [1, 5] and of one severity table.

        >>> import corruptions
        >>> corruptions.get_corruption("gaussian_noise").at(3, table="224")
        GaussianNoise(std=0.18)
        """
        constants: dict[str, Any] = dict(severities.get_constants(cls.name, severity=severity, table=table))
        return cls(**constants)

    @final
    def __call__(
        self,
        images: Tensor,
        *,
        severity: float,
        seed: int = 0,
        ids: Tensor | None = None,
        validate: bool = False,
    ) -> Tensor:
        """Return the corrupted images; arguments and errors are those of `corruptions.corrupt`.

        The strength is in the parameters: `severity` only chooses the random stream, or, if 0, a plain copy.

        >>> from corruptions import get_corruption
        >>> contrast = get_corruption("contrast")(factor=0.5)
        >>> images = torch.tensor([0, 100] * 32, dtype=torch.uint8).view(1, 1, 8, 8)
        >>> contrast(images, severity=2)[0, 0, 0, :2]
        tensor([25, 75], dtype=torch.uint8)
        """
        level = severities.check_severity(severity)
        ids = self.check(images, ids=ids, seed=seed, validate=validate)
        return self.run(images, severity=level, seed=seed, ids=ids)

    @final
    @classmethod
    def check(cls, images: Tensor, *, ids: Tensor | None, seed: int, validate: bool = False) -> Tensor:
        """Check everything but the severity, and return the ids on the device of the images."""
        where = f"corruption {cls.name!r}"
        if not isinstance(images, Tensor):
            raise InputError(f"Expected images as a torch.Tensor, got {type(images).__name__} ({where}).")
        if cls.domain == "pixels":
            _check_pixels(images, where=where, values=validate)
        else:
            _check_input(images, where=where)
        check_seed(seed)
        return _check_ids(ids, images, where=where)

    @final
    def run(self, images: Tensor, *, severity: float, seed: int, ids: Tensor) -> Tensor:
        """Draw and render without any check: for callers that have called `check`."""
        if severity == 0:
            return images.clone()
        _keep_freed_memory()
        values = self.values_per_image(images)
        if len(images) and self._is_shared(images):
            return self._run_shared(images, values, severity=severity, seed=seed, ids=ids)
        block = _block_length(images, values)
        if block >= len(images):
            return self._run_block(images, severity=severity, seed=seed, ids=ids)
        parts = zip(torch.split(images, block), torch.split(ids, block), strict=True)
        return torch.cat([self._run_block(*part, severity=severity, seed=seed) for part in parts])

    def _is_shared(self, images: Tensor) -> bool:
        """Tell whether threads of ours share the images: not with code that may not know of them."""
        return not self.home and images.dtype == torch.uint8 and on_host(images)

    def _run_shared(self, images: Tensor, values: int, *, severity: float, seed: int, ids: Tensor) -> Tensor:
        def make(tile: Tile) -> Levels:
            some = tile[0]
            with nullcontext() if self.fused else eager():  # NumPy is as fast as what is compiled in parts
                made = self._run_block(images[some], ids[some], severity=severity, seed=seed)
            return np.asarray(made)

        return torch.from_numpy(by_tiles(make, image_tiles(len(images), values), images.shape, np.uint8))

    def _run_block(self, images: Tensor, ids: Tensor, *, severity: float, seed: int) -> Tensor:
        if type(self).draw is Corruption.draw:
            return self.render(images, {})
        stream = Stream(ids, name=self.name, severity=severity, seed=seed)
        with torch.no_grad():
            noise = self.draw(stream, images)
        return self.render(images, noise)

    def values_per_image(self, images: Tensor) -> int:
        """Return how many values an image takes in `apply`: its own, unless a subclass needs more."""
        return images.shape[1:].numel()

    def draw(self, stream: Stream, images: Tensor) -> Noise:
        """Return everything random; by default nothing.

        `images` (N, C, H, W) are as the caller gave them: for their shape and, if the draw depends on
        them (Poisson counts), their values.
        """
        return {}

    @abstractmethod
    def apply(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the corrupted images, unclipped: deterministic, pure, each image independent of the others.

        `images` are floats (N, C, H, W), at least float32, in [0, 1] for pixel corruptions; the result
        for an image must not depend on N, to the bit.
        """

    def levels(self, images: Levels, noise: HostNoise) -> Levels | None:
        """Return corrupted uint8 images (N, C, H, W) in host memory, equal to the level to those of `apply`.

        It must not write to its arguments. None, by default and if a subclass cannot, leaves it to `apply`.
        """
        return None

    @final
    def render(self, images: Tensor, noise: Noise) -> Tensor:
        """Apply the corruption with the given noise and return images of the input's dtype.

        uint8 images are taken as v / 255, and the result is clipped, multiplied by 255 and truncated.
        """
        if images.dtype == torch.uint8:
            return self._levels(images, noise)
        work = images.to(torch.promote_types(images.dtype, torch.float32), copy=bool(self.home))
        corrupted = self._applied(work, noise)
        if self.domain == "pixels":
            corrupted = corrupted.clamp(0, 1)
        return corrupted.to(images.dtype)

    def _levels(self, images: Tensor, noise: Noise) -> Tensor:
        """Return the corrupted uint8 images, of uint8 images; here alone it is decided who makes them."""
        if on_host(images) and len(images) and not (self.fused and compiles_kernels()):
            made = self._host_levels(np.ascontiguousarray(images.numpy()), noise)
            if made is not None:
                return torch.from_numpy(made)
        if self.fused:
            return _fused_rendering(type(self))(self, images.contiguous(), noise)
        return _render_levels(self, images, noise)

    def _host_levels(self, images: Levels, noise: Noise) -> Levels | None:
        if type(self).levels is not Corruption.levels:
            made = self.levels(images, {name: numbers.numpy() for name, numbers in noise.items()})
            if made is not None:
                return made
        if self.home or compiles_kernels():
            return None
        return to_levels(self.apply(torch.from_numpy(from_levels(images)), noise).numpy())

    def _applied(self, images: Tensor, noise: Noise) -> Tensor:
        """Return what `apply` makes of floats; an InputError if a class of yours breaks its word."""
        corrupted = self.apply(images, noise)
        if self.home:
            _check_result(corrupted, images, where=f"corruption {self.name!r}, {type(self).__module__}")
        return corrupted


@cache
def _keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next operation: once per process.

    glibc maps a block larger than any freed before (up to 32 MiB) again each time, which costs page faults:
    defocus_blur of 256 images of 32 pixels took 43 to 58 us per image, and takes 38 to 41 with this.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8, device="cpu")  # never touched, freed at once


def _block_length(images: Tensor, values_per_image: int) -> int:
    """Return how many images to corrupt at a time: on the CPU, as many as its caches hold.

    Without this a batch of 32 x 3 x 224 x 224 took four times as long per value as one of 32 x 32: every
    operation's result went through memory that had to be mapped first. Pixels do not depend on it.
    """
    if images.device.type != "cpu" or images.numel() == 0:
        return len(images)
    # No more for more threads: no operation's result should exceed the memory that is kept, 32 MiB.
    return max(1, BLOCK_VALUES * min(torch.get_num_threads(), 2) // values_per_image)


def _render_levels(corruption: Corruption, images: Tensor, noise: Noise) -> Tensor:
    return _to_levels(corruption._applied(_from_levels(images), noise))


@cache
def _fused_rendering(kind: type[Corruption]) -> Callable[[Corruption, Tensor, Noise], Tensor]:
    return kernel(with_own_code(_render_levels))


@kernel
def _from_levels(images: Tensor) -> Tensor:
    return images.to(torch.float32).div_(255)


@kernel
def _to_levels(images: Tensor) -> Tensor:
    """Do what `_host.to_levels` does, which says why."""
    return (images * 255).add_(HAIR).clamp_(0, 255).to(torch.uint8)


def _check_pixels(images: Tensor, *, where: str, values: bool) -> None:
    shape = tuple(images.shape)
    if images.ndim != 4:
        raise InputError(f"Expected images of shape (N, C, H, W), got {shape} ({where}).")
    if shape[1] not in (1, 3):
        raise InputError(f"Expected 1 or 3 channels in (N, C, H, W), got {shape[1]} in {shape} ({where}).")
    if min(shape[2:]) < MINIMUM_SIDE:
        raise InputError(f"Expected a height and width of at least {MINIMUM_SIDE}, got {shape} ({where}).")
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise InputError(f"Expected uint8 images or floats in [0, 1], got {images.dtype} ({where}).")
    if values or images.device.type == "cpu":
        _check_range(images, where=where)


def _check_range(images: Tensor, *, where: str) -> None:
    if images.numel() == 0:
        return
    low, high = (float(value) for value in torch.aminmax(images.detach()))
    if not (low >= 0 and high <= 1):  # also if one of them is NaN
        digits = 17 if images.dtype == torch.float64 else 9  # tell any two numbers apart
        found = f"[{low:.{digits}g}, {high:.{digits}g}]"
        hair = low >= -_HAIR and high <= 1 + _HAIR
        advice = "; if that is rounding, images.clamp(0, 1)" if hair else ""
        raise InputError(f"Expected float images in [0, 1], got values in {found}{advice} ({where}).")


def _check_input(images: Tensor, *, where: str) -> None:
    if not images.is_floating_point():
        raise InputError(
            f"Expected floats of the normalised network input, got {images.dtype}: "
            f"input shifts act after the preprocessing ({where})."
        )
    if images.ndim < 2:
        raise InputError(f"Expected an input of shape (N, C, ...), got {tuple(images.shape)} ({where}).")


def _check_result(corrupted: object, images: Tensor, *, where: str) -> None:
    if not isinstance(corrupted, Tensor):
        raise InputError(
            f"Expected `apply` to return a torch.Tensor, got {type(corrupted).__name__} ({where})."
        )
    if corrupted.shape != images.shape or not corrupted.is_floating_point():
        expected, got = tuple(images.shape), tuple(corrupted.shape)
        raise InputError(
            f"Expected `apply` to return {images.dtype} {expected}, got {corrupted.dtype} {got} ({where})."
        )
    if not torch.isfinite(corrupted.detach()).all():
        raise InputError(f"Expected `apply` to return finite values, got NaN or infinity ({where}).")


def _check_ids(ids: object, images: Tensor, *, where: str) -> Tensor:
    if ids is None:
        return torch.arange(len(images), dtype=torch.int64, device=images.device)
    if not isinstance(ids, Tensor) or ids.dtype != torch.int64:
        kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise InputError(f"Expected ids as a torch.int64 tensor, got {kind} ({where}).")
    if ids.shape != (len(images),):
        raise InputError(
            f"Expected one id for each of {len(images)} images, got shape {tuple(ids.shape)} ({where})."
        )
    return ids.to(images.device)
