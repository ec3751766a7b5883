"""How close the corruptions come to the published generators: `python -m corruptions conform`.

Three kinds of check, each pooled over images and severities:

equal    nothing is random: pixel by pixel
pinned   the reference's random numbers go through `apply`: pixel by pixel
own      our random numbers against the reference's: means of scalars of the output over many draws

against two references: "golden", arrays made with the published scripts, if a folder holds them, and
"imagecorruptions", that package run here on the photographs that come with scikit-learn and scikit-image.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ._pinned import pinned_noise
from .api import corrupt
from .base import Corruption
from .errors import InputError
from .facts import CORRUPTIONS
from .reference import corrupt_reference
from .registry import get_corruption

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["equal", "pinned", "own"]

WITHIN_ONE = 0.995
"""Least share of values within one grey level, given the same random numbers."""

WITHIN_ONE_ELASTIC = 0.95
"""The same for elastic_transform: positions rounded to 1/32 pixel may differ between builds."""

JPEG_MEAN, JPEG_PSNR = 0.4, 40.0
"""Largest mean difference in levels, and least peak signal-to-noise ratio in dB, of jpeg_compression."""

Z_MEDIAN, Z_TAIL, Z_TAIL_SHARE, Z_LARGEST = 1.0, 2.8, 0.04, 4.5
"""Own draws: bounds on the median of |z|, on the share of |z| above 2.8, and on the largest |z|.

Two halves of the reference itself give a median of 0.5 to 0.6, 1 % above 2.8 and at most 4.3 of 13,464. The
scalars of a cell are correlated, hence 4 % here.
"""

SCALARS = (
    "mse", "shift_r", "shift_g", "shift_b", "tv", "ac_h", "ac_v", "corr_rg", "frac_pixels", "frac_values",
    "min", "max",
)  # fmt: skip
"""Numbers taken from one corrupted image, see `output_scalars`."""

LAST_BIT = {"glass_blur": ("frac_pixels", "frac_values")}
"""Scalars that are not judged, because they depend on the last bit of the reference's arithmetic.

Flat areas that a Gaussian leaves at an integer less 1e-14 are truncated to the level below and count as
changed: the "pinned" lines show it, 1 level on 1 to 3 % of the values at 32 pixels.
"""

_GOLDEN = {"32": "orig_32", "64": "orig_64", "224": "orig_224", "imagecorruptions": "imaug_224"}

_PACKAGE: Literal["imagecorruptions"] = "imagecorruptions"

_PHOTOGRAPHS = {
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "skimage": ("data", ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")),
}


@dataclass(frozen=True)
class Pixels:
    """How two sets of images in grey levels differ, value by value.

    >>> Pixels.of(torch.tensor([1, 2, 3, 6]), torch.tensor([1, 2, 4, 2]))
    Pixels(values=4, within_one=0.75, mean=1.25, largest=4, psnr=41.8...)
    """

    values: int
    within_one: float
    mean: float
    largest: int
    psnr: float

    @classmethod
    def of(cls, ours: Tensor, theirs: Tensor) -> "Pixels":
        """Compare integer tensors of one shape."""
        difference = (ours.to(torch.int64) - theirs.to(torch.int64)).abs()
        squares = difference.double().square().mean().item()
        return cls(
            values=difference.numel(),
            within_one=(difference <= 1).double().mean().item(),
            mean=difference.double().mean().item(),
            largest=int(difference.max()),
            psnr=10 * math.log10(255**2 / squares) if squares else math.inf,
        )


@dataclass(frozen=True)
class Distances:
    """Absolute z statistics of the means of scalars: ours against the reference's.

    >>> Distances.of(np.array([0.1, 0.5, 0.7, 3.0]))
    Distances(count=4, median=0.6, tail=0.25, largest=3.0)
    """

    count: int
    median: float
    tail: float
    largest: float

    @classmethod
    def of(cls, z: Array) -> "Distances":
        """Pool |z| of any shape."""
        return cls(z.size, float(np.median(z)), float((z > Z_TAIL).mean()), float(z.max()))


@dataclass(frozen=True)
class Conformity:
    """One line of the report: a corruption with one severity table against one reference.

    `pixels` is set for the kinds "equal" and "pinned", `distances` for "own".
    """

    corruption: str
    table: str
    reference: Literal["golden", "imagecorruptions"]
    kind: Kind
    pixels: Pixels | None = None
    distances: Distances | None = None

    @property
    def passed(self) -> bool:
        """Whether the line keeps the tolerances above."""
        if self.pixels is not None:
            return pixels_pass(self.corruption, self.pixels)
        return self.distances is not None and distances_pass(self.distances)


def pixels_pass(corruption: str, pixels: Pixels) -> bool:
    """Tell whether pixels are close enough to the reference's, given the same random numbers."""
    if corruption == "jpeg_compression":
        return pixels.mean <= JPEG_MEAN and pixels.psnr >= JPEG_PSNR
    bound = WITHIN_ONE_ELASTIC if corruption == "elastic_transform" else WITHIN_ONE
    return pixels.within_one >= bound


