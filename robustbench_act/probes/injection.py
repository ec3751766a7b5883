"""A shift of the input of one activation layer, without the effect of the layers before it."""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from corruptions import get_corruption, list_corruptions
from robustbench_act.errors import InputError

_PREFIX = "shift_"


@dataclass(frozen=True)
class Injection:
    """A shift of the input of the activation layer `layer`, as in the LayerAct paper's analysis.

    Parameters
    ----------
    layer
        Its name in `Probe`.
    shift
        Name and scale, as "gaussian:0.1": an input shift without `shift_`, and its parameter. Gains are
        shares; all others are in units of `unit`.
    unit
        What 1 means: 1 in the layer's own units, or the standard deviation of its input, so that the same
        scale is as much for a layer of small values as for one of large values.
    seed
        Seed of the random stream; the n-th sample of a probe counts as image n.

    Raises
    ------
    InputError
        The shift is unknown, or the scale or the unit is not a finite number.

    Examples
    --------
    >>> Injection("act1", "up:0.5").apply(torch.zeros(2, 1, 3), start=0)
    tensor([[[0.0000, 0.0000, 0.0000]],
            [[0.5000, 0.5000, 0.5000]]])
    >>> Injection("act1", "up:0.5", unit=4.0).apply(torch.zeros(2, 1, 3), start=0)[1]
    tensor([[2., 2., 2.]])
    """

    layer: str
    shift: str
    seed: int = 0
    unit: float = 1.0

    def __post_init__(self) -> None:
        self._parsed()
        if not math.isfinite(self.unit):
            raise InputError(
                f"{self.layer}: its input has a standard deviation of {self.unit}, no unit to shift it by."
            )

    def apply(self, stacked: Tensor, *, start: int) -> Tensor:
        """Return a batch (versions, n, ...) with every version but the clean one shifted alike.

        `start` is the number of samples before it.
        """
        kind, scale = self._parsed()
        (field,) = fields(kind)
        ids = torch.arange(start, start + stacked.shape[1], device=stacked.device)
        shift: Any = kind(**{field.name: scale if field.name == "gain" else scale * self.unit})
        shifted = [shift.run(version, severity=scale, seed=self.seed, ids=ids) for version in stacked[1:]]
        return torch.cat([stacked[:1], *(version[None] for version in shifted)])

    def _parsed(self) -> tuple[type[Any], float]:
        name, _, text = self.shift.partition(":")
        try:
            scale = float(text)
        except ValueError:
            scale = math.nan
        known = [found.removeprefix(_PREFIX) for found in list_corruptions(f"{_PREFIX}*")]
        if name not in known or not math.isfinite(scale):
            raise InputError(
                f"Expected a shift as NAME:SCALE, such as gaussian:0.1, with NAME one of {', '.join(known)}, "
                f"got {self.shift!r}."
            )
        return get_corruption(_PREFIX + name), scale
