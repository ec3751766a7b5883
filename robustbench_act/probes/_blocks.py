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
        """Return the blocks that these values complete, except the last one."""
        self._held.append(values)
        if sum(part.shape[-1] for part in self._held) <= BLOCK:
            return []
        *blocks, rest = torch.split(self.rest, BLOCK, -1)
        self._held = [rest.clone()]  # a view would keep the blocks
        return blocks

    @property
    def rest(self) -> Tensor:
        """The values that are in no block yet: one at least, 1024 at most."""
        return torch.cat(self._held, -1)
