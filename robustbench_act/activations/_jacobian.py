"""The diagonal of the Jacobian of a function whose outputs depend on several inputs of a sample.

Most such activations see the other elements through a few statistics of the sample: a mean, a norm, the
largest value. Then the Jacobian of a sample is a diagonal matrix plus one of a low rank,

    J = diag(d) + L        L = C W R

with K columns C and K rows R of J, taken at different elements, and W the pseudoinverse of the K x K numbers
where they meet, in which there is no d. For a vector m that is 0 at these elements,

    J^T m = d m + L^T m        gives d, and with it the diagonal d + diag(L) of J.

For a second, random vector in the place of m both sides are compared: if they differ, K is too small. The
next column is where they differ most, the next row where this column is least explained (cross approximation:
Bebendorf, Numerische Mathematik 86, 2000). If K gets too large, nothing is returned.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from robustbench_act.errors import InputError

Function = Callable[[Tensor], Tensor]

_ROWS = 2  # samples on which dependence is looked for
_WHOLE = 64  # elements up to which each row of the Jacobian is computed
_MOST = 32  # K, at most
_NUMBERS = 2**18  # elements of the samples in hand at a time
_FORM = 1e-6  # share of its largest value by which J^T m may miss the form


def depends_on_others(f: Function, x: Tensor) -> bool:
    """Tell whether f(x)_i depends on other elements of its sample than x_i; x is (N, ...).

    Half of the inputs are moved, by more than their size: no output of the other half may change by a bit.
    The halves are those of each binary digit of the element's number, so every two elements are parted once.

    Raises
    ------
    InputError
        An output depends on another sample.
    """
    rows = x[:_ROWS].detach()
    if not rows.numel():
        return False
    y = f(rows.clone())
    up, down = rows + (rows.abs() + 0.5), rows - (rows.abs() + 0.5)
    if len(rows) > 1 and _differ(f(torch.cat([up[:1], rows[1:]]))[1:], y[1:]):
        raise InputError("its output for an image depends on other images")
    numbers = torch.arange(rows[0].numel(), device=rows.device).view(rows.shape[1:])
    for digit in range((rows[0].numel() - 1).bit_length()):
        half = (numbers >> digit & 1).bool().expand(rows.shape)
        for moving, moved in ((half, up), (~half, down)):
            if _differ(f(torch.where(moving, moved, rows))[~moving], y[~moving]):
                return True
    return False


def _differ(found: Tensor, expected: Tensor) -> bool:
    return not torch.equal(found.nan_to_num(), expected.nan_to_num())


def jacobian_diagonal(f: Function, x: Tensor) -> Tensor:
    """Return d f(x)_i / d x_i, float64 (N, ...), of a function of float64 (N, ...), sample by sample.

    Exact to about 1e-6 of the largest slope of a sample, whatever the form; up to 64 elements row by row.

    Raises
    ------
    InputError
        A sample of more elements depends on itself through more than a few statistics.
    """
    elements = x[0].numel() if len(x) else 0
    if not elements:
        return x.double()
    parts = torch.split(x.detach().double(), max(1, _NUMBERS // elements))
    with torch.inference_mode(False), torch.enable_grad():
        return torch.cat([_diagonal(f, part.clone()) for part in parts])


def _diagonal(f: Function, x: Tensor) -> Tensor:
    jacobian = _Jacobian(f, x)
    if jacobian.elements > _WHOLE:
        return _by_cross_approximation(jacobian).view(x.shape)
    places = torch.arange(jacobian.elements, device=x.device).expand(jacobian.samples, -1)
    rows = [jacobian.row(at).gather(1, at.unsqueeze(1)) for at in places.unbind(1)]
    return torch.cat(rows, 1).view(x.shape)


class _Jacobian:
    """Rows, columns and products of the Jacobians J (N, D, D) of N samples, each (N, D)."""

    def __init__(self, f: Function, x: Tensor) -> None:
        self._x = x.detach().requires_grad_()
        self._y = f(self._x.clone()).flatten(1)
        self.like = self._y.detach()
        self.samples, self.elements = self._y.shape
        self._upstream = torch.zeros_like(self._y, requires_grad=True)
        # Its derivative by the upstream gradient is J: columns without forward mode, which some lack.
        (self._pulled,) = torch.autograd.grad(self._y, self._x, self._upstream, create_graph=True)

    def transposed_times(self, vectors: Tensor) -> Tensor:
        """Return J^T v of v (N, D)."""
        (found,) = torch.autograd.grad(self._y, self._x, vectors, retain_graph=True)
        return found.flatten(1)

    def row(self, at: Tensor) -> Tensor:
        """Return d f_i / d x_j of every j, for the i of each sample (N,)."""
        return self.transposed_times(self._ones(at))

    def column(self, at: Tensor) -> Tensor:
        """Return d f_i / d x_j of every i, for the j of each sample (N,)."""
        vectors = self._ones(at).view_as(self._x)
        (found,) = torch.autograd.grad(self._pulled, self._upstream, vectors, retain_graph=True)
        return found

    def _ones(self, at: Tensor) -> Tensor:
        return torch.zeros_like(self._y).scatter(1, at.unsqueeze(1), 1.0)


class _Low:
    """L = weights @ rows, from columns and rows of J at different elements."""

    def __init__(self, like: Tensor) -> None:
        samples, elements = like.shape
        self.columns, self.rows = like.new_empty(samples, elements, 0), like.new_empty(samples, 0, elements)
        self.at_columns = self.at_rows = torch.empty(samples, 0, dtype=torch.long, device=like.device)
        self.weights = self.columns
        self.free = torch.ones_like(like)
        """0 at the elements of the rows and columns."""

    def add(self, at_column: Tensor, column: Tensor, at_row: Tensor, row: Tensor) -> None:
        self.columns = torch.cat([self.columns, column.unsqueeze(2)], 2)
        self.rows = torch.cat([self.rows, row.unsqueeze(1)], 1)
        self.at_columns = torch.cat([self.at_columns, at_column.unsqueeze(1)], 1)
        self.at_rows = torch.cat([self.at_rows, at_row.unsqueeze(1)], 1)
        self.free = self.free.scatter(1, torch.stack([at_column, at_row], 1), 0.0)
        places = self.at_rows.unsqueeze(2).expand(-1, -1, self.columns.shape[2])
        self.weights = self.columns @ torch.linalg.pinv(self.columns.gather(1, places), rtol=1e-9)

    def column(self, at: Tensor) -> Tensor:
        places = at.view(-1, 1, 1).expand(-1, self.rows.shape[1], 1)
        return (self.weights @ self.rows.gather(2, places)).squeeze(2)

    def transposed_times(self, vectors: Tensor) -> Tensor:
        return ((vectors.unsqueeze(1) @ self.weights) @ self.rows).squeeze(1)

    def diagonal_of_j(self, d: Tensor) -> Tensor:
        """Return d + diag(L), and at the elements of the rows and columns what these say."""
        found = d + (self.weights * self.rows.transpose(1, 2)).sum(2)
        in_rows = self.rows.gather(2, self.at_rows.unsqueeze(2)).squeeze(2)
        in_columns = self.columns.gather(1, self.at_columns.unsqueeze(1)).squeeze(1)
        return found.scatter(1, self.at_rows, in_rows).scatter(1, self.at_columns, in_columns)


def _by_cross_approximation(jacobian: _Jacobian) -> Tensor:
    """Return the diagonals (N, D); an InputError if a sample's J has not the form."""
    low = _Low(jacobian.like)
    generator = torch.Generator().manual_seed(0)
    chance = torch.randn(jacobian.elements, generator=generator, dtype=torch.float64).to(low.free.device)
    diagonal = torch.full_like(low.free, torch.nan)
    done = torch.zeros(jacobian.samples, dtype=torch.bool, device=diagonal.device)
    for _ in range(_MOST + 1):
        d = jacobian.transposed_times(low.free) - low.transposed_times(low.free)
        tried = chance * low.free
        product = jacobian.transposed_times(tried)
        missed = ((product - d * tried - low.transposed_times(tried)) * low.free).abs()
        fits = ~(missed.amax(1) > _FORM * product.abs().amax(1))  # one that is not finite will not get better
        diagonal = torch.where((fits & ~done).unsqueeze(1), low.diagonal_of_j(d), diagonal)
        done |= fits
        if done.all():
            return diagonal
        at_column = missed.nan_to_num().argmax(1)
        column = jacobian.column(at_column)
        unexplained = ((column - low.column(at_column)) * low.free).abs().nan_to_num()
        at_row = unexplained.scatter(1, at_column.unsqueeze(1), -1.0).argmax(1)
        low.add(at_column, column, at_row, jacobian.row(at_row))
    raise InputError(
        "an output depends on many inputs, and not through a few statistics of the image: "
        "give its class a method derivative(x) that returns d a_i / d x_i of every element"
    )
