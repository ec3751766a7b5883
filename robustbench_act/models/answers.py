"""A network's answer in what it returns: a tensor, or an entry of a dictionary, a tuple or an object."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from robustbench_act.errors import InputError

LOGITS = "logits"
"""The entry that is taken whatever else there is."""


class UnclearOutputError(InputError):
    """A network returns several things, and none of them is clearly its answer."""


def answer_entry(output: Any, images: int, classes: int | None = None) -> str:
    """Return the name of the entry that holds a network's answer; "" if the output is a tensor.

    Entries are the items of a dictionary, the fields of a named tuple or a dataclass, the items of a tuple or
    list, named "0", "1", ..., and the public attributes of any other object. The answer is the entry
    `logits`; without one, the only entry that is a row of `classes` real numbers for each image (two classes:
    also of one number; None: of any length).

    Raises UnclearOutputError, which names the entries and their shapes, if none or several are.

    >>> import torch
    >>> hidden, logits = torch.zeros(3, 512), torch.zeros(3, 10)
    >>> answer_entry(logits, 3), answer_entry({"hidden": hidden, "logits": logits}, 3)
    ('', 'logits')
    >>> answer_entry((hidden, logits), 3, classes=10)
    '1'
    """
    entries = _entries(output)
    if isinstance(output, Tensor) or not entries:
        return ""
    if LOGITS in entries:
        return LOGITS
    lengths = None if classes is None else {classes, 1} if classes == 2 else {classes}
    found = [name for name, item in entries.items() if _has_rows(item, images, lengths)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{name} {_described(item)}" for name, item in entries.items())
    wanted = f"({images}, {'classes' if classes is None else classes})"
    raise UnclearOutputError(
        f"expected logits {wanted} from the network, got a {type(output).__name__} of {shown}, of which "
        f"{len(found) or 'none'} may be the logits: return them alone, or name them {LOGITS!r}."
    )


def answer_rows(output: Any, images: int, entry: str = "") -> Tensor:
    """Return a network's answer as float32 (N, columns); an InputError if it is not a row for each image.

    `entry` is what `answer_entry` returns. An axis of one image or of one column may be missing: networks end
    in `squeeze()`.
    """
    answer = output
    if entry:
        entries = _entries(output)
        if entry not in entries:
            raise InputError(
                f"expected an output with {entry!r}, as on the first images, got {_described(output)}."
            )
        answer = entries[entry]
    if _is_flat(answer, images):
        answer = answer.reshape(images, -1)
    if not isinstance(answer, Tensor):
        got = type(answer).__name__
    elif answer.is_complex():
        got = "complex numbers"
    elif answer.ndim != 2 or len(answer) != images:
        got = str(tuple(answer.shape))
    else:
        return answer.float()
    where = f" in {entry!r}" if entry else ""
    raise InputError(
        f"expected logits ({images}, classes) from the network{where}, got {got}: return them alone, a row "
        "of real numbers for each image."
    )


def _entries(output: Any) -> dict[str, Any]:
    if isinstance(output, Tensor):
        return {}
    if isinstance(output, Mapping):
        return {str(name): item for name, item in output.items()}
    if isinstance(output, tuple | list):
        names = getattr(output, "_fields", range(len(output)))
        return {str(name): item for name, item in zip(names, output, strict=True)}
    names = getattr(output, "__dataclass_fields__", None) or getattr(output, "__dict__", {})
    return {name: getattr(output, name) for name in names if not name.startswith("_")}


def _is_flat(item: Any, images: int) -> bool:
    """Tell whether a tensor lacks the axis of one image or of one column."""
    floats = isinstance(item, Tensor) and item.is_floating_point() and item.ndim < 2
    return floats and (images == 1 or item.shape == (images,))


def _has_rows(item: Any, images: int, lengths: set[int] | None) -> bool:
    """Tell whether an entry is a row of real numbers for each image, of one of some lengths."""
    if not isinstance(item, Tensor) or not item.is_floating_point():
        return False
    shape = (images, item.numel() // images) if _is_flat(item, images) else tuple(item.shape)
    return len(shape) == 2 and shape[0] == images and (lengths is None or shape[1] in lengths)


def _described(item: Any) -> str:
    return str(tuple(item.shape)) if isinstance(item, Tensor) else type(item).__name__
