"""Samples in blocks of a fixed size, so that the rounding of a result does not depend on the batches."""

import torch
from torch import Tensor

BLOCK = 1024
"""Samples that are reduced together."""


class Blocks:
    """Cuts values (..., n) that come in batches into blocks of 1024 along the last axis.

    >>> blocks = Blocks()
    >>> [len(block) for block in blocks.add(torch.zeros(2500))], len(blocks.rest)
    ([1024, 1024], 452)
    """

    def __init__(self) -> None:
        self._held: list[Tensor] = []

    def add(self, values: Tensor) -> list[Tensor]:
        """Return the blocks that are complete with these values, but for the last one."""
        self._held.append(values)
        if sum(part.shape[-1] for part in self._held) <= BLOCK:
            return []
        *blocks, rest = torch.split(self.rest, BLOCK, -1)
        self._held = [rest.clone()]  # a view would keep the blocks
        return blocks

    @property
    def rest(self) -> Tensor:
        """What was in no block yet: one value at least, 1024 at most."""
        return torch.cat(self._held, -1)
