"""Which values of an activation belong to which image.

Most networks keep the images along the first axis of every tensor. Some do not: transformers in the order
(sequence, batch, features), windows and patches folded into the batch, several views of an image in a row.
Some tensors hold no image at all (tables of position biases). To find out, one image of a batch is changed;
the rows that change with it are its own.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from robustbench_act.errors import InputError
from robustbench_act.probes.calls import Call, FollowedCalls, is_measurable

_AXES = 2  # the axes that are looked at, from the first one


@dataclass(frozen=True)
class ImageAxis:
    """Where the images of a batch are in a tensor: along `axis`, in rows ordered (outer, images, inner).

    `inner` consecutive rows belong to one image (windows, patches); the batch comes `outer` times (views).

    Examples
    --------
    >>> tokens = torch.arange(6).view(3, 2)  # (sequence, batch)
    >>> ImageAxis(axis=1).by_image(tokens, images=2)
    tensor([[0, 2, 4],
            [1, 3, 5]])
    """

    axis: int = 0
    outer: int = 1
    inner: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether the first axis holds one row for each image."""
        return self == ImageAxis()

    @property
    def _extra(self) -> list[int]:
        """The length of the axis of an image's rows, if it has several."""
        return [self.outer * self.inner] if self.outer * self.inner > 1 else []

    def rows(self, images: int) -> int:
        """Return the length of the axis for a batch of this many images."""
        return self.outer * images * self.inner

    def rows_of(self, image: int, images: int) -> Tensor:
        """Return which rows belong to one image of a batch: bool (rows,)."""
        own = torch.zeros(self.outer, images, self.inner, dtype=torch.bool)
        own[:, image] = True
        return own.flatten()

    def by_image(self, x: Tensor, images: int) -> Tensor:
        """Return the values as (images, ...); all rows of an image are one axis."""
        if self.is_plain:
            return x
        moved = x.movedim(self.axis, 0)
        rest = moved.shape[1:]
        split = moved.reshape(self.outer, images, self.inner, *rest).transpose(0, 1)
        return split.reshape(images, *self._extra, *rest)

    def as_called(self, values: Tensor, images: int) -> Tensor:
        """Undo `by_image`."""
        if self.is_plain:
            return values
        rest = values.shape[1 + len(self._extra) :]
        split = values.reshape(images, self.outer, self.inner, *rest).transpose(0, 1)
        return split.reshape(self.rows(images), *rest).movedim(0, self.axis)


@dataclass(frozen=True)
class Stacking:
    """Where a batch of `images` lies in an activation: `versions` blocks of images, in equal order."""

    axis: ImageAxis
    images: int
    versions: int

    def of(self, x: Tensor) -> Tensor:
        """Return values as (versions, samples, ...); an InputError if the versions are not equally long."""
        if self.images % self.versions:
            raise InputError(
                f"expected {self.versions} versions of equally many samples, got a batch of {self.images}."
            )
        values = self.axis.by_image(x, self.images)
        return values.view(self.versions, self.images // self.versions, *values.shape[1:])

    def undo(self, stacked: Tensor) -> Tensor:
        """Return the values as the activation takes them."""
        return self.axis.as_called(stacked.flatten(0, 1), self.images)


NOT_MEASURABLE = "its input is not a tensor of floats (images, ...)"
NO_IMAGE = "no image reaches it"
SEVERAL = "its rows cannot be told apart by image"


class RowPrints:
    """Context manager that takes a print of every row of the input of every activation call of a network.

    Attributes
    ----------
    prints
        By layer: for each of the first two axes float64 (2, rows), which change if a value of the row does.
        Empty if the input is not a tensor of floats with two axes or more.
    """

    def __init__(self, network: nn.Module) -> None:
        self.prints: dict[str, list[Tensor]] = {}
        self._calls = FollowedCalls(network, self)

    def __enter__(self) -> Self:
        self._calls.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.__exit__(kind, error, trace)

    def before(self, call: Call, x: Any) -> None:
        """Take an activation's input (see `Watcher`)."""
        self.prints[call.layer] = _prints(x) if is_measurable(x) else []

    def after(self, call: Call, output: Any) -> None:
        """Let the output pass (see `Watcher`)."""


def _prints(x: Tensor) -> list[Tensor]:
    found = []
    for axis in range(_AXES):
        others = [other for other in range(x.ndim) if other != axis]
        sums = [part.sum(others, dtype=torch.float64) for part in (x, x.square())] if others else [x, x]
        found.append(torch.stack(sums))
    return found


def image_axis(before: list[Tensor], after: list[Tensor], *, images: int, changed: int) -> ImageAxis | str:
    """Return where the images are, from the prints of two passes between which image `changed` was changed.

    If the rows that changed are not those of one image in any layout, return the reason in words.
    """
    if not before or [old.shape for old in before] != [new.shape for new in after]:
        return NOT_MEASURABLE
    if not all(own.isfinite().all() for own in after) and before[0].shape[1] == images:
        return ImageAxis()  # the run says what is not finite
    moved = [old.ne(new).any(0) for old, new in zip(before, after, strict=True)]
    if not any(own.any() for own in moved):
        return NO_IMAGE
    for axis, own in enumerate(moved):
        each = len(own) // images
        for inner in (size for size in range(1, each + 1) if each % size == 0):
            layout = ImageAxis(axis, each // inner, inner)
            if len(own) == layout.rows(images) and torch.equal(own, layout.rows_of(changed, images)):
                return layout
    return SEVERAL


@torch.no_grad()
def find_image_axes(model: nn.Module, inputs: Tensor) -> dict[str, ImageAxis | str]:
    """Return where the images are in each activation layer whose first axis does not hold them one by one.

    The network must be in evaluation mode. Two passes over `inputs` (N, ...), at least two images, tell: the
    first image is changed in between. A layer in which no row belongs to one image gets a reason instead of
    an axis.

    >>> patches = nn.Sequential(nn.Flatten(0, 1), nn.Linear(4, 4), nn.ReLU(), nn.Unflatten(0, (-1, 5)))
    >>> find_image_axes(patches, torch.rand(3, 5, 4))
    {'2': ImageAxis(axis=0, outer=1, inner=5)}
    """
    changed = inputs.clone()
    changed[0] = 1 - 2 * inputs[0].flip(-1)
    prints = []
    for batch in (inputs.clone(), changed):
        with RowPrints(model) as watched:
            model(batch)
        prints.append(watched.prints)
    before, after = prints
    axes = {
        name: image_axis(own, after.get(name, []), images=len(inputs), changed=0)
        for name, own in before.items()
    }
    return {name: axis for name, axis in axes.items() if axis != ImageAxis()}
