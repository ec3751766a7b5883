"""Activations of the literature without parameters, beside those that torch.nn has.

Each is x times a gate of x, written so that neither value nor gradient overflows, whatever x is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_GATE_IS_OPEN = 5.0
"""From here on tanh(exp(x)) is 1 to the last bit of float64; exp would overflow, and its gradient be NaN."""


class Serf(nn.Module):
    """x erf(log(1 + exp(x))), of any shape and floating dtype.

    Source: Nag & Bhattacharyya, arXiv 2108.09598.

    >>> Serf()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.3422,  0.0000,  0.9367])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        return x * torch.erf(F.softplus(x))


class TanhExp(nn.Module):
    """x tanh(exp(x)), of any shape and floating dtype.

    Source: Liu & Di, arXiv 2003.09855.

    >>> TanhExp()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.3521,  0.0000,  0.9913])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        return x * torch.tanh(torch.exp(x.clamp(max=_GATE_IS_OPEN)))


class Logish(nn.Module):
    """x log(1 + sigmoid(x)), of any shape and floating dtype.

    Source: Zhu, Zeng, Liu & Zhang, Neurocomputing 458 (2021), doi 10.1016/j.neucom.2021.06.067.

    >>> Logish()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2382,  0.0000,  0.5487])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        return x * torch.log1p(torch.sigmoid(x))
