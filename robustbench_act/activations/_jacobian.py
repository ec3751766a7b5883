"""The diagonal of the Jacobian of a function whose outputs depend on several inputs of a sample.

A sample may fall into blocks that do not depend on each other: its channels, its tokens. Most such
activations see the other elements of a block through a few statistics of it: a mean, a norm, the largest
value. Then the Jacobian of a block is a diagonal matrix plus one of a low rank,

    J = diag(d) + L        L = C W R

with K columns C and K rows R of J, taken at different elements, and W the pseudoinverse of the K x K numbers
where they meet, in which there is no d. For a vector m that is 0 at these elements,

    J^T m = d m + L^T m        gives d, and with it the diagonal d + diag(L) of J.

For a second, random vector in the place of m both sides are compared: if they differ, K is too small. The
next column is where they differ most, the next row where this column is least explained (cross approximation:
Bebendorf, Numerische Mathematik 86, 2000). If K gets too large, nothing is returned.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from robustbench_act.errors import InputError

Function = Callable[[Tensor], Tensor]

_ROWS = 2  # samples on which dependence is looked for
_WHOLE = 64  # elements up to which each row of the Jacobian is computed
_MOST = 32  # K, at most
_NUMBERS = 2**18  # elements of the samples in hand at a time
_FORM = 1e-6  # share of its largest value by which J^T m may miss the form


def dependent_axes(f: Function, x: Tensor) -> list[int]:
    """Return the axes of x (N, ...) along which f(x)_i depends on other elements; none if f is element-wise.

    Half of the inputs are moved, by more than their size: no output of the other half may change by a bit.
    The halves are those of each binary digit of the index along an axis, so every two elements are parted.

    Raises
    ------
    InputError
        An output depends on another sample.
    """
    rows = x[:_ROWS].detach().contiguous()  # sums in one order in every call
    if not rows.numel():
        return []
    y = f(rows.clone())
    up, down = rows + (rows.abs() + 0.5), rows - (rows.abs() + 0.5)

    def depends(axis: int) -> bool:
        length = rows.shape[axis]
        index = torch.arange(length, device=rows.device).view(-1, *[1] * (rows.ndim - 1 - axis))
        for digit in range((length - 1).bit_length()):
            half = (index >> digit & 1).bool().expand(rows.shape)
            for moving, moved in ((half, up), (~half, down)):
                if _differ(f(torch.where(moving, moved, rows).contiguous())[~moving], y[~moving]):
                    return True
        return False

    if depends(0):
        raise InputError("its output for an image depends on other images")
    return [axis for axis in range(1, rows.ndim) if depends(axis)]


def _differ(found: Tensor, expected: Tensor) -> bool:
    return not torch.equal(found.nan_to_num(), expected.nan_to_num())


def jacobian_diagonal(f: Function, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return d f(x)_i / d x_i, float64 (N, ...), of a function of float64 (N, ...).

    Exact to about 1e-6 of the largest slope of a block, whatever the form; up to 64 elements row by row.

    Parameters
    ----------
    axes
        Those of `dependent_axes`: a block is what lies along them.

    Raises
    ------
    InputError
        A block of more elements depends on itself through more than a few statistics.
    """
    if not x.numel():
        return x.double()
    parts = torch.split(x.detach().double(), max(1, _NUMBERS // x[0].numel()))
    with torch.inference_mode(False), torch.enable_grad():
        return torch.cat([_diagonal(_Jacobian(f, part.clone(), axes)) for part in parts])


def _diagonal(jacobian: "_Jacobian") -> Tensor:
    if jacobian.elements > _WHOLE:
        return jacobian.as_called(_by_cross_approximation(jacobian))
    places = torch.arange(jacobian.elements, device=jacobian.like.device).expand_as(jacobian.like)
    rows = [jacobian.row(at).gather(1, at.unsqueeze(1)) for at in places.unbind(1)]
    return jacobian.as_called(torch.cat(rows, 1))


class _Jacobian:
    """Rows, columns and products of the Jacobians J (B, D, D) of B blocks, each (B, D)."""

    def __init__(self, f: Function, x: Tensor, axes: Sequence[int]) -> None:
        self._order = [*(axis for axis in range(x.ndim) if axis not in axes), *axes]
        self._shape = [x.shape[axis] for axis in self._order]
        self.elements = math.prod(x.shape[axis] for axis in axes)
        self._x = x.detach().requires_grad_()
        self._y = f(self._x.clone())
        self.like = self._by_block(self._y.detach())
        self._upstream = torch.zeros_like(self._y, requires_grad=True)
        # Its derivative by the upstream gradient is J: columns without forward mode, which some lack.
        (self._pulled,) = torch.autograd.grad(self._y, self._x, self._upstream, create_graph=True)

    def _by_block(self, values: Tensor) -> Tensor:
        return values.permute(self._order).reshape(-1, self.elements)

    def as_called(self, values: Tensor) -> Tensor:
        """Return values (B, D) in the shape of x."""
        return values.reshape(self._shape).permute(
            *(self._order.index(axis) for axis in range(len(self._order)))
        )

    def transposed_times(self, vectors: Tensor) -> Tensor:
        """Return J^T v of v (B, D)."""
        upstream = self.as_called(vectors)
        return self._by_block(torch.autograd.grad(self._y, self._x, upstream, retain_graph=True)[0])

    def row(self, at: Tensor) -> Tensor:
        """Return d f_i / d x_j of every j, for the i of each block (B,)."""
        return self.transposed_times(self._ones(at))

    def column(self, at: Tensor) -> Tensor:
        """Return d f_i / d x_j of every i, for the j of each block (B,)."""
        vectors = self.as_called(self._ones(at))
        return self._by_block(
            torch.autograd.grad(self._pulled, self._upstream, vectors, retain_graph=True)[0]
        )

    def _ones(self, at: Tensor) -> Tensor:
        return torch.zeros_like(self.like).scatter(1, at.unsqueeze(1), 1.0)


class _Low:
    """L = weights @ rows, from columns and rows of J at different elements."""

    def __init__(self, like: Tensor) -> None:
        blocks, elements = like.shape
        self.columns, self.rows = like.new_empty(blocks, elements, 0), like.new_empty(blocks, 0, elements)
        self.at_columns = self.at_rows = torch.empty(blocks, 0, dtype=torch.long, device=like.device)
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
    """Return the diagonals (B, D); an InputError if a block's J has not the form."""
    low = _Low(jacobian.like)
    generator = torch.Generator().manual_seed(0)
    chance = torch.randn(jacobian.elements, generator=generator, dtype=torch.float64).to(low.free.device)
    diagonal = torch.full_like(low.free, torch.nan)
    done = torch.zeros(len(diagonal), dtype=torch.bool, device=diagonal.device)
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