def distances_pass(distances: Distances) -> bool:
    """Tell whether the means of scalars differ by no more than their sampling errors."""
    within = distances.median <= Z_MEDIAN and distances.tail <= Z_TAIL_SHARE
    return within and distances.largest <= Z_LARGEST


def is_random(name: str) -> bool:
    """Tell whether a corruption draws anything.

    >>> is_random("shot_noise"), is_random("contrast")
    (True, False)
    """
    return get_corruption(name).draw is not Corruption.draw


def check_golden(
    folder: Path, names: Sequence[str], *, tables: Collection[str] = tuple(_GOLDEN)
) -> Iterator[Conformity]:
    """Compare with the golden arrays in `folder`, table by table; yield the lines one by one."""
    if not any((folder / f"{stem}.npz").exists() for stem in _GOLDEN.values()):
        raise InputError(f"Expected a folder of golden arrays (orig_32.npz, ...), got {folder}.")
    for table in tables:
        outputs, pinned = folder / f"{_GOLDEN[table]}.npz", folder / f"pinned_{_GOLDEN[table]}.npz"
        for name in names:
            if outputs.exists():
                yield from _check_outputs(outputs, name, table)
            if pinned.exists():
                yield from _check_pinned(pinned, name, table)


def _open_golden(path: Path) -> Any:
    """Return an open .npz file of golden arrays; no pickles."""
    try:
        golden = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"Expected golden arrays, got {path} ({error}).") from None
    missing = {"clean", "severities"} - set(getattr(golden, "files", ()))
    if missing:
        raise InputError(f"Expected golden arrays, got {path} without {', '.join(sorted(missing))}.")
    return golden


def _check_outputs(path: Path, name: str, table: str) -> Iterator[Conformity]:
    with _open_golden(path) as golden:
        images, severities = to_tensor(golden["clean"]), golden["severities"].tolist()
        if f"det__{name}" in golden:
            ours = [corrupt(images, name, severity=severity, table=table) for severity in severities]
            theirs = to_tensor(golden[f"det__{name}"])
            pixels = Pixels.of(torch.stack(ours, dim=1), theirs)
            yield Conformity(name, table, "golden", "equal", pixels=pixels)
        if f"scalars__{name}" in golden:
            scalars = golden[f"scalars__{name}"].astype(np.float64)
            ours_scalars = _own_scalars(images, name, severities, table=table, draws=scalars.shape[2])
            distances = Distances.of(_judged(name, z_statistics(ours_scalars, scalars)))
            yield Conformity(name, table, "golden", "own", distances=distances)


def _check_pinned(path: Path, name: str, table: str) -> Iterator[Conformity]:
    with _open_golden(path) as golden:
        if f"out__{name}" not in golden:
            return
        clean, severities = to_tensor(golden["clean"]), golden["severities"].tolist()
        ours = []
        for severity in severities:
            corruption: Any = get_corruption(name).at(severity, table=table)
            draws = golden[f"draws__{name}__s{severity}"]
            ours.append(corruption.render(clean, pinned_noise(corruption, draws, clean.shape)))
        pixels = Pixels.of(torch.stack(ours, dim=1), to_tensor(golden[f"out__{name}"]))
    yield Conformity(name, table, "golden", "pinned", pixels=pixels)


def check_package(names: Sequence[str], *, side: int = 224, draws: int = 20) -> Iterator[Conformity]:
    """Compare with the imagecorruptions package on photographs; yield the lines one by one.

    The photographs have `side` pixels, at least 32. Random corruptions run at severities 1, 3 and 5, with
    `draws` draws per photograph and severity; the others run once, at every severity. (The package's
    impulse_noise and glass_blur cannot be seeded: their lines differ from run to run.)
    """
    images = load_photographs(side)
    for name in names:
        if is_random(name):
            distances = _package_distances(images, name, draws)
            yield Conformity(name, _PACKAGE, _PACKAGE, "own", distances=distances)
        else:
            yield Conformity(name, _PACKAGE, _PACKAGE, "equal", pixels=_package_pixels(images, name))


def _package_pixels(images: Tensor, name: str) -> Pixels:
    ours = [corrupt(images, name, severity=severity, table=_PACKAGE) for severity in range(1, 6)]
    theirs = [corrupt_reference(images, name, severity=severity) for severity in range(1, 6)]
    return Pixels.of(torch.cat(ours), torch.cat(theirs))


def _package_distances(images: Tensor, name: str, draws: int) -> Distances:
    severities = (1, 3, 5)
    ours = _own_scalars(images, name, severities, table=_PACKAGE, draws=draws)

    theirs = _each_cell(images, severities, draws, partial(corrupt_reference, name=name))
    return Distances.of(_judged(name, z_statistics(ours, theirs)))


