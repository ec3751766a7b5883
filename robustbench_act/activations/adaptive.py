"""Activations of the literature that learn their shape: one number per layer, or one per channel.

Those with parameters per channel take `channels` first. Channels are along axis 1, as in torch: (N, channels)
or (N, channels, ...). If axis 1 has a different length, they are along the last axis: (N, tokens, channels)
in transformers, (N, height, width, channels). If both have that length, axis 1 is meant. Any other input is
an InputError. `replace_activations` finds the length of axis 1 of each layer. In transformers that is the
number of tokens: give the number of channels there, as in `replace_activations(vit, "dyt", channels=3072)`.

Narrow dtypes are widened to float32 where their range would not do.
"""

import math

import torch
from torch import Tensor, nn

from robustbench_act.errors import InputError


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Swish(nn.Module):
    """x sigmoid(beta x) with one learnt beta per layer; of any shape and floating dtype.

    Source: Ramachandran, Zoph & Le, arXiv 1710.05941. `silu` is the same with beta fixed at 1.

    >>> Swish()(torch.tensor([-1.0, 0.0, 1.0])).tolist() == nn.SiLU()(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    True
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(beta)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        return x * torch.sigmoid(self.beta.to(x.dtype) * x)


class SMU(nn.Module):
    """Smooth maximum of x and alpha x, with one learnt mu per layer; of any shape and floating dtype.

    ((1 + alpha) x + (1 - alpha) x erf(mu (1 - alpha) x)) / 2

    With the paper's initial mu of a million this is LeakyReLU with slope alpha unless |x| is below a few
    millionths, and elsewhere mu gets no gradient. A smaller mu starts smooth.

    Source: Biswas, Kumar, Banerjee & Pandey, arXiv 2111.04682.

    >>> SMU()(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [-0.25, 0.0, 1.0]
    """

    def __init__(self, alpha: float = 0.25, mu: float = 1e6) -> None:
        super().__init__()
        self.alpha = float(alpha)
        self.mu = nn.Parameter(torch.tensor(float(mu)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        wide = _wide(x)
        mu = self.mu.to(wide.dtype).clamp(-1e12, 1e12)  # float16 makes the initial one infinite: NaN at x = 0
        apart = (1 - self.alpha) * wide
        return (((1 + self.alpha) * wide + apart * torch.erf(mu * apart)) / 2).to(x.dtype)

    def extra_repr(self) -> str:
        """Return the parameter as `repr` shows it."""
        return f"alpha={self.alpha:g}"


class Snake(nn.Module):
    """x + sin(a x)^2 / a with one learnt a per layer; of any shape and floating dtype.

    For tasks without a period, such as images, the paper advises an a from 0.2 to 0.56. An a of 0 is an
    InputError.

    Source: Ziyin, Hartwig & Ueda, arXiv 2006.08195.

    >>> Snake()(torch.tensor([-1.0, 0.0, 1.0])).detach()
    tensor([-0.5403,  0.0000,  1.4597])
    """

    def __init__(self, a: float = 0.5) -> None:
        super().__init__()
        if a == 0 or not math.isfinite(a):
            raise InputError(f"Snake expects a finite a other than 0, got {a!r}.")
        self.a = nn.Parameter(torch.tensor(float(a)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        wide, a = _wide(x), _wide(self.a)
        return (wide + torch.sin(a * wide).square() / a).to(x.dtype)


class PerChannel(nn.Module):
    """An activation with parameters of its own for each channel; see the module's docstring for the axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise InputError(
                f"{type(self).__name__} expects a positive number of channels, got {channels!r}."
            )
        self.channels = channels

    def axis(self, x: Tensor) -> int:
        """Return the axis of the channels: 1, or the last one."""
        if x.is_floating_point() and x.ndim > 1 and self.channels in (x.shape[1], x.shape[-1]):
            return 1 if x.shape[1] == self.channels else x.ndim - 1
        raise InputError(
            f"{type(self).__name__} expects floats with {self.channels} channels along axis 1 or the last "
            f"axis, got {x.dtype} of shape {tuple(x.shape)}."
        )

    def along(self, x: Tensor, values: Tensor) -> Tensor:
        """Return values (channels,) or (N, channels) in a shape that meets x channel by channel."""
        shape = [1] * x.ndim
        shape[0] = len(values) if values.ndim == 2 else 1
        shape[self.axis(x)] = self.channels
        return values.view(shape)

    def extra_repr(self) -> str:
        """Return the number of channels as `repr` shows it."""
        return f"{self.channels}"


