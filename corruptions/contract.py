"""The contract of corruptions, as a function to run on your own."""

from collections.abc import Iterable

import torch
from torch import Tensor

from .errors import InputError
from .registry import get_corruption
from .severity import SEVERITIES, choose_table

_IDS = (3, -1, 2**62, 0, 77, 78, 1234, -(2**63))
"""Image ids of any size, none of them the image's place."""


def check_corruption(
    name: str,
    images: Tensor | None = None,
    *,
    severities: Iterable[float] = SEVERITIES,
    seed: int = 0,
) -> None:
    """Raise InputError, in one line, unless a corruption keeps the contract of those in this package.

    At each severity: images keep shape and type, pixels stay in their range, values are finite, the input is
    not written to, and an image gets the same pixels alone, in company, in any order, and a second time.

    Parameters
    ----------
    name : str
        A registered corruption.
    images : Tensor, optional
        What to try it on, (N, C, H, W), uint8 or floats as for `corrupt`, the first eight; by default six
        colour images of 32 x 32: noise, black, white, an edge and a ramp.
    severities, seed
        See `corrupt`.

    Examples
    --------
    >>> check_corruption("fog")
    """
    kind = get_corruption(name)
    tried = _examples(kind.domain) if images is None else images[: len(_IDS)].clone()
    ids = torch.tensor(_IDS[: len(tried)], device=tried.device)
    before = tried.clone()
    table = choose_table(height=tried.shape[-2], width=tried.shape[-1])
    for severity in severities:

        def corrupted(rows: Tensor | slice, severity: float = severity) -> Tensor:
            kind.check(tried[rows], ids=ids[rows], seed=seed)
            return kind.at(severity, table=table).run(
                tried[rows], severity=severity, seed=seed, ids=ids[rows]
            )

        where = f"Corruption {name!r} at severity {severity:g}"
        together = corrupted(slice(None))
        if not torch.equal(tried, before):
            raise InputError(f"{where}: writes into its input.")
        _check_result(together, tried, where=where, pixels=kind.domain == "pixels")
        if not torch.equal(together, corrupted(slice(None))):
            raise InputError(
                f"{where}: gives other pixels a second time; random numbers must come from the stream or the "
                "generator that it is given."
            )
        alone = torch.cat([corrupted(slice(place, place + 1)) for place in range(len(tried))])
        if not torch.equal(together, alone):
            raise InputError(f"{where}: an image gets other pixels alone than in company.")
        order = torch.arange(len(tried), device=tried.device).flip(0)
        if not torch.equal(together[order], corrupted(order)):
            raise InputError(f"{where}: an image gets other pixels in another order.")


def _check_result(corrupted: Tensor, images: Tensor, *, where: str, pixels: bool) -> None:
    if corrupted.shape != images.shape or corrupted.dtype != images.dtype:
        expected, got = (f"{own.dtype} {tuple(own.shape)}" for own in (images, corrupted))
        raise InputError(f"{where}: expected {expected}, got {got}.")
    if not torch.isfinite(corrupted.float()).all():
        raise InputError(f"{where}: gives NaN or infinity.")
    if pixels and images.is_floating_point() and not ((corrupted >= 0) & (corrupted <= 1)).all():
        raise InputError(f"{where}: gives values outside [0, 1].")


def _examples(domain: str) -> Tensor:
    """Return noise twice, a black and a white image, an edge and a ramp: (6, 3, 32, 32)."""
    noise = torch.randint(256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    ramp = torch.arange(32).mul(8).expand(3, 32, 32)
    flat = torch.zeros(3, 32, 32, dtype=torch.int64)
    edge = flat.clone()
    edge[:, :, 16:] = 255
    pixels = torch.stack([*noise, flat, flat + 255, edge, ramp]).to(torch.uint8)
    return pixels if domain == "pixels" else pixels / 64 - 2
