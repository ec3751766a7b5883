"""ANAct: activations normalised by running statistics, to keep the variance of signals and gradients.

Source: Peiwen, Liu, Changsheng & Wang, arXiv 2208.13315.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustbench_act.activations.slopes import Function, activation_slope, function_slope
from robustbench_act.errors import InputError


class NormalizedActivation(nn.Module):
    """(lambda + b(a)) * (f(x) - mu): an activation f, normalised by running averages over mini-batches.

    Two ratios measure what f does to the variance of signals and of gradients,

        rho = E[f(x)^2] / Var(x)      rho' = E[f'(x)^2]

        lambda = sqrt((rho + rho') / (2 rho rho'))      b(a) = bound * tanh(a)

    mu, rho and rho' are exponential averages of E[f(x)] and of these ratios, over all elements of each
    training batch. In training they are updated, then used; in evaluation they are only used. No gradient
    flows through them. a is one learnable scalar, initially 0.

    Choices that the paper leaves open:

    - The first batch initialises the averages. Before it (mu = 0, lambda = 1) the module is f itself.
    - Clipping: a batch's rho and rho' enter the average clipped to `clip` times the running value, so an
      outlier moves the average by 2% at most (momentum 0.9), and the average follows a lasting jump by 2%
      per batch. Discarding such batches instead would freeze the average for good after a jump.
    - mu has no scale of its own (it may be 0 or change its sign), so it is averaged unclipped.
    - Uninformative batches are left out of all three averages: empty, not finite, without variance, or with
      rho or rho' outside [eps, 1 / eps] (the layer is dead for this batch).

    Parameters
    ----------
    f : callable or nn.Module
        Element-wise or with parameters per channel, differentiable, not in place. f' is known for ReLU and
        SiLU; autograd computes any other. What a module learns or keeps becomes part of the layer. For a
        LayerAct f' is the diagonal of the Jacobian.
    momentum : float
        Weight of the old value in an average, in [0, 1).
    bound : float
        Bound of b(a), not negative.
    clip : tuple of float
        Least and greatest factor, around 1.
    eps : float
        See above; in (0, 1).

    Attributes
    ----------
    mu, rho, rho_prime : Tensor
        Running averages: scalar buffers, so part of the state_dict.
    initialized : Tensor
        Whether a batch has been seen: a boolean scalar buffer.
    scale : nn.Parameter
        The learnable scalar a.

    Notes
    -----
    Input of any shape and floating dtype; output of the same. Statistics are computed in float32 at least.
    A parameter outside its range, and in training an f that writes into its input, raise InputError.

    Examples
    --------
    >>> act = NormalizedActivation(torch.tanh)
    >>> out = act(torch.tensor([[-2.0, -1.0, 1.0, 2.0]]))
    >>> round(act.rho.item(), 4), round(act.rho_prime.item(), 4)
    (0.3019, 0.0907)
    >>> out.mean().item(), round(out.max().item(), 3)
    (0.0, 2.581)
    """

    mu: Tensor
    rho: Tensor
    rho_prime: Tensor
    initialized: Tensor

    def __init__(
        self,
        f: Function,
        *,
        momentum: float = 0.9,
        bound: float = 0.3,
        clip: tuple[float, float] = (0.8, 1.2),
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not callable(f):
            raise InputError(f"{name} expects a callable f, got {f!r}.")
        if not 0 <= momentum < 1:
            raise InputError(f"{name} expects a momentum in [0, 1), got {momentum!r}.")
        if not 0 <= bound < math.inf:
            raise InputError(f"{name} expects a bound of at least 0, got {bound!r}.")
        if not 0 < clip[0] <= 1 <= clip[1]:
            raise InputError(f"{name} expects clip = (factor in (0, 1], factor of at least 1), got {clip!r}.")
        if not 0 < eps < 1:
            raise InputError(f"{name} expects eps in (0, 1), got {eps!r}.")
        self.f = f
        self.momentum, self.bound, self.clip, self.eps = momentum, bound, clip, eps
        self.scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("mu", torch.zeros(()))
        self.register_buffer("rho", torch.ones(()))
        self.register_buffer("rho_prime", torch.ones(()))
        self.register_buffer("initialized", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        """Return (lambda + b(a)) * (f(x) - mu), of the shape and dtype of x."""
        version = _version(x)
        y = self.f(x)
        if self.training:
            if _version(x) != version:
                raise InputError(f"{type(self).__name__} expects an f that leaves its input as it is.")
            self._update(x, y)
        gain = self.gain() + self.bound * torch.tanh(self.scale)
        return gain.to(y.dtype) * (y - self.mu.to(y.dtype))

    def gain(self) -> Tensor:
        """Return lambda of the running rho and rho', a scalar."""
        return torch.sqrt((self.rho + self.rho_prime) / (2 * self.rho * self.rho_prime))

    def derivative(self, x: Tensor) -> Tensor:
        """Return d out / d x, element by element, in evaluation mode: (lambda + b(a)) * f'(x)."""
        gain = self.gain() + self.bound * torch.tanh(self.scale)
        return gain.detach().to(x.dtype) * activation_slope(self.f, x)

    @torch.no_grad()
    def _update(self, x: Tensor, y: Tensor) -> None:
        """Update the running averages with the statistics of a batch, x and y = f(x)."""
        wide = torch.promote_types(x.dtype, torch.float32)
        x, y = x.to(wide), y.to(wide)
        mu = y.mean()
        rho = y.square().mean() / (x - x.mean()).square().mean()
        rho_prime = function_slope(self.f, x).square().mean()
        # No branch: it would make the device wait for the host. Comparisons with NaN are false.
        informative = self._within(rho) & self._within(rho_prime)
        first = ~self.initialized
        for running, batch in ((self.rho, rho), (self.rho_prime, rho_prime)):
            clipped = batch.clamp(self.clip[0] * running, self.clip[1] * running)
            self._average(running, torch.where(first, batch, clipped), informative)
        self._average(self.mu, mu, informative)
        self.initialized.logical_or_(informative)

    def _within(self, ratio: Tensor) -> Tensor:
        return (ratio >= self.eps) & (ratio <= 1 / self.eps)

    def _average(self, running: Tensor, batch: Tensor, informative: Tensor) -> None:
        averaged = torch.lerp(batch, running.to(batch.dtype), self.momentum)
        mixed = torch.where(self.initialized, averaged, batch)
        running.copy_(torch.where(informative, mixed, running))

    def extra_repr(self) -> str:
        """Return the parameters as `repr` shows them."""
        name = "" if isinstance(self.f, nn.Module) else f"f={getattr(self.f, '__name__', self.f)}, "
        return f"{name}momentum={self.momentum:g}, bound={self.bound:g}, clip={self.clip}, eps={self.eps:g}"