def _judged(name: str, z: Array) -> Array:
    """Return z (..., K) without the scalars that are not judged."""
    kept = [scalar not in LAST_BIT.get(name, ()) for scalar in SCALARS]
    judged: Array = z[..., kept]
    return judged


def _own_scalars(images: Tensor, name: str, severities: Sequence[int], *, table: str, draws: int) -> Array:
    return _each_cell(images, severities, draws, partial(corrupt, name=name, table=table))


def _each_cell(
    images: Tensor, severities: Sequence[int], draws: int, corrupted: Callable[..., Tensor]
) -> Array:
    """Return the scalars of corrupted copies of each image, (images, severities, draws, K)."""

    def scalars(image: Tensor, severity: int) -> Array:
        return output_scalars(image, corrupted(image[None].expand(draws, -1, -1, -1), severity=severity))

    return np.stack([[scalars(image, severity) for severity in severities] for image in images])


def output_scalars(image: Tensor, outputs: Tensor) -> Array:
    """Return `SCALARS` of each of the outputs (D, 3, H, W) of one image (3, H, W), levels: float64 (D, 12).

    With r = output - image: the mean of r^2; the mean of r per channel; mean |horizontal difference| +
    mean |vertical difference| of the output; the lag-1 autocorrelations of r less its mean per channel,
    pooled over channels; the correlation of r in red and green; the shares of pixels and of values that
    changed; the smallest and the largest value of the output.
    """
    y = outputs.double()
    r = y - image.double()
    q = r - r.mean((2, 3), keepdim=True)
    power = q.square().mean((1, 2, 3))
    red, green = q[:, 0], q[:, 1]
    tiny = torch.finfo(torch.float64).tiny
    cross = (red * green).mean((1, 2))
    norm = (red.square().mean((1, 2)) * green.square().mean((1, 2))).sqrt()
    columns = [
        r.square().mean((1, 2, 3)),
        *r.mean((2, 3)).unbind(1),
        (y.diff(dim=3).abs().mean((1, 2, 3)) + y.diff(dim=2).abs().mean((1, 2, 3))),
        (q[..., 1:] * q[..., :-1]).mean((1, 2, 3)) / power.clamp(min=tiny),
        (q[..., 1:, :] * q[..., :-1, :]).mean((1, 2, 3)) / power.clamp(min=tiny),
        cross / norm.clamp(min=tiny),
        (r != 0).any(1).double().mean((1, 2)),
        (r != 0).double().mean((1, 2, 3)),
        y.amin((1, 2, 3)),
        y.amax((1, 2, 3)),
    ]
    return torch.stack(columns, dim=1).numpy()


def z_statistics(ours: Array, theirs: Array) -> Array:
    """Return |difference of means| / its standard error, draws on the last axis but one.

    Scalars that do not vary count as equal up to 0.1 % of their size (the reference's are float32).
    """
    difference = np.abs(ours.mean(-2) - theirs.mean(-2))
    variance = sum(some.var(-2, ddof=1) / some.shape[-2] for some in (ours, theirs))
    error = np.maximum(np.sqrt(variance), 1e-3 * np.abs(theirs.mean(-2)) + 1e-6)
    z: Array = difference / error
    return z


def to_tensor(images: Array) -> Tensor:
    """Return channels-last images (..., H, W, C) as a tensor (..., C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))


def load_photographs(side: int) -> Tensor:
    """Return the photographs of the installed scikit-learn and scikit-image, uint8 (N, 3, side, side).

    The square in the middle, resized by Pillow's LANCZOS filter. Nothing is downloaded.
    """
    pictures = []
    for path in _photograph_paths():
        with Image.open(path) as file:
            photograph = file.convert("RGB")
        width, height = photograph.size
        least = min(width, height)
        left, top = (width - least) // 2, (height - least) // 2
        square = photograph.crop((left, top, left + least, top + least))
        pictures.append(np.asarray(square.resize((side, side), Image.Resampling.LANCZOS)))
    return to_tensor(np.stack(pictures))


def _photograph_paths() -> Iterator[Path]:
    for package, (folder, names) in _PHOTOGRAPHS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            paths = (Path(spec.origin).parent / folder / name for name in names)
            yield from (path for path in paths if path.exists())


def check(
    names: Sequence[str] | None = None, *, golden: Path | None = None, package: bool = True, draws: int = 20
) -> Iterator[Conformity]:
    """Yield the report line by line: against the golden arrays, if a folder is given, then the package.

    `names` are pixel corruptions; by default all, group by group. A folder `golden` without golden arrays
    raises InputError. The imagecorruptions package takes minutes, with `draws` as in `check_package`.
    """
    if names is None:
        names = [facts.name for facts in CORRUPTIONS if facts.domain == "pixels"]
    if golden is not None:
        yield from check_golden(golden, names)
    if package:
        yield from check_package(names, draws=draws)