class AconC(PerChannel):
    """(p1 - p2) x sigmoid(beta (p1 - p2) x) + p2 x, with p1, p2 and beta learnt for each channel.

    p1 and p2 are initially drawn from the standard normal distribution, beta is 1, as in the authors' code.

    Source: Ma, Zhang, Liu & Sun, CVPR 2021, arXiv 2009.04759.

    >>> act = AconC(3)
    >>> act(torch.randn(2, 3, 5, 5)).shape, act(torch.randn(2, 7, 3)).shape
    (torch.Size([2, 3, 5, 5]), torch.Size([2, 7, 3]))
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.p1 = nn.Parameter(torch.randn(channels))
        self.p2 = nn.Parameter(torch.randn(channels))
        self.beta = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        p1, p2, beta = (self.along(x, values) for values in (self.p1, self.p2, self.beta))
        apart = (p1 - p2) * x
        return (apart * torch.sigmoid(beta * apart) + p2 * x).to(x.dtype)


class MetaAcon(PerChannel):
    """ACON-C whose beta is a function of the sample: one for each channel, learnt by two small matrices.

    beta = sigmoid(W2 W1 m), m the mean of each channel over the sample's other axes, W1 of shape
    (channels / reduction, channels), W2 its transpose's. So in the paper; the authors' later code adds biases
    and batch normalisation after W1 and W2. p1 and p2 are those of `AconC`.

    Source: Ma, Zhang, Liu & Sun, CVPR 2021, arXiv 2009.04759; means instead of sums as in their code.

    >>> MetaAcon(32)(torch.randn(2, 32, 5, 5)).shape
    torch.Size([2, 32, 5, 5])
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__(channels)
        hidden = max(1, channels // reduction)
        self.p1 = nn.Parameter(torch.randn(channels))
        self.p2 = nn.Parameter(torch.randn(channels))
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        p1, p2 = self.along(x, self.p1), self.along(x, self.p2)
        apart = (p1 - p2) * x
        return (apart * torch.sigmoid(self._beta(x) * apart) + p2 * x).to(x.dtype)

    def _beta(self, x: Tensor) -> Tensor:
        others = [axis for axis in range(1, x.ndim) if axis != self.axis(x)]
        means = x.mean(others) if others else x
        return self.along(x, torch.sigmoid(self.excite(self.squeeze(means))))

    @torch.no_grad()
    def derivative(self, x: Tensor) -> Tensor:
        """Return d a_i / d x_i of every element, beta's part included."""
        x = x.to(self.p1.dtype)
        p1, p2, beta = self.along(x, self.p1), self.along(x, self.p2), self._beta(x)
        own = (self.excite.weight * self.squeeze.weight.T).sum(1)  # d (W2 W1 m)_c / d m_c
        share = self.channels / x[0].numel()  # d m_c / d x_i
        apart = (p1 - p2) * x
        s = torch.sigmoid(beta * apart)
        bend = s * (1 - s)
        through_beta = apart.square() * bend * beta * (1 - beta) * self.along(x, own) * share
        return (p1 - p2) * (s + beta * apart * bend) + p2 + through_beta


class FReLU(PerChannel):
    """max(x, T(x)), T a depthwise 3 x 3 convolution with batch normalisation: for images (N, channels, H, W).

    The window's initial weights are Gaussian with variance 1/9; normalisation takes their scale away again.

    Source: Ma, Zhang & Sun, ECCV 2020, arXiv 2007.11824; layers as in the authors' code.

    >>> FReLU(3)(torch.randn(2, 3, 5, 5)).shape
    torch.Size([2, 3, 5, 5])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.window = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.normal_(self.window.weight, std=1 / 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise InputError(f"FReLU expects images (N, {self.channels}, H, W), got {tuple(x.shape)}.")
        return torch.maximum(x, self.norm(self.window(x)).to(x.dtype))

    @torch.no_grad()
    def derivative(self, x: Tensor) -> Tensor:
        """Return d a_i / d x_i of every element in evaluation mode: 1, or the window's middle weight."""
        norm, x = self.norm, x.to(self.window.weight.dtype)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - scale * norm.running_mean
        condition = self.along(x, scale) * self.window(x) + self.along(x, shift)
        return torch.where(x >= condition, 1.0, self.along(x, scale * self.window.weight[:, 0, 1, 1]))


class DyT(PerChannel):
    """weight tanh(alpha x) + bias, with one learnt alpha per layer, weight and bias for each channel.

    In the paper it takes the place of a normalisation layer, here that of an activation. Initially alpha is
    0.5, weight 1 and bias 0.

    Source: Zhu, Chen, He, LeCun & Liu, CVPR 2025, arXiv 2503.10622.

    >>> DyT(3)(torch.zeros(2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(self, channels: int, alpha: float = 0.5) -> None:
        super().__init__(channels)
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of x, in its shape and dtype."""
        bent = torch.tanh(self.alpha.to(x.dtype) * x)
        return (self.along(x, self.weight) * bent + self.along(x, self.bias)).to(x.dtype)