def _version(x: Tensor) -> int:
    """Return a number that grows when a tensor is written to; 0 if torch does not count."""
    return 0 if torch.compiler.is_compiling() or x.is_inference() else x._version


class NReLU(NormalizedActivation):
    """ANAct with ReLU; parameters and behaviour of `NormalizedActivation`.

    >>> NReLU().eval()(torch.tensor([-1.0, 2.0])).tolist()  # no batch seen yet: ReLU itself
    [0.0, 2.0]
    """

    def __init__(
        self,
        *,
        momentum: float = 0.9,
        bound: float = 0.3,
        clip: tuple[float, float] = (0.8, 1.2),
        eps: float = 1e-5,
    ) -> None:
        super().__init__(F.relu, momentum=momentum, bound=bound, clip=clip, eps=eps)


class NSwish(NormalizedActivation):
    """ANAct with Swish (SiLU); parameters and behaviour of `NormalizedActivation`.

    >>> round(NSwish().eval()(torch.tensor(1.0)).item(), 4)  # no batch seen yet: SiLU itself
    0.7311
    """

    def __init__(
        self,
        *,
        momentum: float = 0.9,
        bound: float = 0.3,
        clip: tuple[float, float] = (0.8, 1.2),
        eps: float = 1e-5,
    ) -> None:
        super().__init__(F.silu, momentum=momentum, bound=bound, clip=clip, eps=eps)
